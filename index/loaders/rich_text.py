r"""Rich Text Format: paragraphs under their headings, tables row by row, footnotes after their paragraph.

A file is groups in braces, of control words (\par) with or without a number, control symbols (\~) and text. See the
Rich Text Format Specification, version 1.9.1, of Microsoft.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from index.errors import UnreadableFile
from index.loaders.parts import Block, Loaded, by_headings, first_heading, iso_day, row, written_author, written_title

TOKEN = re.compile(
    rb"(?P<brace>[{}])|\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,9})? ?|\\'(?P<byte>[0-9a-fA-F]{2})"
    rb"|\\(?P<symbol>[^a-zA-Z'])|(?P<text>[^\\{}\r\n]+)|[\\\r\n]"
)
SIGNS = {
    "tab": "\t",
    "line": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "nestcell": " ",
}
SYMBOLS = {"~": "\u00a0", "_": "-", "\\": "\\", "{": "{", "}": "}"}
PARAGRAPH_ENDS = frozenset({"par", "sect", "page", "row"})
UNSEEN = frozenset(
    """fonttbl colortbl stylesheet listtable listoverridetable pict object header headerl headerr headerf footer footerl
    footerr footerf fldinst nonshppict listtext pntext info annotation comment""".split()  # noqa: SIM905
)
"""Destinations that are not text: tables of fonts, pictures, headers, the codes of fields, comments."""
KEPT_APART = frozenset({"title", "author", "creatim", "footnote"})
CODE_PAGES = {"mac": "mac-roman", "pc": "cp437", "pca": "cp850"}
BODY_LEVEL = 9


def read_rtf(content: bytes) -> Loaded:
    """Read an .rtf file; raises UnreadableFile."""
    reader = _Reader(content)
    blocks = list(reader.blocks())
    return Loaded(
        by_headings(blocks),
        title=written_title(reader.taken("title")) or first_heading(blocks),
        date=iso_day(reader.taken("creatim")),
        author=written_author(reader.taken("author")),
    )


@dataclass(frozen=True, slots=True)
class _State:
    """What a group has from the one around it."""

    target: str = "text"
    """Where its text goes; "" is nowhere."""
    stands_for: int = 1
    r"""How many characters after a \u are there for programs that do not know it."""


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._state = _State()
        self._outer: list[_State] = []
        self._texts: dict[str, list[str]] = {}
        self._bytes = bytearray()
        self._encoding = "cp1252"
        self._skip = 0
        self._cells: list[str] = []
        self._level = BODY_LEVEL
        self._in_table = self._in_list = False

    def taken(self, target: str) -> str:
        """Give the text that went there, and forget it."""
        self._decode()
        text = "".join(self._texts.pop(target, []))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def blocks(self) -> Iterator[Block]:
        """Read to the end."""
        place = 0
        while found := TOKEN.match(self._content, place):
            place = found.end()
            number = int(found["number"]) if found["number"] else None
            if found["word"] == b"bin":
                place += max(number or 0, 0)
            elif found["word"]:
                yield from self._word(found["word"].decode(), number)
            elif found["brace"]:
                self._brace(found["brace"])
            elif found["symbol"]:
                self._symbol(found["symbol"].decode("latin-1"))
            elif found["byte"]:
                self._add_bytes(bytes.fromhex(found["byte"].decode()))
            elif found["text"]:
                self._add_bytes(found["text"])
        yield from self._paragraph()

    def _brace(self, brace: bytes) -> None:
        self._decode()
        self._skip = 0
        if brace == b"{":
            self._outer.append(self._state)
        elif self._outer:
            self._state = self._outer.pop()

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._state = replace(self._state, target="")
        elif symbol in SYMBOLS:
            self._add(SYMBOLS[symbol])

    def _word(self, word: str, number: int | None) -> Iterator[Block]:
        if word in UNSEEN:
            self._state = replace(self._state, target="")
        elif word in KEPT_APART:
            self._state = replace(self._state, target=word)
        elif word in SIGNS:
            self._add(SIGNS[word])
        elif word in PARAGRAPH_ENDS and self._state.target == "text":
            yield from self._row() if word == "row" else self._paragraph()
        elif word == "par":
            self._add(" ")
        elif word == "cell":
            self._cells.append(self.taken("text"))
        else:
            self._set(word, number)

    def _set(self, word: str, number: int | None) -> None:
        match word, number:
            case "u", int():
                self._add(chr(number % 0x10000))
                self._skip = self._state.stands_for
            case "uc", int():
                self._state = replace(self._state, stands_for=max(number, 0))
            case "ansicpg", int():
                self._encoding = f"cp{number}"
            case (("mac" | "pc" | "pca"), _):
                self._encoding = CODE_PAGES[word]
            case "pard", _:
                self._level, self._in_table, self._in_list = BODY_LEVEL, False, False
            case "intbl", _:
                self._in_table = True
            case "ls", _:
                self._in_list = True
            case "outlinelevel", int():
                self._level = number
            case (("yr" | "mo" | "dy"), int()) if self._state.target == "creatim":
                self._add(f"{number:04}" if word == "yr" else f"-{number:02}")

    def _paragraph(self) -> Iterator[Block]:
        if self._in_table:
            self._add(" ")
            return
        text = self.taken("text").strip()
        level = self._level + 1 if 0 <= self._level < BODY_LEVEL else 0
        in_list = self._in_list and not level
        if text:
            yield Block(f"- {text}" if in_list else text, level, run="item" if in_list else "")
        yield from self._notes()

    def _row(self) -> Iterator[Block]:
        cells, self._cells = self._cells, []
        yield Block(row(cells), run="row")
        yield from self._notes()

    def _notes(self) -> Iterator[Block]:
        note = self.taken("footnote").strip()
        if note:
            yield Block(note)

    def _add(self, text: str) -> None:
        self._decode()
        self._skip = 0
        if self._state.target:
            self._texts.setdefault(self._state.target, []).append(text)

    def _add_bytes(self, content: bytes) -> None:
        skipped = min(self._skip, len(content))
        self._skip -= skipped
        if self._state.target:
            # Decoded together: of some encodings one character is several bytes.
            self._bytes += content[skipped:]

    def _decode(self) -> None:
        if not self._bytes:
            return
        try:
            text = self._bytes.decode(self._encoding, "replace")
        except LookupError:
            raise UnreadableFile(f"broken: its encoding {self._encoding} is unknown") from None
        self._bytes.clear()
        self._texts.setdefault(self._state.target, []).append(text)
