#!/usr/bin/python3
"""Make speech/: utterances of voices that training never hears, with the time of every phone.

The voices are those that ../portrait/training/synthesize.py holds out: festival's kal and the variants Michael, anika and
klatt3 of espeak-ng. The sentences were written for this, and are in no training text. Writes <name>.opus (16 kHz mono)
and phones.json. Needs festival with festvox-kallpc16k, libespeak-ng, FFmpeg with libopus, numpy and scipy.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import scipy.io.wavfile
import scipy.signal

HERE = os.path.dirname(os.path.abspath(__file__))
TRAINING = os.path.join(HERE, "..", "portrait", "training")
sys.path.insert(0, TRAINING)

from espeak import Espeak  # noqa: E402
from phones import PAUSE, timed_phones  # noqa: E402

SAMPLE_RATE = 16000
LEVEL = 0.06  # RMS of every utterance: that of ordinary speech
MARGIN = 0.3  # seconds of silence before and after
OPUS_BITRATE = "32k"

# (festival's Duration_Stretch, sentence)
FESTIVAL_VOICE = "kal_diphone"
FESTIVAL = [
    (1.0, "Paul bought five pumpkins for my mother from a very busy farmer."),
    (1.1, "Before we moved, the big map above my bed fell off every evening."),
    (0.9, "Five brave puppies followed Vivian up the bumpy path."),
    (1.0, "My favourite uncle prefers beef pie, but only when it is warm."),
    (1.25, "Maybe the boats will leave from the harbour before nine."),
    (1.0, "She saw two blue shoes under the old wooden chair."),
    (0.85, "Please put the empty bottles above the shelf and move the box."),
    (1.1, "A small number of people remembered the poem by heart."),
]
# (language, variant, words a minute, pitch, sentence)
ESPEAK = [
    ("en-us", "Michael", 150, 50, "Bob and Pam have five apples, and Tom has none of them."),
    ("en-us", "Michael", 185, 40, "The captain put the maps beside the lamp before supper."),
    ("en-us", "anika", 160, 60, "Very few bumblebees move from flower to flower in the evening."),
    ("en-us", "anika", 200, 50, "My brother bought a van, and we drove for fifty miles."),
    ("en-us", "klatt3", 140, 45, "Some people prefer coffee before breakfast, others want tea."),
    ("en-us", "klatt3", 170, 55, "We hope the famous violin will be played by a woman from Poland."),
    ("en", "Michael", 165, 55, "Father gave my baby brother a wooden boat and a purple lamp."),
    ("en", "anika", 145, 45, "Open the oven, move the plum pie, and leave the beef in for a bit."),
    ("en", "klatt3", 190, 50, "Half of the village came by bus to see the big bonfire."),
    ("de", "anika", 155, 50, "Am Abend baute mein Bruder vor dem Fenster einen bunten Papierdrachen."),
    ("de", "Michael", 170, 45, "Viele Bienen fliegen im Mai von Blume zu Blume."),
    ("es", "Michael", 165, 50, "Mi abuelo compró una mesa pequeña para la familia de Pablo."),
    ("fr", "anika", 160, 50, "Ma femme apporte du pain et des pommes pour faire un bon repas."),
    ("it", "klatt3", 160, 50, "La mamma prepara una buona minestra prima di partire."),
]


def festival(sentence, stretch):
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "say.scm")
        with open(script, "w", encoding="utf8") as file:
            file.write(f"(voice_{FESTIVAL_VOICE})\n(Parameter.set 'Duration_Stretch {stretch})\n")
            file.write(f'(speak-to-files "{sentence}" "{folder}/say")\n')
        subprocess.run(["festival", "-b", os.path.join(TRAINING, "festival.scm"), script], check=True)
        rate, samples = scipy.io.wavfile.read(f"{folder}/say.wav")
        with open(f"{folder}/say.seg", encoding="utf8") as file:
            segments = [(name, float(end)) for name, end in (line.split() for line in file)]
    return rate, samples, timed_phones(segments, "arpa")


def espeak_ng(synthesiser, language, variant, rate, pitch, sentence):
    spoken = synthesiser.say(sentence, f"{language}+{variant}", rate, pitch, 55)
    if spoken is None:
        raise SystemExit(f"espeak-ng does not know {language}+{variant}")
    return synthesiser.sample_rate, spoken[0], timed_phones(spoken[1], "ipa")


def finish(rate, samples, phones):
    """The wave at SAMPLE_RATE, level and with silence around it, and the phones moved along; pauses are left out."""
    wave = scipy.signal.resample_poly(samples.astype(np.float64) / 32768, SAMPLE_RATE, rate)
    wave *= LEVEL / np.sqrt((wave**2).mean())
    silence = np.zeros(int(MARGIN * SAMPLE_RATE))
    moved = [
        [phone, round(start + MARGIN, 3), round(end + MARGIN, 3)] for phone, start, end in phones if phone != PAUSE
    ]
    return np.clip(np.concatenate([silence, wave, silence]), -1, 1), moved


def main():
    output = os.path.join(HERE, "speech")
    synthesiser = Espeak()
    made = [("kal", "en", *finish(*festival(text, stretch)), text) for stretch, text in FESTIVAL]
    for language, variant, rate, pitch, text in ESPEAK:
        spoken = finish(*espeak_ng(synthesiser, language, variant, rate, pitch, text))
        made.append((f"espeak-{variant.lower()}", language, *spoken, text))
    listing = []
    for number, (voice, language, wave, phones, text) in enumerate(made):
        name = f"{number:02d}-{voice}-{language}"
        encode(wave, os.path.join(output, f"{name}.opus"))
        listing.append({"file": f"{name}.opus", "language": language, "text": text, "phones": phones})
    with open(os.path.join(output, "phones.json"), "w", encoding="utf8") as file:
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in listing)
        file.write(f"[\n{lines}\n]\n")
    seconds = sum(len(wave) for _, _, wave, _, _ in made) / SAMPLE_RATE
    print(f"{len(made)} utterances, {seconds:.1f} s")


def encode(wave, path):
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        scipy.io.wavfile.write(file.name, SAMPLE_RATE, (wave * 32767).astype(np.int16))
        command = ["ffmpeg", "-v", "error", "-y", "-i", file.name, "-c:a", "libopus", "-b:a", OPUS_BITRATE]
        subprocess.run([*command, "-application", "voip", "-map_metadata", "-1", "-bitexact", path], check=True)


if __name__ == "__main__":
    main()
