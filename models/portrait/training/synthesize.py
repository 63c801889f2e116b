#!/usr/bin/python3
"""Speak the sentence pool with freely licensed voices and keep the time of every phone.

For each utterance it writes `<voice>-<number>.wav` (mono) and `.seg` (lines "phone end-seconds") into
`<data>/train` or, for the held-out voices, `<data>/test`; with --slow it only adds drawling speech in `<data>/slow`.
File names begin with the phone alphabet: `arpa-` (flite, festival), `russian-` (festival) or `ipa-` (espeak-ng).

Voices (licences in README.md): flite slt, rms, awb; festival ked, slt-hts and msu_ru; espeak-ng in many languages
and variants. Held out: festival kal and three espeak-ng variants.
"""

import argparse
import json
import os
import random
import re
import subprocess

import numpy as np
import scipy.io.wavfile
import scipy.signal

from espeak import Espeak

SAMPLE_RATE = 16000
FLITE = [("slt", 1000), ("rms", 1000), ("awb", 1000)]
FESTIVAL_TRAIN = [("ked_diphone", 650), ("cmu_us_slt_arctic_hts", 450)]
FESTIVAL_RUSSIAN = [("msu_ru_nsh_clunits", 700)]
FESTIVAL_TEST = [("kal_diphone", 60)]
# Names as espeak-ng spells them: of an unknown one the library says nothing and speaks with its plain voice.
ESPEAK_VARIANTS = (
    "Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Mike Nguyen "
    "RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky adam announcer antonio aunty belinda benjamin boris caleb "
    "croak david ed edward edward2 f1 f2 f3 f4 f5 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt "
    "klatt2 klatt4 klatt5 klatt6 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro "
    "quincy rob robert robosoft robosoft2 robosoft5 robosoft7 sandro shelby steph steph2 steph3 travis victor whisper "
    "whisperf zac"
).split()
ESPEAK_TEST_VARIANTS = "Michael anika klatt3".split()
# (espeak voice, sentence pool, utterances); some languages read a neighbour's words, for their sounds
ESPEAK_LANGUAGES = [
    ("en-us", "en", 900), ("en", "en", 400), ("en-gb-scotland", "en", 90), ("en-gb-x-rp", "en", 120),
    ("en-gb-x-gbclan", "en", 60), ("en-us-nyc", "en", 80), ("de", "de", 250), ("es", "es", 160), ("es-419", "es", 50),
    ("fr", "fr", 250), ("it", "it", 180), ("pl", "pl", 110), ("pt-br", "pt_BR", 120), ("pt", "pt_BR", 40),
    ("ru", "ru", 110), ("nl", "nl", 110), ("sv", "sv", 90), ("tr", "tr", 70), ("cs", "cs", 70), ("uk", "uk", 70),
    ("ro", "ro", 50), ("fi", "it", 40), ("hu", "cs", 40), ("nb", "sv", 50), ("da", "sv", 40), ("ca", "es", 40),
    ("sk", "cs", 40),
]  # fmt: skip


def write_segments(path, segments):
    with open(path, "w", encoding="utf8") as file:
        file.writelines(f"{phone} {end:.4f}\n" for phone, end in segments)


SPEEDS = {"flite": [0.75, 0.85, 1, 1, 1.15, 1.3], "espeak": (120, 230)}  # duration factor, words a minute
SLOW_SPEEDS = {"flite": [1.7, 2.0, 2.4, 2.8], "espeak": (80, 95)}
SLOW_SHARE = 0.12  # of the utterances of a full run


def speak_flite(folder, sentences, share, speeds):
    """flite prints `phone:end` for every phone with -psdur."""
    for voice, count in FLITE:
        for number in range(int(count * share)):
            base = f"{folder}/arpa-flite_{voice}-{number:04d}"
            stretch = random.choice(speeds)
            command = ["flite", "-psdur", "-voice", voice, "--setf", f"duration_stretch={stretch}"]
            command += ["--setf", f"int_f0_target_mean={random.randint(80, 220)}", "-t", next(sentences), base + ".wav"]
            try:
                printed = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
            except subprocess.TimeoutExpired:
                continue
            pairs = [word.rsplit(":", 1) for word in printed.split() if ":" in word]
            segments = [(phone, float(end)) for phone, end in pairs]
            ordered = all(b[1] >= a[1] for a, b in zip(segments, segments[1:]))
            if len(segments) < 6 or not ordered:
                if os.path.exists(base + ".wav"):
                    os.remove(base + ".wav")
                continue
            write_segments(base + ".seg", segments)
        print("flite", voice, flush=True)


def speak_festival(folder, voices, sentences, share, alphabet="arpa"):
    """One festival process per voice runs a generated script; see festival.scm."""
    here = os.path.dirname(os.path.abspath(__file__))
    for voice, count in voices:
        lines = [f"(voice_{voice})"]
        for number in range(int(count * share)):
            base = f"{folder}/{alphabet}-festival_{voice}-{number:04d}"
            lines.append(f"(Parameter.set 'Duration_Stretch {random.choice([0.75, 0.85, 0.95, 1, 1.1, 1.25])})")
            lines.append(f'(unwind-protect (speak-to-files "{next(sentences)}" "{base}") nil)')
        script = f"{folder}/{voice}.scm"
        with open(script, "w", encoding="utf8") as file:
            file.write("\n".join(lines))
        result = subprocess.run(["festival", "-b", f"{here}/festival.scm", script], capture_output=True)
        os.remove(script)
        print("festival", voice, result.returncode, result.stderr[-200:].decode(), flush=True)


def speak_espeak(espeak, folder, languages, variants, pool, share, speeds):
    for voice, pool_name, count in languages:
        for number in range(int(count * share)):
            text = random.choice(pool[pool_name])
            spoken = espeak.say(
                text, f"{voice}+{random.choice(variants)}",
                random.randint(*speeds), random.randint(20, 80), random.randint(30, 80),
            )  # fmt: skip
            if spoken is None or len(spoken[0]) < espeak.sample_rate or len(spoken[1]) < 6:
                continue
            samples, segments = spoken
            wave = scipy.signal.resample_poly(samples.astype(np.float32) / 32768, 320, 441)
            base = f"{folder}/ipa-espeak_{voice}-{number:04d}"
            scipy.io.wavfile.write(base + ".wav", SAMPLE_RATE, (np.clip(wave, -1, 1) * 32767).astype(np.int16))
            write_segments(base + ".seg", segments)
        print("espeak", voice, flush=True)


def endless(items):
    while True:
        yield from items


def labial(sentences):
    """Of every two sentences the one with more f, v, p, b, m: what the lips must learn best is rare in plain text."""

    def count(text):
        return sum(text.lower().count(letter) for letter in "fvpbm")

    return [max(pair, key=count) for pair in zip(sentences[::2], sentences[1::2])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="JSON file of text_pool.py")
    parser.add_argument("--data", required=True, help="folder for train/ and test/")
    parser.add_argument("--share", type=float, default=1.0, help="share of the full number of utterances")
    parser.add_argument("--slow", action="store_true", help="only slow speech, for held vowels")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    random.seed(options.seed)
    with open(options.text, encoding="utf8") as file:
        pool = json.load(file)
    # The last sentences are kept for the held-out voices, so that the test reads unseen text.
    pool["en"], unseen = pool["en"][:-200], pool["en"][-200:]
    pool = {language: labial(sentences) for language, sentences in pool.items()}
    english = endless(pool["en"])
    espeak = Espeak()  # The library can be initialised once only.
    train, test, slow = (f"{options.data}/{name}" for name in ("train", "test", "slow"))
    if options.slow:
        os.makedirs(slow, exist_ok=True)
        share = options.share * SLOW_SHARE
        speak_espeak(espeak, slow, ESPEAK_LANGUAGES, ESPEAK_VARIANTS, pool, share, SLOW_SPEEDS["espeak"])
        speak_flite(slow, english, share, SLOW_SPEEDS["flite"])
        return
    os.makedirs(train, exist_ok=True)
    os.makedirs(test, exist_ok=True)
    test_pool = {"en": unseen}
    speak_espeak(espeak, test, [("en-us", "en", 60)], ESPEAK_TEST_VARIANTS, test_pool, options.share, SPEEDS["espeak"])
    speak_festival(test, FESTIVAL_TEST, endless(unseen), options.share)
    speak_espeak(espeak, train, ESPEAK_LANGUAGES, ESPEAK_VARIANTS, pool, options.share, SPEEDS["espeak"])
    speak_flite(train, english, options.share, SPEEDS["flite"])
    speak_festival(train, FESTIVAL_TRAIN, english, options.share)
    # This voice spells out Latin letters with sounds that it has not got.
    cyrillic = [sentence for sentence in pool["ru"] if re.fullmatch(r"[А-Яа-яЁё ,\-]+", sentence)]
    speak_festival(train, FESTIVAL_RUSSIAN, endless(cyrillic), options.share, "russian")


if __name__ == "__main__":
    main()
