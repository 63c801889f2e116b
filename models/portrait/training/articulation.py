"""Labels: timed phones -> 18 articulation channels, with dominance and coarticulation.

Every phone has targets and, per channel, a dominance (how strongly it insists). A channel at time t is the mean of
all targets weighted by dominance and by an exponential of the distance to the phone's core (after Cohen & Massaro,
"Modeling coarticulation in synthetic visual speech", 1993). Then p, b, m get a hard closure, because the weighted
mean alone leaves the lips ajar.
"""

import numpy as np

from channels import ARTICULATION, ARTICULATIONS
from phones import BILABIAL, PAUSE, VOWELS

RATE = 200  # label samples a second before they are read at frame centres
CHANNEL = {name: index for index, name in enumerate(ARTICULATION)}

# jaw, open, width, round, protrude, teeth, upper_raise, lower_drop, stretch
_VOWEL_TARGETS = {
    "i": (0.20, 0.30, 0.60, 0, 0, 0.7, 0.25, 0.35, 0.7),
    "ɪ": (0.25, 0.34, 0.35, 0, 0, 0.6, 0.2, 0.3, 0.4),
    "e": (0.32, 0.42, 0.45, 0, 0, 0.6, 0.25, 0.4, 0.5),
    "ɛ": (0.48, 0.54, 0.32, 0, 0, 0.5, 0.3, 0.5, 0.3),
    "æ": (0.68, 0.72, 0.35, 0, 0, 0.5, 0.4, 0.65, 0.3),
    "a": (0.72, 0.78, 0.12, 0, 0, 0.35, 0.4, 0.7, 0.1),
    "ɑ": (0.78, 0.78, -0.05, 0, 0, 0.25, 0.35, 0.7, 0),
    "ʌ": (0.52, 0.56, 0.0, 0, 0, 0.3, 0.25, 0.45, 0),
    "ə": (0.28, 0.34, 0.0, 0, 0, 0.35, 0.15, 0.25, 0),
    "ɚ": (0.28, 0.34, -0.2, 0.3, 0.3, 0.35, 0.15, 0.25, 0),
    "ɔ": (0.52, 0.56, -0.4, 0.55, 0.4, 0.15, 0.25, 0.4, 0),
    "ɒ": (0.6, 0.62, -0.2, 0.3, 0.2, 0.2, 0.3, 0.5, 0),
    "o": (0.36, 0.42, -0.6, 0.8, 0.6, 0.1, 0.2, 0.3, 0),
    "ʊ": (0.22, 0.28, -0.45, 0.6, 0.5, 0.15, 0.12, 0.2, 0),
    "u": (0.18, 0.20, -0.75, 1, 0.8, 0.05, 0.1, 0.15, 0),
    "y": (0.15, 0.20, -0.6, 0.9, 0.8, 0.15, 0.1, 0.15, 0),
    "ø": (0.32, 0.34, -0.5, 0.7, 0.6, 0.15, 0.15, 0.25, 0),
    "œ": (0.42, 0.44, -0.35, 0.5, 0.4, 0.2, 0.2, 0.35, 0),
    "ɯ": (0.22, 0.28, 0.1, 0, 0, 0.5, 0.15, 0.25, 0.1),
    "ɨ": (0.22, 0.30, 0.2, 0, 0, 0.55, 0.15, 0.25, 0.2),
}
_VOWEL_NAMES = ("jaw", "open", "width", "round", "protrude", "teeth", "upper_raise", "lower_drop", "stretch")
# Vowels insist on their opening, or the consonants around a short one would shut it.
_VOWEL_DOMINANCE = dict.fromkeys(_VOWEL_NAMES, 1.0) | dict(
    jaw=1.5, open=2.2, upper_raise=1.5, lower_drop=1.8, teeth=0.7, tongue_tip=0.4, tongue_back=0.4
)
# A network that is unsure gives less than it was shown: the targets are wider open by 1 - (1 - x) ** WIDER.
_WIDER = 1.6

_LIPS_SHUT = dict(jaw=0.8, open=8, teeth=4, upper_raise=5, lower_drop=5, width=0.15, round=0.1, stretch=0.15)
# (phones, targets, dominance, voiced phones)
_CONSONANTS = [
    ("pb", dict(jaw=0.10, open=0, lipclose=1, press=1), _LIPS_SHUT, "b"),
    ("m", dict(jaw=0.10, open=0, lipclose=1, nasal=1, press=0.3), _LIPS_SHUT, "m"),
    ("fv", dict(jaw=0.12, open=0.07, tuck=1, teeth=0.7, upper_raise=0.3, lower_drop=0),
     dict(jaw=1.2, open=12, tuck=2.5, teeth=2, upper_raise=1.5, lower_drop=5, width=0.3, round=0.3), "v"),
    ("θð", dict(jaw=0.18, open=0.24, tongue_out=1, tongue_tip=1, teeth=0.6, upper_raise=0.15, lower_drop=0.25),
     dict(jaw=1, open=1.5, teeth=1, tongue_tip=2, width=0.25, round=0.25), "ð"),
    ("td", dict(jaw=0.12, open=0.22, tongue_tip=0.8, teeth=0.6, lower_drop=0.2, upper_raise=0.1),
     dict(jaw=1, open=0.9, teeth=0.5, tongue_tip=1.5, round=0.15, width=0.15), "d"),
    ("n", dict(jaw=0.14, open=0.22, tongue_tip=0.8, teeth=0.5, lower_drop=0.2, nasal=1),
     dict(jaw=0.6, open=0.5, teeth=0.4, tongue_tip=1.5), "n"),
    ("l", dict(jaw=0.25, open=0.32, tongue_tip=1, teeth=0.4, lower_drop=0.3),
     dict(jaw=0.4, open=0.4, teeth=0.4, tongue_tip=2), "l"),
    ("sz", dict(jaw=0.06, open=0.16, teeth=1, width=0.22, stretch=0.3, lower_drop=0.2, upper_raise=0.2),
     dict(jaw=2.5, open=2.6, teeth=2, width=0.4, round=0.4, stretch=0.4, lower_drop=0.8), "z"),
    ("ʃʒ", dict(jaw=0.08, open=0.22, teeth=0.8, round=0.5, protrude=0.9, width=-0.35, lower_drop=0.3,
                upper_raise=0.35),
     dict(jaw=2.5, open=2.4, teeth=1.5, width=1, round=1, protrude=1.8, upper_raise=1, lower_drop=0.8), "ʒ"),
    ("ɹ", dict(jaw=0.2, open=0.24, round=0.45, protrude=0.45, width=-0.3, lower_drop=0.2),
     dict(jaw=0.5, open=0.7, width=0.6, round=0.6, protrude=0.7), "ɹ"),
    ("r", dict(jaw=0.22, open=0.28, tongue_tip=0.7, lower_drop=0.25), dict(jaw=0.4, open=0.4, tongue_tip=1), "r"),
    ("w", dict(jaw=0.12, open=0.10, round=1, protrude=0.8, width=-0.8),
     dict(jaw=1.5, open=3.5, width=1.6, round=2, protrude=1.6, lower_drop=1, upper_raise=1), "w"),
    ("j", dict(jaw=0.16, open=0.25, width=0.45, stretch=0.5, teeth=0.6, lower_drop=0.25),
     dict(jaw=0.6, open=0.7, width=0.6, stretch=0.6, teeth=0.4), "j"),
    ("kg", dict(jaw=0.2, open=0.28, tongue_back=1, lower_drop=0.2), dict(jaw=0.35, open=0.35, tongue_back=1.5), "g"),
    ("ŋ", dict(jaw=0.2, open=0.26, tongue_back=1, nasal=1, lower_drop=0.2),
     dict(jaw=0.35, open=0.35, tongue_back=1.5), "ŋ"),
    ("x", dict(jaw=0.25, open=0.32, tongue_back=0.8, lower_drop=0.25), dict(jaw=0.3, open=0.3, tongue_back=1), ""),
    ("h", dict(jaw=0.3, open=0.36, lower_drop=0.3), dict(jaw=0.12, open=0.12), ""),
    ("ʔ", dict(jaw=0.25, open=0.3), dict(jaw=0.08, open=0.08), ""),
]  # fmt: skip
_PAUSE_DOMINANCE = dict(
    jaw=0.55, open=0.7, width=0.35, round=0.4, protrude=0.4, teeth=0.8, upper_raise=0.7, lower_drop=0.7,
    tongue_tip=1, tongue_back=1, stretch=0.4,
)  # fmt: skip
_ALWAYS_DEFINED = ("speech", "voiced", "nasal", "tongue_out", "tuck", "lipclose", "press")

# Seconds over which a channel anticipates (before) and carries over (after) a phone.
_SPREAD = {
    "width": (0.09, 0.06), "round": (0.10, 0.06), "protrude": (0.10, 0.06), "stretch": (0.09, 0.06),
    "jaw": (0.06, 0.06), "tongue_tip": (0.03, 0.03), "tongue_out": (0.03, 0.03), "tongue_back": (0.03, 0.03),
    "lipclose": (0.02, 0.02), "press": (0.02, 0.02), "tuck": (0.025, 0.025), "speech": (0.02, 0.02),
    "voiced": (0.015, 0.015), "nasal": (0.02, 0.02), "teeth": (0.035, 0.035),
}  # fmt: skip
_BEFORE = np.array([_SPREAD.get(name, (0.03, 0.03))[0] for name in ARTICULATION])
_AFTER = np.array([_SPREAD.get(name, (0.03, 0.03))[1] for name in ARTICULATION])


def _row(targets, dominance):
    """Target and dominance vectors [18], [18] of one phone."""
    target, weight = np.zeros(ARTICULATIONS), np.full(ARTICULATIONS, 0.15)
    for name, value in targets.items():
        target[CHANNEL[name]] = value
    for name, value in dominance.items():
        weight[CHANNEL[name]] = value
    for name in _ALWAYS_DEFINED:
        weight[CHANNEL[name]] = max(weight[CHANNEL[name]], 1.0)
    return target, weight


def _phone_table():
    table = {PAUSE: _row({}, _PAUSE_DOMINANCE)}
    for phone in VOWELS:
        targets = dict(zip(_VOWEL_NAMES, _VOWEL_TARGETS[phone]), speech=1, voiced=1)
        table[phone] = _row(targets, _VOWEL_DOMINANCE)
    for phones, targets, dominance, voiced in _CONSONANTS:
        for phone in phones:
            table[phone] = _row(dict(speech=1, voiced=float(phone in voiced)) | targets, dominance)
    return table


_TABLE = _phone_table()
_OPENING = [CHANNEL[name] for name in ("jaw", "open", "lower_drop", "upper_raise")]
_SHUT_CHANNELS = [
    CHANNEL[name] for name in ("open", "teeth", "lower_drop", "upper_raise", "tongue_tip", "tongue_back", "tongue_out")
]


def _loudness(wave, sample_rate):
    """Smoothed level in dB at RATE."""
    hop = sample_rate // RATE
    blocks = wave[: len(wave) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10((blocks**2).mean(1) + 1e-8)
    return np.convolve(level, np.ones(8) / 8, "same")


def _phone_target(phone, start, end, level, loud):
    """The phone's row, with vowels opened by loudness and length and short pauses left ajar."""
    target, weight = _TABLE[phone]
    target, weight = target.copy(), weight.copy()
    if phone in _VOWEL_TARGETS:
        first, last = int(start * RATE), max(int(end * RATE), int(start * RATE) + 1)
        peak = level[first:last].max() if first < len(level) else -60.0
        target[_OPENING] = 1 - (1 - target[_OPENING]) ** _WIDER
        target[_OPENING] *= np.clip(1 + 0.025 * (peak - loud), 0.7, 1.12) * np.clip(
            0.72 + (end - start) * 3, 0.8, 1.08
        )
    elif phone == PAUSE and end - start < 0.12:
        weight[:15] *= 0.35
        target[CHANNEL["open"]], target[CHANNEL["jaw"]] = 0.12, 0.1
    return target, weight


def tracks(phones, wave, sample_rate):
    """Articulation of [(phone, start, end)...] over the whole wave: float [ceil(seconds * RATE) + 1, 18]."""
    duration = len(wave) / sample_rate
    count = int(np.ceil(duration * RATE)) + 1
    time = np.arange(count) / RATE
    total, weights = np.zeros((count, ARTICULATIONS)), np.full((count, ARTICULATIONS), 1e-6)
    level = _loudness(wave, sample_rate)
    loud = np.percentile(level, 92)
    for phone, start, end in phones:
        if start >= duration:
            break
        target, weight = _phone_target(phone, start, end, level, loud)
        core = 0.25 * (end - start)
        first, last = max(0, int((start - 0.45) * RATE)), min(count, int((end + 0.45) * RATE) + 1)
        near = time[first:last]
        ahead = np.maximum(start + core - near, 0)[:, None]
        behind = np.maximum(near - (end - core), 0)[:, None]
        dominance = weight * np.exp(-ahead / _BEFORE - behind / _AFTER) + 1e-9
        total[first:last] += dominance * target
        weights[first:last] += dominance
    result = total / weights
    for phone, start, end in phones:
        if phone in BILABIAL:
            half = max((end - start) / 2 - 0.01, 0.02)
            distance = np.maximum(np.abs(time - (start + end) / 2) - half, 0)
            result[:, _SHUT_CHANNELS] *= (1 - np.exp(-((distance / 0.035) ** 2)))[:, None]
    return _smooth(result)


# Of a breath's opening; and how long before the sound the mouth begins to open and after it shuts, in seconds.
_BREATH = dict(open=1.0, jaw=0.9, lower_drop=0.5, upper_raise=0.2)
_BREATH_LEAD, _BREATH_RISE, _BREATH_FALL, _BREATH_TAIL = 0.08, 0.24, 0.14, 0.07


def open_for_breath(tracks_, start, end, height):
    """Open the mouth in `tracks_` [n, 18] (at RATE, in place) to `height` for air drawn in from `start` to `end` s.

    It opens slowly, begins before the air is heard, and is shut again 70 ms after it.
    """
    first, last = start - _BREATH_LEAD, end + _BREATH_TAIL
    time = np.arange(len(tracks_)) / RATE
    rising = np.clip((time - first) / _BREATH_RISE, 0, 1)
    falling = np.clip((last - time) / _BREATH_FALL, 0, 1)
    shape = height * 0.25 * (1 - np.cos(np.pi * rising)) * (1 - np.cos(np.pi * falling))
    for name, share in _BREATH.items():
        column = tracks_[:, CHANNEL[name]]
        np.maximum(column, share * shape, out=column)


def _smooth(values, sigma=0.022):
    kernel = np.exp(-0.5 * (np.arange(-16, 17) / RATE / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((16, 16), (0, 0)), "edge")
    return np.stack([np.convolve(padded[:, c], kernel, "valid") for c in range(values.shape[1])], 1)
