/** A file of speech as it was uploaded. */
export interface SpeechFile {
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly fileName: string;
}
