"""Make clean synthetic speech sound like any recording: rooms, microphones, noise, music, codecs, levels."""

import os
import subprocess
import tempfile

import numpy as np
import scipy.io.wavfile
import scipy.signal

from channels import SAMPLE_RATE

_CODECS = [
    ("mp3", ["-b:a", "32k"]),
    ("mp3", ["-b:a", "64k"]),
    ("ogg", ["-c:a", "libopus", "-b:a", "16k"]),
    ("wav", ["-c:a", "pcm_mulaw", "-ar", "8000"]),
    ("m4a", ["-c:a", "aac", "-b:a", "32k"]),
]


def _unit(wave):
    return wave / (wave.std() + 1e-9)


def noise(random, count):
    """White, brown or pink noise, mains hum, or a tone that slides like a siren; unit variance."""
    kind = random.randint(5)
    wave = random.randn(count)
    time = np.arange(count) / SAMPLE_RATE
    if kind == 1:
        wave = scipy.signal.lfilter([0.05], [1, -0.97], wave)
    elif kind == 2:
        spectrum = np.fft.rfft(wave)
        wave = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20), count)
    elif kind == 3:
        mains = random.choice([50, 60])
        tones = (np.sin(2 * np.pi * mains * h * time + random.rand() * 6) * random.rand() / h for h in range(1, 7))
        wave = 0.1 * wave + sum(tones)
    elif kind == 4:
        wave = 0.03 * wave + siren(random, count)
    return _unit(wave)


def siren(random, count):
    """A steady, sliding, warbling or two-tone sound with harmonics."""
    time = np.arange(count) / SAMPLE_RATE
    centre, depth, rate = random.uniform(250, 1800), random.uniform(0.05, 0.7), np.exp(random.uniform(-2, 1.8))
    swing = np.sin(2 * np.pi * rate * time + 6 * random.rand())
    kind = random.randint(4)
    if kind == 0:
        depth = 0
    elif kind == 1:
        swing = np.sign(swing)
    elif kind == 2:
        swing = (rate * time) % 2 - 1
    phase = np.cumsum(centre * (1 + depth * swing)) / SAMPLE_RATE
    fall = random.uniform(0.7, 2.5)
    return sum(np.sin(2 * np.pi * h * phase + 6 * random.rand()) / h**fall for h in range(1, random.randint(2, 9)))


def rustle(random, count):
    """A cough, knock or rustle: noise through one to three dull resonances, it swells and fades; unit variance."""
    wave = random.randn(count)
    wave = scipy.signal.lfilter([1], [1, -random.uniform(0, 0.85)], wave)
    total = 0.3 * wave
    for _ in range(random.randint(1, 4)):
        total = total + _resonance(wave, random.uniform(300, 5500), random.uniform(300, 1500)) * random.rand()
    return _swell(random, _unit(total), random.uniform(0.5, 2))


def in_breath(random, count):
    """Air drawn in through an open mouth: hiss through the tract of a neutral vowel; unit variance at most.

    Unlike a rustle it has the three or four resonances of a mouth and little below 300 Hz.
    """
    wave = random.randn(count)
    size = np.exp(random.uniform(-0.2, 0.2))
    total = random.uniform(0.05, 0.3) * wave
    for centre, width, share in ((650, 300, 0.4), (1550, 350, 1.0), (2650, 450, 0.8), (3900, 700, 0.5)):
        centre = centre * size * np.exp(random.uniform(-0.12, 0.12))
        total = total + _resonance(wave, centre, width * random.uniform(0.7, 1.6)) * share * random.uniform(0.3, 1.3)
    numerator, denominator = scipy.signal.butter(2, 300 / (SAMPLE_RATE / 2), "high")
    return _swell(random, _unit(scipy.signal.lfilter(numerator, denominator, total)), random.uniform(0.3, 1))


def _resonance(wave, centre, width):
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    poles = [1, -2 * radius * np.cos(2 * np.pi * centre / SAMPLE_RATE), radius**2]
    return _unit(scipy.signal.lfilter([1], poles, wave))


def _swell(random, wave, steepness):
    count = len(wave)
    ramp = np.interp(np.arange(count), [0, random.uniform(0.2, 0.8) * count, count], [0, 1, 0])
    return wave * ramp**steepness


def rustles(random, count):
    """Rustles one after the other, with pauses; about unit variance."""
    wave, place = np.zeros(count), 0
    while place < count:
        length = min(int(random.uniform(0.05, 1.4) * SAMPLE_RATE), count - place)
        if length > 400:
            wave[place : place + length] = rustle(random, length) * random.uniform(0.3, 1.5)
        place += length + int(random.uniform(0.05, 1.5) * SAMPLE_RATE)
    return wave


def music(random, count):
    """Plucked chords on a beat with a noise drum; unit variance."""
    time = np.arange(count) / SAMPLE_RATE
    wave = np.zeros(count)
    beat, base = random.uniform(0.2, 0.6), random.uniform(80, 300)
    for start in np.arange(0, count / SAMPLE_RATE, beat):
        first = int(start * SAMPLE_RATE)
        for _ in range(random.randint(1, 4)):
            pitch = base * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11, 12, 16, 19, 24]) / 12)
            length = min(count - first, int(SAMPLE_RATE * beat * random.uniform(0.8, 3)))
            near, fall = time[:length], random.uniform(0.8, 2)
            partials = sum(np.sin(2 * np.pi * pitch * h * near) / h**fall for h in range(1, 6))
            wave[first : first + length] += np.exp(-near * random.uniform(0.5, 6)) * partials
        if random.rand() < 0.6:
            length = min(count - first, 3000)
            drum = random.randn(length) * np.exp(-time[:length] * 40)
            wave[first : first + length] += drum * random.uniform(0.3, 2)
    return _unit(wave)


def _equalise(random, wave):
    corners = np.array([0, 150, 400, 1000, 2500, 5000, 8000.0])
    gains = np.cumsum(random.randn(7) * 3.5)
    spectrum, hertz = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    curve = np.interp(hertz, corners, gains - gains.max())
    for _ in range(random.randint(4)):
        # Peaks and dips of small rooms and cheap microphones, about a third of an octave wide.
        centre, width = np.exp(random.uniform(5, 8.9)), random.uniform(0.1, 0.4)
        curve = curve + random.randn() * 5 * np.exp(-(((np.log(hertz + 1) - np.log(centre)) / width) ** 2))
    return np.fft.irfft(spectrum * 10 ** (curve / 20), len(wave))


def _compress(random, wave):
    """What broadcasters and telephones do: soft syllables are raised."""
    slow = random.uniform(0.02, 0.3) * SAMPLE_RATE
    pole = np.exp(-1 / slow)
    level = np.sqrt(scipy.signal.lfilter([1 - pole], [1, -pole], wave**2) + 1e-6)
    return wave * (0.08 / (level + 0.01)) ** random.uniform(0.2, 0.7)


def record(random, wave):
    """One recording of `wave` (about 0.08 RMS): room, microphone, background, clipping, level -22..+10 dB."""
    count = len(wave)
    if random.rand() < 0.5:
        length = int(SAMPLE_RATE * random.uniform(0.08, 0.6))
        room = random.randn(length) * np.exp(-6.9 * np.arange(length) / length) * random.uniform(0.01, 0.08)
        room[0] = 1
        wave = scipy.signal.fftconvolve(wave, room)[:count]
    if random.rand() < 0.7:
        wave = _equalise(random, wave)
    if random.rand() < 0.25:
        numerator, denominator = scipy.signal.butter(4, random.choice([3400, 4000, 5500, 7000]) / (SAMPLE_RATE / 2))
        wave = scipy.signal.lfilter(numerator, denominator, wave)
    if random.rand() < 0.15:
        cut = random.choice([80, 150, 300]) / (SAMPLE_RATE / 2)
        numerator, denominator = scipy.signal.butter(2, cut, "high")
        wave = scipy.signal.lfilter(numerator, denominator, wave)
    if random.rand() < 0.25:
        wave = _compress(random, wave)
    background, level = random.rand(), max(np.sqrt((wave**2).mean()), 0.02)
    if background < 0.5:
        wave = wave + noise(random, count) * level * 10 ** (-random.uniform(10, 40) / 20)
    elif background < 0.6:
        wave = wave + music(random, count) * level * 10 ** (-random.uniform(10, 30) / 20)
    if random.rand() < 0.1:
        wave = np.tanh(wave * random.uniform(2, 8)) / 4
    wave = wave * 10 ** (random.uniform(-22, 10) / 20)
    wave = wave + random.randn(count) * 10 ** (random.uniform(-95, -55) / 20)
    return np.clip(wave, -1, 1).astype(np.float32)


def through_codec(random, wave):
    """Encode and decode with a random codec (ffmpeg) and remove its delay."""
    extension, arguments = _CODECS[random.randint(len(_CODECS))]
    with tempfile.TemporaryDirectory() as folder:
        source, coded, decoded = (os.path.join(folder, name) for name in ("a.wav", f"b.{extension}", "c.wav"))
        scipy.io.wavfile.write(source, SAMPLE_RATE, (wave * 32767).astype(np.int16))
        ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", "-i"]
        subprocess.run(ffmpeg + [source] + arguments + [coded], check=True)
        subprocess.run(ffmpeg + [coded, "-ar", str(SAMPLE_RATE), "-ac", "1", decoded], check=True)
        result = scipy.io.wavfile.read(decoded)[1].astype(np.float32) / 32768
    result = np.pad(result, (0, max(0, len(wave) - len(result))))[: len(wave)]
    correlation = scipy.signal.correlate(result, wave, "full", method="fft")
    lag = int(correlation.argmax()) - (len(wave) - 1)
    return np.roll(result, -lag) if abs(lag) < 4000 else result
