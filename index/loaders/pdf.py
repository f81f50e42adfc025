"""PDF: the text of each page, under the headings of the outline. The only file that knows pypdfium2."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from index.errors import UnreadableFile
from index.loaders import ocr
from index.loaders.parts import HEADING_CHARACTERS, Loaded, Part, iso_day, one_line, written_author, written_title

HARDLY_ANY = 10
"""Letters and digits: a page with fewer has no text of its own, but a stamp or a number on a picture."""
DOTS_PER_POINT = 200 / 72
PICTURE_DOTS = 5_000
"""The longer side of a page for OCR, at the most."""
PICTURE_DEPTH = 3
"""Pictures can stand in forms, and these in others."""
REASONS = {
    pdfium.FPDF_ERR_PASSWORD: "needs a password; save a copy without one",
    pdfium.FPDF_ERR_SECURITY: "protected in a way not known here; save a copy without protection",
}


def read_pdf(content: bytes) -> Loaded:
    """Read a PDF; pages that are pictures are read by OCR where it is installed. Raises UnreadableFile."""
    try:
        with pypdfium2.PdfDocument(content) as document:
            texts = list(_texts(document))
            headings = list(_outline(document))
            about = document.get_metadata_dict()
    except pypdfium2.PdfiumError as error:
        raise UnreadableFile(REASONS.get(error.err_code, f"broken: {error}")) from None
    return Loaded(
        list(_parts(_mended(texts), headings)),
        title=written_title(about["Title"]),
        date=_day(about["CreationDate"]),
        author=written_author(about["Author"]),
    )


def _texts(document: Any) -> Iterator[str]:
    """Give the text of each page; raises UnreadableFile when they are pictures and stay so."""
    has_text = has_pictures = False
    for page in document:
        text = page.get_textpage().get_text_range()
        if _signs(text) < HARDLY_ANY and _has_picture(page):
            has_pictures = True
            text = _recognised(page) or text if ocr.installed() else text
        has_text = has_text or _signs(text) >= HARDLY_ANY
        page.close()
        yield text
    if has_pictures and not has_text:
        raise UnreadableFile(
            "scanned pages in which OCR found no text"
            if ocr.installed()
            else f"scanned pages, no text; {ocr.HOW_TO_INSTALL}"
        )


def _signs(text: str) -> int:
    return sum(map(str.isalnum, text))


def _has_picture(page: Any) -> bool:
    return next(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=PICTURE_DEPTH), None) is not None


def _recognised(page: Any) -> str:
    scale = min(DOTS_PER_POINT, PICTURE_DOTS / max(*page.get_size(), 1))
    return ocr.recognised(page.render(scale=scale, grayscale=True).to_pil())


@dataclass(frozen=True, slots=True)
class _Heading:
    """An entry of the outline: what begins on a page."""

    page: int
    """Counted from 0."""
    level: int
    words: str


def _outline(document: Any) -> Iterator[_Heading]:
    for entry in document.get_toc():
        place = entry.get_dest()
        page = place.get_index() if place else None
        words = one_line(entry.get_title(), HEADING_CHARACTERS)
        if page is not None and words:
            yield _Heading(page, entry.level, words)


def _parts(pages: Iterable[str], headings: Sequence[_Heading]) -> Iterator[Part]:
    """Cut each page where the words of a heading stand; a heading that is not found counts from the next page on."""
    beginning: dict[int, list[_Heading]] = defaultdict(list)
    for heading in headings:
        beginning[heading.page].append(heading)
    path: tuple[_Heading, ...] = ()
    for number, text in enumerate(pages):
        start = below = 0
        missed: list[_Heading] = []
        for heading in beginning[number]:
            found = _found(heading, text, below)
            if found is None:
                missed.append(heading)
                continue
            if text[below : found.start()].strip():
                yield _part(text[start : found.start()], number, path)
                start = found.start()
            path = _under((*missed, heading), path)
            missed, below = [], found.end()
        yield _part(text[start:], number, path)
        path = _under(missed, path)


def _part(text: str, number: int, path: tuple[_Heading, ...]) -> Part:
    return Part(text.strip(), number + 1, tuple(heading.words for heading in path))


def _under(headings: Iterable[_Heading], path: tuple[_Heading, ...]) -> tuple[_Heading, ...]:
    for heading in headings:
        path = (*(outer for outer in path if outer.level < heading.level), heading)
    return path


def _found(heading: _Heading, text: str, start: int) -> re.Match[str] | None:
    """Find the words of a heading at the beginning of a line, a number before them or not."""
    words = re.findall(r"\w+", heading.words.rstrip("…"))
    if not words:
        return None
    pattern = r"^[^\w\n]*(?:[\dIVXivx.]+[^\w\n]+)?" + r"\W+".join(map(re.escape, words))
    return re.compile(pattern, re.MULTILINE | re.IGNORECASE).search(text, start)


LINE_HYPHEN = "\ufffe"
"""What PDFium gives for a hyphen at the end of a line, and the two halves of the word on one line."""
HALVES = re.compile(rf"\b(\w+){LINE_HYPHEN}(\w+)")
COMPOUND = re.compile(r"\b\w+(?:-\w+)+")
AFTER_A_HYPHEN = set("""il ils elle elles on ce ci là t être même mêmes dire vous nous moi""".split())  # noqa: SIM905
"""Second halves of French words that are written with a hyphen: peut-être, dit-il, celui-ci."""


def _mended(pages: Sequence[str]) -> Iterator[str]:
    """Write pages as one reads them: words not parted by line ends, nor sentences where the line is full."""
    whole = "\n".join(pages).lower()
    compounds = {compound[0] for compound in COMPOUND.finditer(whole)}
    words = set(re.findall(r"\w+", whole))

    def joined(halves: re.Match[str]) -> str:
        first, second = halves.groups()
        word, compound = first + second, f"{first}-{second}"
        is_compound = second in AFTER_A_HYPHEN or second[0].isupper() or compound.lower() in compounds
        return word if word.lower() in words or not is_compound else compound

    for page in pages:
        text = HALVES.sub(joined, page.replace("\r\n", "\n")).replace(LINE_HYPHEN, "-")
        yield unicodedata.normalize("NFC", _unwrapped([line.rstrip() for line in text.split("\n")]))


PROSE_CHARACTERS = 40
DIGIT_SHARE = 0.1
"""A line with more digits is rather a row of a table."""


def _unwrapped(lines: list[str]) -> str:
    """Join a line of prose with the next where the sentence goes on, because the next word had no room."""
    lengths = sorted(len(line) for line in lines)
    # A few lines are longer than the others: letters are of different widths.
    width = 0.95 * lengths[len(lines) * 9 // 10]
    text = lines[0]
    for line, following in pairwise(lines):
        word = following.partition(" ")[0]
        is_prose = len(line) >= PROSE_CHARACTERS and sum(map(str.isdigit, line)) <= DIGIT_SHARE * len(line)
        goes_on = is_prose and (line[-1].islower() or line[-1] == ",") and len(line) + 1 + len(word) > width
        text += (" " if goes_on and word[:1].isalnum() else "\n") + following
    return text


def _day(date: str) -> str | None:
    """Read a date as PDF writes it: D:20230621093027-04'00'."""
    found = re.match(r"(?:D:)?(\d{4})(\d{2})(\d{2})", date)
    return iso_day("-".join(found.groups())) if found else None
