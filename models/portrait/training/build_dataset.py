#!/usr/bin/python3
"""Turn the spoken utterances into training chunks of 6 s: log-mel, motion tokens and phones.

Utterances are strung together with pauses into recordings of 30 s; the clean recording gives the labels (mouth from the
phone times, the rest from idle_motion.py), then each chunk is degraded (augment.py). Some recordings hold no speech.

Output: `<output>.mel.npy` f16 [n, 64, 600], `<output>.tokens.npy` f16 [n, 150, 31] (physical
units), `<output>.phones.npy` u8 [n, 300] (phones.py index, two a frame).
"""

import argparse
import glob
import os

import numpy as np
import scipy.io.wavfile
import scipy.signal
import torch

from articulation import RATE, open_for_breath, tracks
from augment import in_breath, music, noise, record, rustle, rustles, siren, through_codec
from channels import ARTICULATIONS, FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME
from encoder_network import LogMel
from idle_motion import idle_tracks
from phones import PAUSE, PHONE_INDEX, timed_phones
from voice_change import change_voice

CHUNK_SECONDS, RECORDING_SECONDS = 6, 30
CHUNK = CHUNK_SECONDS * SAMPLE_RATE
CHUNK_FRAMES = CHUNK_SECONDS * FRAMES_PER_SECOND
SAMPLES_PER_LABEL = SAMPLE_RATE // RATE
CHANGED_VOICES = 0.85  # share of the utterances that another speaker repeats (voice_change.py)
IN_BREATHS, RUSTLES = 0.5, 0.15  # shares of the longer gaps between utterances with one in them
SHORTEST_BREATH = 0.28  # seconds


def read_segments(path):
    with open(path, encoding="utf8") as file:
        rows = [line.rsplit(" ", 1) for line in file]
    return [(row[0].strip(), float(row[1])) for row in rows if len(row) == 2]


def load_wave(path):
    """A WAV file (16-bit, first channel) as float32 at 16 kHz."""
    rate, wave = scipy.io.wavfile.read(path)
    wave = (wave if wave.ndim == 1 else wave[:, 0]).astype(np.float32) / 32768
    if rate != SAMPLE_RATE:
        divisor = np.gcd(SAMPLE_RATE, rate)
        wave = scipy.signal.resample_poly(wave, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)
    return wave


def load_utterance(path):
    """(wave f32 at 16 kHz, phones [(phone, start, end)...]), or None if it is too short or silent."""
    wave = load_wave(path)
    phones = timed_phones(read_segments(path[:-4] + ".seg"), os.path.basename(path).split("-")[0])
    if len(wave) < SAMPLE_RATE // 2 or len(phones) < 4 or np.abs(wave).max() < 0.01:
        return None
    return wave, phones


def phone_track(phones, count):
    """Index of the phone at every 5 ms label: u8 [count]."""
    track = np.full(count, PHONE_INDEX[PAUSE], np.uint8)
    for phone, start, end in phones:
        track[max(0, int(start * RATE)) : int(end * RATE)] = PHONE_INDEX[phone]
    return track


def prepare(random, path):
    """An utterance by a random speaker at a common level with its labels at RATE: wave, [n, 18], [n]; or None."""
    loaded = load_utterance(path)
    if loaded is None:
        return None
    wave, phones = loaded
    if random.rand() < CHANGED_VOICES:
        wave, phones = change_voice(random, wave, phones)
    wave = wave / np.sqrt((wave**2).mean() + 1e-9) * 0.08
    # Silence around it, so that the mouth opens before the first sound and closes after the last.
    margin = random.uniform(0.08, 0.2)
    wave = np.pad(wave, int(margin * SAMPLE_RATE))
    # The pauses reach beyond it: short ones would leave the mouth ajar.
    phones = [(PAUSE, -0.3, margin)] + [(phone, start + margin, end + margin) for phone, start, end in phones]
    phones.append((PAUSE, phones[-1][2], len(wave) / SAMPLE_RATE + 0.3))
    labels = len(wave) // SAMPLES_PER_LABEL
    return wave[: labels * SAMPLES_PER_LABEL], tracks(phones, wave, SAMPLE_RATE)[:labels], phone_track(phones, labels)


def filled_gap(random, seconds):
    """A pause between two utterances: its wave, and the in-breath in it as (start, end) in seconds or None."""
    wave = np.zeros(int(seconds * RATE) * SAMPLES_PER_LABEL, np.float32)
    dice = random.rand()
    if seconds < SHORTEST_BREATH or dice > IN_BREATHS + RUSTLES:
        return wave, None
    # A breath is drawn just before the next words.
    end = len(wave) - int(random.uniform(0.0, 0.1) * SAMPLE_RATE) if dice < IN_BREATHS else len(wave)
    longest = min(end, int(random.uniform(SHORTEST_BREATH, 1.0) * SAMPLE_RATE))
    start = end - longest
    kind, level = (in_breath, random.uniform(-34, -8)) if dice < IN_BREATHS else (rustle, random.uniform(-30, 0))
    wave[start:end] = kind(random, longest) * 0.08 * 10 ** (level / 20)
    return wave, (start / SAMPLE_RATE, end / SAMPLE_RATE) if dice < IN_BREATHS else None


def speech_recording(random, paths):
    """30 s of clean speech with pauses and labels at RATE. `paths` is an endless iterator."""
    total = RECORDING_SECONDS * RATE
    waves, mouths, phones, breaths, count = [], [], [], [], 0
    while count < total:
        seconds = random.uniform(0.0, 0.1) if random.rand() < 0.6 else random.uniform(0.1, 1.7)
        prepared = prepare(random, next(paths))
        if prepared is None:
            continue
        wave, mouth, phone = prepared
        pause, breath = filled_gap(random, seconds)
        gap = len(pause) // SAMPLES_PER_LABEL
        if breath:
            breaths.append([count / RATE + moment for moment in breath])
        waves += [pause, wave * 10 ** (random.uniform(-5, 5) / 20)]
        mouths += [np.zeros((gap, ARTICULATIONS)), mouth]
        phones += [np.full(gap, PHONE_INDEX[PAUSE], np.uint8), phone]
        count += gap + len(mouth)
    mouth = np.concatenate(mouths)[:total]
    for start, end in breaths:
        open_for_breath(mouth, start, end, random.uniform(0.3, 0.42))
    return np.concatenate(waves)[: total * SAMPLES_PER_LABEL], mouth, np.concatenate(phones)[:total]


def soundscape(random):
    """30 s without speech: silence, music, noise, sirens or rustles at a common level."""
    count = RECORDING_SECONDS * SAMPLE_RATE
    pieces = []
    for _ in range(RECORDING_SECONDS // CHUNK_SECONDS):
        kind = (np.zeros, music, noise, siren, rustles)[random.randint(5)]
        pieces.append(kind(CHUNK) if kind is np.zeros else kind(random, CHUNK) * 0.06)
    labels = count // SAMPLES_PER_LABEL
    return (
        np.concatenate(pieces),
        np.zeros((labels, ARTICULATIONS)),
        np.full(labels, PHONE_INDEX[PAUSE], np.uint8),
    )


def chunks_of(random, clean, mouth, phones):
    """Cut a recording into degraded chunks: lists of waves, tokens [150, 31], phones [300]."""
    frames = len(clean) // SAMPLES_PER_FRAME
    centres = ((np.arange(frames) + 0.5) / FRAMES_PER_SECOND * RATE).astype(int)
    slots = ((np.arange(frames * 2) + 0.5) / (2 * FRAMES_PER_SECOND) * RATE).astype(int)
    tokens = np.concatenate([mouth[centres], idle_tracks(random, clean)], 1)
    degraded = np.concatenate([record(random, clean[i : i + CHUNK]) for i in range(0, len(clean), CHUNK)])
    if random.rand() < 0.3:
        degraded = through_codec(random, degraded)
    return (
        degraded.reshape(-1, CHUNK),
        tokens.reshape(-1, CHUNK_FRAMES, tokens.shape[1]),
        phones[slots].reshape(-1, CHUNK_FRAMES * 2),
    )


def endless_paths(random, folders):
    paths = [path for folder in folders for path in sorted(glob.glob(f"{folder}/*.wav"))]
    while True:
        random.shuffle(paths)
        yield from paths


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--utterances", nargs="+", required=True, help="folders with .wav and .seg files (synthesize.py)"
    )
    parser.add_argument("--output", required=True, help="path prefix of the arrays")
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--soundscapes", type=float, default=0.07, help="share of recordings without speech")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.RandomState(options.seed)
    paths = endless_paths(random, options.utterances)
    log_mel = LogMel()
    mels, tokens, phones = [], [], []
    for number in range(int(options.hours * 3600 / RECORDING_SECONDS)):
        source = soundscape(random) if random.rand() < options.soundscapes else speech_recording(random, paths)
        waves, token, phone = chunks_of(random, *source)
        with torch.no_grad():
            mels.append(log_mel(torch.tensor(waves)).numpy().astype(np.float16))
        tokens.append(token.astype(np.float16))
        phones.append(phone)
        if number % 60 == 0:
            print(f"{number * RECORDING_SECONDS / 3600:.2f} h", flush=True)
    for name, arrays in (("mel", mels), ("tokens", tokens), ("phones", phones)):
        joined = np.concatenate(arrays)
        np.save(f"{options.output}.{name}.npy", joined)
        print(name, joined.shape)


if __name__ == "__main__":
    main()
