#!/usr/bin/python3
"""Collect the sentences that the synthetic voices read.

English comes from Debian's `fortunes`, every other language from the translated manual pages that are installed.
The text only decides which sounds are spoken, one after the other; no text reaches the network.

Output: one JSON object, language code -> list of sentences (4 to 16 words, letters, commas and hyphens only).
"""

import argparse
import glob
import gzip
import json
import random
import re

MAN_LANGUAGES = "de es fr it pl pt_BR ru cs nl sv tr ro uk".split()
ENGLISH = r"[A-Za-z ,\-]+"
ANY_SCRIPT = r"[^\W\d_][^\W\d_]?[\w ,\-]+"


def strip_markup(text):
    """Remove roff escapes and punctuation that a voice would spell out, and collapse white space."""
    text = re.sub(r"\\f[BIRP]|\\-|\\&|\\\(..", "", text)
    text = re.sub(r"[`\"'_*<>\[\]{}|#~^=\\/+()]", " ", text)
    return re.sub(r"\s+", " ", text).strip()


def sentences(text, allowed):
    """Yield the speakable sentences of `text`: 4..16 words, under 110 characters, matching the `allowed` pattern."""
    for part in re.split(r"(?<=[.!?;:])\s+", text):
        sentence = strip_markup(part).strip(" .!?;:-,")
        if 4 <= len(sentence.split()) <= 16 and len(sentence) < 110 and re.fullmatch(allowed, sentence):
            yield sentence


def fortunes():
    """English sentences of the installed fortune files."""
    found = []
    for path in sorted(glob.glob("/usr/share/games/fortunes/*.u8")):
        with open(path, encoding="utf8", errors="ignore") as file:
            for fortune in file.read().split("\n%\n"):
                found += sentences(fortune.replace("\n", " "), ENGLISH)
    return found


def manual_pages(language, limit=250):
    """Sentences of up to `limit` installed manual pages in `language`."""
    paths = sorted(glob.glob(f"/usr/share/man/{language}/man*/*.gz"))
    random.shuffle(paths)
    found = []
    for path in paths[:limit]:
        with gzip.open(path, "rt", encoding="utf8", errors="ignore") as file:
            text = re.sub(r"^\..*$", ". ", file.read(), flags=re.M)
        found += [s for s in sentences(text.replace("\n", " "), ANY_SCRIPT) if not re.search(r"\d", s)]
    return found


def unique_shuffled(items):
    items = list(dict.fromkeys(items))
    random.shuffle(items)
    return items


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="JSON file to write")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    pool = {"en": unique_shuffled(fortunes())}
    for language in MAN_LANGUAGES:
        pool[language] = unique_shuffled(manual_pages(language))[:3000]
    with open(options.output, "w", encoding="utf8") as file:
        json.dump(pool, file, ensure_ascii=False)
    print({language: len(found) for language, found in pool.items()})


if __name__ == "__main__":
    main()
