"""Word documents: paragraphs under their headings, tables row by row, footnotes where they are called.

Left out: headers and footers, comments, deleted text, tables of contents.
"""

import re
from collections.abc import Callable, Iterator

from index.loaders.archive import Archive, described, main_member
from index.loaders.markup import Element, attribute, child, children, local_name, outermost
from index.loaders.parts import Block, Loaded, by_headings, first_heading, row, written_title

TEXT_OF: dict[str, Callable[[Element], str]] = {
    "t": lambda element: element.text or "",
    "tab": lambda _: "\t",
    "br": lambda _: "\n",
    "cr": lambda _: "\n",
    "noBreakHyphen": lambda _: "-",
}
ELSEWHERE = frozenset({"del", "moveFrom", "pPr", "rPr", "Fallback", "txbxContent", "rt"})
"""What is in a paragraph and not of its text: deleted or moved away, properties, said twice, boxes of their own."""
NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
HEADING_STYLE = re.compile(r"heading ([1-9])$", re.IGNORECASE)
BODY_LEVEL = 9
"""The outline level that Word gives to text that is no heading."""


def read_docx(content: bytes) -> Loaded:
    """Read a .docx file; raises UnreadableFile."""
    archive = Archive(content)
    main = main_member(archive)
    document = _Document(archive, main)
    blocks = list(document.blocks(archive.xml(main)))
    about = described(archive)
    return Loaded(
        by_headings(blocks), **about | {"title": about.get("title") or document.title or first_heading(blocks)}
    )


class _Style:
    """What a paragraph style says, or the style it is based on."""

    def __init__(self, element: Element) -> None:
        self.name = _value(element, "name") or ""
        self.based_on = _value(element, "basedOn")
        properties = child(element, "pPr")
        self.level = _value(properties, "outlineLvl")
        self.in_list = _in_list(properties)


class _Document:
    def __init__(self, archive: Archive, main: str) -> None:
        self.title: str | None = None
        """The first paragraph in the style of titles."""
        members = {kind: member for kind, member in archive.relations(main).values() if member in archive.names}
        styles = archive.xml(members["styles"]) if "styles" in members else ()
        self._styles = {attribute(style, "styleId"): _Style(style) for style in children(styles, "style")}
        self._notes = {
            (kind, attribute(note, "id")): note
            for kind in NOTES.values()
            if kind in members
            for note in children(archive.xml(members[kind]), kind[:-1])
        }

    def blocks(self, element: Element) -> Iterator[Block]:
        """Give the blocks below an element, in order."""
        for below in element:
            match local_name(below):
                case "p":
                    yield from self._paragraph(below)
                case "tbl":
                    yield from self._table(below)
                case (
                    "body" | "sdt" | "sdtContent" | "ins" | "moveTo" | "customXml" | "smartTag" | "footnote" | "endnote"
                ):
                    yield from self.blocks(below)

    def _paragraph(self, paragraph: Element) -> Iterator[Block]:
        properties = child(paragraph, "pPr")
        styles = list(self._chain(_value(properties, "pStyle")))
        text = _text(paragraph).strip()
        if text and not any(style.name.lower().startswith("toc ") for style in styles):
            if not self.title and any(style.name.lower() == "title" for style in styles):
                self.title = written_title(text)
            level = _level(properties, styles)
            in_list = not level and (_in_list(properties) or any(style.in_list for style in styles))
            yield Block(f"- {text}" if in_list else text, level, run="item" if in_list else "")
        for below in outermost(paragraph, {*NOTES, "txbxContent"}, unseen={"Fallback"}):
            name = local_name(below)
            if name in NOTES:
                # Each note once: one that calls itself would never end.
                yield from self.blocks(self._notes.pop((NOTES[name], attribute(below, "id")), ()))
            else:
                yield from self.blocks(below)

    def _chain(self, style: str | None) -> Iterator[_Style]:
        """Give a style and those it is based on, each once."""
        seen: set[str | None] = set()
        while style in self._styles and style not in seen:
            seen.add(style)
            yield self._styles[style]
            style = self._styles[style].based_on

    def _table(self, table: Element) -> Iterator[Block]:
        above: dict[int, str] = {}
        for line in outermost(table, {"tr"}):
            cells: list[str] = []
            column = 0
            for cell in outermost(line, {"tc"}):
                properties = child(cell, "tcPr")
                merged = child(properties, "vMerge")
                if merged is None or attribute(merged, "val") == "restart":
                    above[column] = " ".join(block.text for block in self.blocks(cell))
                # What is merged downwards counts for every row: a row is found alone.
                cells.append(above.get(column, ""))
                span = _value(properties, "gridSpan") or ""
                column += int(span) if re.fullmatch("[1-9][0-9]?", span) else 1
            yield Block(row(cells), run="row")


def _level(properties: Element | None, styles: list[_Style]) -> int:
    """Give the level of a heading, from 1, or 0: the paragraph says it, or a style does, by level or by name."""
    said = _value(properties, "outlineLvl") or next((style.level for style in styles if style.level), None)
    if said and said.isdecimal():
        return int(said) + 1 if int(said) < BODY_LEVEL else 0
    names = (HEADING_STYLE.match(style.name) for style in styles)
    return next((int(name[1]) for name in names if name), 0)


def _in_list(properties: Element | None) -> bool:
    return _value(child(properties, "numPr"), "numId") not in {None, "0"}


def _text(paragraph: Element) -> str:
    pieces = outermost(paragraph, TEXT_OF, ELSEWHERE)
    return "".join(TEXT_OF[local_name(piece)](piece) for piece in pieces)


def _value(element: Element | None, name: str) -> str | None:
    """Give what a property says: the val of a child."""
    found = child(element, name)
    return attribute(found, "val") if found is not None else None
