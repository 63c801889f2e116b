"""Turn one synthetic speaker into many: vocal tract, pitch, tempo, breath and emphasis, with the phones' times.

A few clean voices make a network that hears only those. Here each utterance is taken apart into spectral envelope
(the vocal tract) and excitation (the voice) by its cepstrum, both are changed on their own, and it is put together
again by a phase vocoder that reads the recording at a wandering speed.
"""

import numpy as np

from channels import SAMPLE_RATE
from phones import VOWELS

FRAME, HOP = 512, 128
ENVELOPE_COEFFICIENTS = 34  # cepstral coefficients of the envelope: 2.1 ms, shorter than the period of any pitch
_WINDOW = np.hanning(FRAME + 1)[:FRAME]
_BINS = FRAME // 2 + 1


def reading_times(random, samples, tempo, hold):
    """Positions in samples at which the output's frames read the input, `tempo` times as fast on average.

    `hold` is None or (start, end, factor): between these samples the reading is `factor` times slower.
    """
    knots = random.standard_normal(samples // 4000 + 4) * 0.16
    positions, position = [], 0.0
    while position < samples:
        positions.append(position)
        place = position / 4000
        left = int(place)
        wander = knots[left] + (knots[left + 1] - knots[left]) * (place - left)
        speed = tempo * np.exp(wander)
        if hold and hold[0] <= position < hold[1]:
            speed /= hold[2]
        position += HOP * speed
    return np.array(positions)


def spectra(wave, positions):
    """Spectra [n, 257] of the windows that begin at `positions` (whole samples; the wave is padded)."""
    padded = np.pad(wave, FRAME)
    first = positions.astype(int) + FRAME - FRAME // 2
    return np.fft.rfft(padded[first[:, None] + np.arange(FRAME)] * _WINDOW)


def envelope(log_magnitude):
    """Cepstrally smoothed log magnitude [n, 257] and its mean [n, 1]."""
    cepstrum = np.fft.irfft(log_magnitude)
    cepstrum[:, ENVELOPE_COEFFICIENTS : FRAME - ENVELOPE_COEFFICIENTS + 1] = 0
    return np.fft.rfft(cepstrum).real, cepstrum[:, :1]


def warped_bins(factor):
    """Where each output bin reads the envelope: formants times `factor`, the top of the band stays."""
    knee = 0.8 * min(1.0, factor)
    place = np.linspace(0, 1, _BINS)
    low = place / factor
    high = knee / factor + (place - knee) * (1 - knee / factor) / (1 - knee)
    return np.where(place < knee, low, high) * (_BINS - 1)


def overlap_add(frames, count):
    """Frames [n, 512] every 128 samples, windowed again: a wave of `count` samples."""
    total = np.zeros(((len(frames) + 4) * HOP,))
    weight = np.zeros_like(total)
    for part in range(FRAME // HOP):
        span = slice(part * HOP, (part + len(frames)) * HOP)
        piece = slice(part * HOP, (part + 1) * HOP)
        total[span] += (frames[:, piece] * _WINDOW[piece]).ravel()
        weight[span] += np.tile(_WINDOW[piece] ** 2, len(frames))
    return (total / np.maximum(weight, 0.3))[FRAME // 2 :][:count]


def resonate(random, wave, positions, formants, breath):
    """The wave read at `positions`, with formants times `formants`; `breath` in 0..1 replaces voice by noise."""
    now, before = spectra(wave, positions), spectra(wave, positions - HOP)
    advance = np.angle(now) - np.angle(before)
    phase = np.angle(now[:1]) + np.cumsum(np.concatenate([np.zeros((1, _BINS)), advance[1:]]), 0)
    log_magnitude = np.log(np.abs(now) + 1e-4)
    shape, mean = envelope(log_magnitude)
    fine = log_magnitude - shape
    bins = warped_bins(formants)
    left = np.minimum(bins.astype(int), _BINS - 2)
    moved = shape[:, left] + (shape[:, left + 1] - shape[:, left]) * (bins - left)
    # Sharper or duller formants.
    moved = mean + (moved - mean) * random.uniform(0.82, 1.12)
    spectrum = np.exp(moved + fine + 1j * phase)
    if breath > 0:
        noise = (random.standard_normal(now.shape) + 1j * random.standard_normal(now.shape)) * 0.7
        share = breath * np.clip(np.linspace(-0.3, 1.7, _BINS) + random.uniform(-0.5, 0.8), 0, 1)
        spectrum = spectrum * np.sqrt(1 - share**2) + noise * np.exp(moved) * share
    return overlap_add(np.fft.irfft(spectrum), len(positions) * HOP)


def emphasise(random, wave):
    """Louder and softer syllables, a few decibels, four times a second."""
    count = len(wave) // (SAMPLE_RATE // 4) + 3
    gain = random.standard_normal(count) * random.uniform(0.5, 3.5)
    times = np.arange(len(wave)) / (SAMPLE_RATE // 4) + random.uniform()
    return wave * 10 ** (np.interp(times, np.arange(count), gain) / 20)


def held_vowel(random, phones):
    """(start, end, factor) in samples to sing one long vowel, or None."""
    vowels = [(start, end) for phone, start, end in phones if phone in VOWELS and end - start > 0.06]
    if not vowels or random.uniform() > 0.06:
        return None
    start, end = vowels[random.randint(len(vowels))]
    inner = 0.3 * (end - start)
    return (start + inner) * SAMPLE_RATE, (end - inner) * SAMPLE_RATE, random.uniform(8, 40)


def change_voice(random, wave, phones):
    """Another speaker says the same: (wave, phones [(phone, start, end)...])."""
    pitch = np.exp(random.uniform(-0.33, 0.33))
    formants = np.exp(random.uniform(-0.21, 0.21))
    tempo = np.exp(random.uniform(-0.3, 0.26))
    breath = random.uniform(0.2, 1.0) if random.uniform() < 0.3 else 0.0
    hold = held_vowel(random, phones)
    positions = reading_times(random, len(wave), tempo / pitch, hold)
    changed = resonate(random, wave, positions, formants / pitch, breath)
    # Read at another sampling rate, pitch and formants move together; the formants had been moved back before.
    count = int(len(changed) / pitch)
    result = np.interp(np.arange(count) * pitch, np.arange(len(changed)), changed)
    made = np.arange(len(positions)) * HOP / SAMPLE_RATE / pitch
    read = positions / SAMPLE_RATE
    last = len(result) / SAMPLE_RATE

    def moved(time):
        return min(float(np.interp(time, read, made)), last)

    phones = [(phone, moved(start), moved(end)) for phone, start, end in phones]
    return emphasise(random, result).astype(np.float32), phones
