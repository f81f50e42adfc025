"""Measures the folding of near copies on stories that are changed as papers change them.

    python -m tests.evaluation.copies FOLDER…

Half of the documents, by the hash of their ids, is for choosing COPIED, the other half for confirming it. Printed are:
of the passages of a changed story, the share that is folded into those of the story as it was, by kind of change; of
the passages in which a number or a name was exchanged, the share that is folded wrongly; and how many paragraphs of
the documents as they are would be folded into other paragraphs.
"""

import argparse
import json
import random
import re
import textwrap
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from assistant.evaluation.data import Record, read_records
from index import Passage, SentenceSplitter, SentenceTransformerEmbeddings, copies
from index.models import PACKAGED
from index.sentences import sentences

SHARES = (0.6, 0.7, 0.75, 0.8, 0.9)
STORIES = 60
"""Of each folder, at the most."""
DATELINES = (
    "PARIS, 5 novembre (AFP) – ",
    "WASHINGTON (Reuters) — ",
    "Lyon, le 6 nov. 2025 (AFP) - ",
    "MADRID (EFE) — ",
)
NAMES = ("Nicosie", "Montluçon", "Zanzibar", "Kowalski")
splitter = SentenceSplitter(SentenceTransformerEmbeddings(PACKAGED).token_spans, 200, 40)

Change = Callable[[str, random.Random, Sequence[str]], str]
"""A text, chance, and other texts of the same language → the changed text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    found = [story for folder in parser.parse_args().folders for story in stories(folder)]
    for half, shares in ((0, SHARES), (1, (copies.COPIED,))):
        own = [story for story in found if zlib.crc32(story.id.encode()) % 2 == half]
        for share in shares:
            copies.COPIED = share
            print(json.dumps({"half": half, "share": share, **figures(own, found)}), flush=True)


def stories(folder: Path) -> list[Record]:
    fitting = [record for record in read_records(folder) if 120 <= len(record.text.split()) <= 900]
    return sorted(fitting, key=lambda record: zlib.crc32(record.text.encode()))[:STORIES]


def figures(own: Sequence[Record], found: Sequence[Record]) -> dict[str, float | int]:
    chance = random.Random(0)
    folded: dict[str, list[bool]] = defaultdict(list)
    for story in own:
        others = [other.text for other in found if other.language == story.language and other.title != story.title]
        original = passages(story.text, story.language, "original")
        for kind, change in (CHANGES | EXCHANGES).items():
            for passage in passages(change(story.text, chance, others), story.language, "copy"):
                if kind in CHANGES or not set(copies.words(passage.text)) <= set(copies.words(story.text)):
                    folded[kind].append(len(copies.fold_copies([*original, passage])) == len(original))
    paragraphs = [passage for story in own for passage in by_paragraph(story)]
    return {
        "stories": len(own),
        **{kind: round(sum(truths) / len(truths), 3) for kind, truths in folded.items()},
        "paragraphs": len(paragraphs),
        "paragraphs folded": len(paragraphs) - len(copies.fold_copies(paragraphs)),
    }


def passages(text: str, language: str, source: str) -> list[Passage]:
    spans = splitter.split_spans(text, language)
    return [Passage(f"{source}-{start}", text[start:end], source, "", None, start, 1.0) for start, end in spans]


def by_paragraph(story: Record) -> Iterator[Passage]:
    for number, paragraph in enumerate(paragraphs_of(story.text)):
        yield from passages(paragraph, story.language, f"{story.id}-{number}")


def paragraphs_of(text: str) -> list[str]:
    return [paragraph for paragraph in re.split(r"\n\s*\n", text) if len(paragraph.split()) > 15]


def dateline(text: str, chance: random.Random, _: Sequence[str]) -> str:
    return chance.choice(DATELINES) + text


def title(text: str, chance: random.Random, others: Sequence[str]) -> str:
    return f"{chance.choice(others).partition('.')[0][:80]}\n\n{text}"


def sentence_added(text: str, chance: random.Random, others: Sequence[str]) -> str:
    added = chance.choice(others).partition(". ")[0]
    place = chance.choice(sentences(text, None))[1]
    return f"{text[:place]} {added}.{text[place:]}"


def sentence_removed(text: str, chance: random.Random, _: Sequence[str]) -> str:
    start, end = chance.choice(sentences(text, None))
    return text[:start] + text[end:]


def typography(text: str, _: random.Random, __: Sequence[str]) -> str:
    marks = {"'": "’", "« ": "“", " »": "”", "...": "…", " - ": " – ", " ?": "\u00a0?", " :": "\u00a0:"}
    for mark, other in marks.items():
        text = text.replace(mark, other)
    return text


def reordered(text: str, chance: random.Random, _: Sequence[str]) -> str:
    parts = re.split(r"\n\s*\n", text)
    if len(parts) < 2:
        parts = [text[start:end] for start, end in sentences(text, None)]
        return " ".join(parts[len(parts) // 2 :] + parts[: len(parts) // 2])
    return "\n\n".join(chance.sample(parts, len(parts)))


def wrapped(text: str, _: random.Random, __: Sequence[str]) -> str:
    return "\n\n".join(textwrap.fill(paragraph, 72) for paragraph in re.split(r"\n\s*\n", text))


def words_edited(text: str, chance: random.Random, others: Sequence[str]) -> str:
    pool = re.findall(r"\b[a-zà-ÿ]{5,}\b", chance.choice(others)) or ["autre"]
    return re.sub(r"\b[a-zà-ÿ]{5,}\b", lambda word: chance.choice(pool) if chance.random() < 0.03 else word[0], text)


def several(text: str, chance: random.Random, others: Sequence[str]) -> str:
    for change in chance.sample([dateline, title, sentence_added, sentence_removed, typography, reordered, wrapped], 3):
        text = change(text, chance, others)
    return text


CHANGES: dict[str, Change] = {
    "dateline": dateline,
    "title": title,
    "sentence added": sentence_added,
    "sentence removed": sentence_removed,
    "typography": typography,
    "reordered": reordered,
    "wrapped": wrapped,
    "words edited": words_edited,
    "three of these": several,
}


def number_exchanged(text: str, chance: random.Random, _: Sequence[str]) -> str:
    return re.sub(r"\b\d{1,9}\b", lambda n: str(int(n[0]) + 7) if chance.random() < 0.2 else n[0], text)


def name_exchanged(text: str, chance: random.Random, _: Sequence[str]) -> str:
    names = re.findall(r"(?<=[a-zà-ÿ,] )[A-ZÀ-Ý][a-zà-ÿ]{3,}", text)
    return re.sub(rf"\b{max(names, key=names.count)}\b", chance.choice(NAMES), text) if names else text


EXCHANGES: dict[str, Change] = {"number exchanged": number_exchanged, "name exchanged": name_exchanged}

if __name__ == "__main__":
    main()
