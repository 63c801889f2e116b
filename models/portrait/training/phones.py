"""The phones that the labels know, and how the voices' alphabets map to them.

A phone is one IPA letter of `VOWELS` or `CONSONANTS`, or `PAUSE`. Everything else (length marks, accents, rare
letters, diphthongs, ARPAbet names) is reduced to a sequence of those.
"""

import unicodedata

PAUSE = "_"
VOWELS = list("iɪeɛæaɑʌəɚɔɒoʊuyøœɯɨ")
CONSONANTS = list("pbmfvθðtdnlszʃʒɹrwjkgŋxhʔ")
PHONES = [PAUSE] + VOWELS + CONSONANTS
PHONE_INDEX = {phone: index for index, phone in enumerate(PHONES)}
BILABIAL = frozenset("pbm")
LABIODENTAL = frozenset("fv")

# Rare IPA letters -> the nearest phone as seen on the lips.
_NEAREST = {
    "ɐ": "ʌ", "ɜ": "ɚ", "ᵻ": "ɪ", "ɤ": "ʌ", "ɵ": "ʊ", "ʉ": "u", "ʏ": "y", "ɘ": "ə", "ɞ": "œ", "ɫ": "l", "ɭ": "l",
    "ʎ": "l", "ɾ": "r", "ʁ": "x", "ʀ": "r", "ɣ": "x", "χ": "x", "ç": "x", "ɲ": "n", "ɡ": "g", "c": "k", "ɟ": "g",
    "β": "v", "ɸ": "f", "ʋ": "v", "ʂ": "ʃ", "ʐ": "ʒ", "ɕ": "ʃ", "ʑ": "ʒ", "ʝ": "j", "ʍ": "w", "ɱ": "n", "ɦ": "h",
    "ɥ": "y", "ɻ": "ɹ", "ɳ": "n", "ʈ": "t", "ɖ": "d", "q": "k", "ɽ": "r", "ħ": "h",
}  # fmt: skip

# ARPAbet of flite and festival -> IPA.
_ARPABET = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "eh": "ɛ", "er": "ɚ",
    "ey": "eɪ", "ih": "ɪ", "iy": "i", "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u", "ch": "tʃ", "dh": "ð", "dx": "r",
    "hh": "h", "hv": "h", "jh": "dʒ", "ng": "ŋ", "sh": "ʃ", "th": "θ", "y": "j", "zh": "ʒ", "r": "ɹ", "en": "n",
    "em": "m", "el": "l", "nx": "n",
}  # fmt: skip

# The Russian festival voice; soft consonants are written double there and sound the same on the lips.
_RUSSIAN = {
    "aa": "a", "ay": "ə", "ae": "ɪ", "ee": "ɛ", "e": "ɪ", "ii": "i", "i": "ɪ", "oo": "o", "uu": "u", "u": "ʊ",
    "ur": "ʊ", "yy": "ɨ", "y": "ɨ", "c": "ts", "ch": "tʃ", "sch": "ʃ", "sh": "ʃ", "zh": "ʒ", "h": "x", "hh": "x",
}  # fmt: skip

_SILENCE = {"pau", "sil", "ssil", "#", "##", "h#", "brth", ""}
_IGNORED = "ːˑʲʷʰˈˌ.-˞:"


def to_phones(name, alphabet):
    """The phones of one segment. `alphabet` is 'arpa', 'russian' or 'ipa'; unknown names count as a glottal stop."""
    if name.lower() in _SILENCE or name == "_:":
        return [PAUSE]
    if alphabet == "arpa":
        name = _ARPABET.get(name.lower(), name.lower())
    elif alphabet == "russian":
        name = _RUSSIAN.get(name, name[0] if len(name) == 2 and name[0] == name[1] else name)
    letters = [c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c)[0] != "M"]
    phones = [_NEAREST.get(c, c) for c in letters if c not in _IGNORED]
    return [p for p in phones if p in PHONE_INDEX] or ["ʔ"]


def timed_phones(segments, alphabet):
    """Split segments [(name, end seconds)...] into phones [(phone, start, end)...].

    Affricates give 35 % of their time to the stop, diphthongs 55 % to the first vowel.
    """
    result, start = [], 0.0
    for name, end in segments:
        duration = end - start
        if duration <= 0:
            continue
        phones = to_phones(name, alphabet)
        cuts = [i / len(phones) for i in range(len(phones) + 1)]
        if len(phones) == 2:
            cuts[1] = 0.35 if phones[0] in "td" else 0.55
        for index, phone in enumerate(phones):
            result.append((phone, start + cuts[index] * duration, start + cuts[index + 1] * duration))
        start = end
    return result
