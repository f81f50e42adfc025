"""Near copies: one story in several files, with a few things changed."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from index.types import Passage

SHINGLE_WORDS = 3
COPIED = 0.75
"""The share of a passage's shingles from which it is a copy; docs/quality.md has what other values would give."""

WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"[.!?…:;]\s|\n\s*\n")


def fold_copies(passages: Iterable[Passage]) -> list[Passage]:
    """Leave out passages that only say what better ones said, and name their files in `also_in` of the nearest.

    passages: best first; those that stay keep their order.

    How much of a passage the better ones hold together, wherever it stands in them, is measured in runs of three words,
    called shingles. One that gives another number or name in the same place is no copy: it may be the newer version.

    References: Broder, On the resemblance and containment of documents, SEQUENCES 1997.
    """
    kept: list[Passage] = []
    holders: dict[tuple[str, ...], list[int]] = {}
    for passage in passages:
        shingles = _shingles(passage.text)
        held = [shingle for shingle in shingles if shingle in holders]
        shared = Counter(number for shingle in held for number in holders[shingle])
        originals = "\n\n".join(kept[number].text for number in shared)
        if len(held) >= COPIED * len(shingles) and not _contradicts(passage.text, originals):
            [(nearest, _)] = shared.most_common(1)
            kept[nearest] = _with_copy(kept[nearest], passage)
        else:
            for shingle in shingles:
                holders.setdefault(shingle, []).append(len(kept))
            kept.append(passage)
    return kept


def words(text: str) -> tuple[str, ...]:
    """Give the words of a text without case, marks and spaces: what a copy has in common with its original."""
    return tuple(word.casefold() for word in _words(text))


def stands_in(quote: str, text: str) -> bool:
    """Say whether the words of a quote stand in a text, one after the other, with whatever marks and spaces between."""
    wanted = " ".join(WORD.findall(quote))
    # Looking for a string takes as long as both are; an expression, as long as their product.
    return bool(wanted) and f" {wanted} " in f" {' '.join(WORD.findall(text))} "


def _shingles(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {found[start : start + SHINGLE_WORDS] for start in range(max(len(found) - SHINGLE_WORDS + 1, 1))}


def _contradicts(text: str, originals: str) -> bool:
    """Say whether a text has a new number or name where the originals have another: "14 morts", "12 morts"."""
    known = set(words(originals))
    taken = {place for place, _ in _facts(originals)}
    return any(place in taken and word not in known for place, word in _facts(text))


def _facts(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Give the place and the word of each number and name.

    A place is the words before and behind, empty at the ends of a sentence. What has a capital is taken for a name.
    """
    for sentence in SENTENCE_END.split(text):
        found = ["", *_words(sentence), ""]
        for before, word, behind in zip(found, found[1:], found[2:], strict=False):
            if word[:1].isupper() or any(map(str.isdigit, word)):
                yield (before.casefold(), behind.casefold()), word.casefold()


def _words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", text))


def _with_copy(original: Passage, copy: Passage) -> Passage:
    files = dict.fromkeys((*original.files(), *copy.files()))
    return replace(original, also_in=tuple(files)[1:])
