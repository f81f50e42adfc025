"""What every loader gives: the text of a file in parts, and what the file says of itself."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

TITLE_CHARACTERS = 200
HEADING_CHARACTERS = 80
GROUP_CHARACTERS = 400
"""How much of a table stands together in one part: about half a chunk, so that no chunk loses its header."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text that lies on one page and under one heading."""

    text: str
    page: int | None = None
    """Page, slide or sheet, counted from 1."""
    path: tuple[str, ...] = ()
    """The headings it stands under, outermost first; of a table, the name of its sheet."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The parts of a file in the order of its text; title, day and author where it tells them."""

    parts: Sequence[Part]
    title: str | None = None
    date: str | None = None
    """ISO 8601, a day: of publication where the file says that, else when it was made."""
    author: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a row of a table, an item of a list or a heading."""

    text: str
    level: int = 0
    """Of a heading, from 1; 0 for all other text."""
    run: str = ""
    """Of rows or of items: no blank line parts one from the next."""


def by_headings(blocks: Iterable[Block], page: int | None = None, path: tuple[str, ...] = ()) -> list[Part]:
    """Join blocks into one part for each heading; a heading with nothing below it begins the next part.

    path: the headings that all of them stand under.
    """
    parts: list[Part] = []
    headings: list[Block] = []
    gathered: list[Block] = []

    def finish() -> None:
        if gathered:
            parts.append(Part(_joined(gathered), page, path + tuple(heading.text for heading in headings)))
            gathered.clear()

    for block in blocks:
        if not block.text.strip():
            continue
        if block.level:
            if not all(before.level for before in gathered):
                finish()
            headings = [heading for heading in headings if heading.level < block.level]
            headings.append(Block(one_line(block.text, HEADING_CHARACTERS), block.level))
        gathered.append(block)
    finish()
    return parts


def _joined(blocks: Sequence[Block]) -> str:
    text = blocks[0].text
    for before, block in pairwise(blocks):
        text += ("\n" if block.run and before.run == block.run else "\n\n") + block.text
    return text


def row(cells: Iterable[str]) -> str:
    """Write a row of a table: cells of single words as one reads them, all others parted by bars."""
    texts = [" ".join(cell.split()) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    single_words = all(text and " " not in text for text in texts)
    return (" " if single_words else " | ").join(texts).strip()


def first_heading(blocks: Sequence[Block]) -> str | None:
    """Give the heading that a text begins with, for its title."""
    return blocks[0].text if blocks and blocks[0].level else None


def grouped(records: Iterable[str], header: str = "", page: int | None = None, name: str = "") -> list[Part]:
    """Put short records together in parts, each part under the header again; a record stays whole."""
    parts: list[Part] = []
    group: list[str] = []
    path = (name,) if name else ()
    size = 0
    for record in records:
        if group and size + len(record) > GROUP_CHARACTERS:
            parts.append(Part("\n\n".join(group), page, path))
            group, size = [], 0
        if header and not group:
            group.append(header)
            size += len(header)
        group.append(record)
        size += len(record)
    return [*parts, Part("\n\n".join(group), page, path)] if group else parts


def one_line(text: str, characters: int = TITLE_CHARACTERS) -> str:
    """Write a title on one line, and not for ever."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def iso_day(value: str | None) -> str | None:
    """Give the day of an ISO 8601 date or date with time, None for anything else."""
    if not value or not re.match(r"\d{4}-\d{2}-\d{2}(?:[T ]|$)", value):
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return None


PROGRAM_TITLE = re.compile(
    r"^(?:Microsoft (?:Word|PowerPoint|Excel) - )|\.(?:docx?|odt|pptx?|xlsx?|rtf|indd|pdf)$", re.I
)
NO_TITLES = {
    "untitled",
    "untitled document",
    "sans titre",
    "sans nom",
    "powerpoint presentation",
    "présentation powerpoint",
    "word document",
    "document",
    "document1",
    "diapositive 1",
    "slide 1",
}
NO_AUTHORS = {
    "microsoft office user",
    "utilisateur microsoft office",
    "python-docx",
    "openpyxl",
    "user",
    "admin",
    "unknown",
}
"""What programs write there when nobody wrote anything, in lower case."""


def written_title(value: str | None) -> str | None:
    """Give a title that somebody wrote, None for what programs put there: "Microsoft Word - x.doc" is "x"."""
    title = PROGRAM_TITLE.sub("", one_line(value or "")).strip()
    return title if title and title.lower() not in NO_TITLES else None


def written_author(*names: str | None) -> str | None:
    """Join the names of the authors; None for what programs put there."""
    people = dict.fromkeys(one_line(name) for name in names if name and name.strip().lower() not in NO_AUTHORS)
    return one_line(", ".join(filter(None, people))) or None
