"""text → sentences, as character spans: what chunks are made of and what answers quote.

pysbd has the rules of 23 languages (Sadvilkar and Neumann, NLP-OSS 2020). Three things are mended here: its
offsets, which slip on some texts and take quadratic time; the abbreviations it cuts after ("Mme.", "MM.",
"av. J.-C."); and quotations, which stay whole.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from pysbd import Segmenter  # type: ignore[import-untyped]
from pysbd.languages import LANGUAGE_CODES  # type: ignore[import-untyped]

Span = tuple[int, int]
"""Start and end in characters, end exclusive."""

PIECE_CHARACTERS = 4_000
"""The rules see no more at a time: their time stays linear in the text."""
QUOTATION_CHARACTERS = 1_000
"""A quotation longer than this, or never closed, does not hold its sentences together."""
REMEMBERED_PIECES = 2_048
"""The passages of one question are cut several times, and much the same ones come back with the next."""

RELATED_RULES = {"pt": "es", "ca": "es", "gl": "es", "uk": "ru", "be": "ru", "mk": "bg", "cs": "sk"}
"""Languages without rules of their own, and one that abbreviates much like them. All others: English."""

BEFORE_A_NAME = {
    "fr": "M MM Mme Mmes Mlle Mlles Mgr Dr Drs Pr Me St Ste Sté av ap apr",
    "en": "Mr Mrs Ms Dr Prof Rev Gen Sen Rep Gov Capt Lt Col Sgt",
    "de": "Dr Prof Hr Fr Frl St Nr bzw ca",
    "es": "Sr Sra Srta Sres Dr Dra Prof Av Avda Dña Ud Uds",
    "it": "Sig Sigg Dott Prof Avv Ing On",
    "pt": "Sr Sra Srta Srs Dr Dra Prof Profa Av Exmo Eng",
    "nl": "Dhr Mevr Mw Dr Prof Drs Ir St",
    "ro": "Dl Dna Dr Prof Ing Sf Str Bd",
    "pl": "Dr Prof Św Ks Ul Inż Mgr św ks ul prof dr inż mgr",
    "ru": "г гг проф акад им ул",
    "uk": "м рр проф акад ім вул",
    "ar": "د",
}
BEFORE_A_NUMBER = (
    "p pp art al chap ch n no nr núm n.º vol t fig éd s S Nr Abb Art Bd Kap pag pág págs str "
    "janv févr avr juil sept oct nov déc Jan Feb Aug Sept Oct Nov Dec"
)

LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
LIST_MARK = re.compile(r"\s*\w{1,3}[.)]\s")
LISTED = re.compile(r"(?:^|[\s(])[a-z]{1,5}\)", re.IGNORECASE)
"""What begins the items of a list, for pysbd."""
LISTED_ITEMS = 50
"""A piece with more of them is no prose, and would take the rules half a minute."""
CELL_MARK = " | "
"""Between the cells of a table: a row is no line that goes on."""
LAST_STOP = re.compile(r".*(?:[.!?…]\s|[。！？])", re.DOTALL)
LAST_SPACE = re.compile(r".*\s", re.DOTALL)
STOP = re.compile(r"(?<![.!?…])[.!?…]+[\"'’»”)\]]*(?=\s|$)|[。！？]+[」』”）]*")
QUOTATION = re.compile(
    f"«[^«»]{{0,{QUOTATION_CHARACTERS}}}»|“[^“”]{{0,{QUOTATION_CHARACTERS}}}”|„[^„“”]{{0,{QUOTATION_CHARACTERS}}}[“”]"
)
WORD = re.compile(r"\w")
FLAGS_BEFORE = re.compile("[\U0001f1e6-\U0001f1ff]*\\Z")
LONG_WORD_AND_STOP = re.compile(r"\w{5}\.$")
COUNTED = re.compile(rf"(?:^|[\s('’])(?:{'|'.join(map(re.escape, BEFORE_A_NUMBER.split()))})\.$")


def sentences(text: str, language: str | None) -> list[Span]:
    """Cut a text into sentences.

    language: ISO 639-1; None, or a language without rules, is cut by those of a related one or of English.

    Gives spans in order, not overlapping, not blank, without white space at their ends; between them there
    is only white space. No sentence crosses a paragraph. A paragraph ends at a line break, unless the next
    line goes on in lower case, as in text wrapped at a fixed width.
    """
    code = language or "en"
    return [
        (start + first, start + last) for start, end in _pieces(text) for first, last in _cut(text[start:end], code)
    ]


def whole_characters(text: str, position: int) -> int:
    """Move a cut left to where it parts no accent from its letter, no emoji and no CR from its LF.

    Stays within 32 characters of `position`; gives `position` itself where all that is one cluster. A small
    subset of the grapheme clusters of Unicode Standard Annex 29.
    """
    for candidate in range(position, max(position - 32, 0), -1):
        if candidate >= len(text) or not _same_cluster(text, candidate):
            return candidate
    return position


def _pieces(text: str) -> Iterator[Span]:
    """Cut paragraphs into pieces of at most PIECE_CHARACTERS, best after a sentence, else at white space."""
    for first, end in _paragraphs(text):
        start = first
        while end - start > PIECE_CHARACTERS:
            window = text[start : start + PIECE_CHARACTERS]
            found = LAST_STOP.match(window) or LAST_SPACE.match(window)
            cut = start + found.end() if found else whole_characters(text, start + PIECE_CHARACTERS)
            yield start, cut
            start = cut
        yield start, end


def _paragraphs(text: str) -> Iterator[Span]:
    """Give lines that are not blank; one that goes on in lower case on the next line is one with it."""
    paragraph: Span | None = None
    for line in LINE.finditer(text):
        content = line.group()
        if content.isspace():
            continue
        if paragraph and _goes_on(text, paragraph, line.start(), content):
            paragraph = (paragraph[0], line.end())
            continue
        if paragraph:
            yield paragraph
        paragraph = line.span()
    if paragraph:
        yield paragraph


def _goes_on(text: str, paragraph: Span, start: int, line: str) -> bool:
    return (
        text[paragraph[1] : start] in ("\n", "\r\n", "\r")
        and line.lstrip()[0].islower()
        and text[paragraph[0] : paragraph[1]][-80:].rstrip()[-1:] not in tuple(".!?…:;")
        and not LIST_MARK.match(line)
        and CELL_MARK not in line
    )


@lru_cache(REMEMBERED_PIECES)
def _cut(piece: str, language: str) -> tuple[Span, ...]:
    copy = _plain(piece)
    rules = language if language in LANGUAGE_CODES else RELATED_RULES.get(language, "en")
    found = None
    if len(LISTED.findall(copy)) <= LISTED_ITEMS:
        # A processor is made for each text: threads share nothing but the rules. Segmenter.segment() is not safe.
        found = _located(copy, _segmenter(rules).processor(copy).process())
    return tuple(_joined(copy, _stripped(copy, _bounded(copy, found or _by_stops(copy))), language))


@cache
def _segmenter(rules: str) -> Segmenter:
    return Segmenter(language=rules, clean=False)


def _plain(piece: str) -> str:
    """Give a copy of the same length for the rules: on one line, German »…« turned to «…»."""
    line = re.sub(r"\s", " ", piece)
    if re.search(r"(?:^|[\s(])»\w", line):
        return line.translate({ord("»"): "«", ord("«"): "»"})
    return line


def _located(text: str, found: Iterable[str]) -> list[Span] | None:
    """Find the sentences one after the other; None when some text is not in them, or is not as it stood."""
    spans, cursor = [], 0
    for sentence in found:
        start = text.find(sentence, cursor)
        if start < 0 or text[cursor:start].strip():
            return None
        cursor = start + len(sentence)
        spans.append((start, cursor))
    return None if text[cursor:].strip() else spans


def _by_stops(text: str) -> list[Span]:
    ends = [stop.end() for stop in STOP.finditer(text)] + [len(text)]
    return list(zip([0, *ends], ends, strict=False))


def _bounded(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Cut at every stop what is longer than a quotation may be: the rules keep every quotation whole."""
    for start, end in spans:
        if end - start <= QUOTATION_CHARACTERS:
            yield start, end
            continue
        for first, last in _by_stops(text[start:end]):
            yield start + first, start + last


def _stripped(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in spans:
        content = text[start:end].strip()
        if content:
            first = text.index(content, start)
            yield first, first + len(content)


def _joined(text: str, spans: Iterable[Span], language: str) -> list[Span]:
    """Undo the cuts after abbreviations, inside quotations and before what cannot begin a sentence."""
    held = [False] * (len(text) + 1)
    for quotation in QUOTATION.finditer(text):
        for position in range(quotation.start() + 1, quotation.end()):
            held[position] = True
    joined: list[Span] = []
    for start, end in spans:
        if joined and (held[start] or _belongs(text, joined[-1], (start, end), language)):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _belongs(text: str, before: Span, after: Span, language: str) -> bool:
    """Say whether a sentence goes on after a cut."""
    tail = text[max(before[0], before[1] - 16) : before[1]]
    first = text[after[0]]
    return (
        not WORD.search(text, *after)
        or not WORD.search(text, *before)
        or first in ",;:)]»”%"
        or (tail[-1] == "." and before[1] == after[0])
        or (first.islower() and not LONG_WORD_AND_STOP.search(tail) and not LIST_MARK.match(text, *after))
        or (first.isdigit() and COUNTED.search(tail) is not None)
        or _before_a_name(language).search(tail) is not None
    )


@cache
def _before_a_name(language: str) -> re.Pattern[str]:
    words = BEFORE_A_NAME.get(language, BEFORE_A_NAME["en"])
    return re.compile(rf"(?:^|[\s(«“\"'’-])(?:{'|'.join(words.split())})\.$")


def _same_cluster(text: str, position: int) -> bool:
    """Say whether the characters on both sides of a position are one for the reader."""
    before, after = text[position - 1], text[position]
    if before == "\r":
        return after == "\n"
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        flags = FLAGS_BEFORE.search(text, max(position - 32, 0), position)
        return flags is not None and len(flags.group()) % 2 == 1
    return (
        "\u200d" in (before, after)
        or unicodedata.category(after).startswith("M")
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or "\u1160" <= after <= "\u11ff"
    )
