; Speak one text and write the wave and the end time of every segment.
(define (write-segments utt file)
  (let ((out (fopen file "w")))
    (mapcar
     (lambda (s) (format out "%s %f\n" (item.name s) (item.feat s "end")))
     (utt.relation.items utt 'Segment))
    (fclose out)))
(define (speak-to-files text base)
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utt (string-append base ".wav") 'riff)
    (write-segments utt (string-append base ".seg"))))
