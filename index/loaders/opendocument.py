"""OpenDocument texts: paragraphs under their headings, tables row by row, footnotes where they are called.

Left out: comments, deleted text, tables of contents, headers and footers.
"""

from collections.abc import Iterator

from index.errors import UnreadableFile
from index.loaders.archive import Archive
from index.loaders.markup import Element, attribute, children, descendants, first_text, local_name, outermost
from index.loaders.parts import Block, Loaded, by_headings, first_heading, iso_day, row, written_author, written_title

ELSEWHERE = frozenset({"note", "annotation", "text-box", "ruby-text", "tracked-changes"})
"""What is in a paragraph and not of its text."""
LISTS = frozenset({"table-of-content", "illustration-index", "table-index", "alphabetical-index", "tracked-changes"})
"""What repeats the text, or what was deleted from it."""
SPACES = 100
"""More spaces in a row than this are not written."""
COLUMNS = 1_000


def read_odt(content: bytes) -> Loaded:
    """Read an .odt file; raises UnreadableFile."""
    archive = open_opendocument(content)
    text = next(descendants(archive.xml("content.xml"), "text"), None)
    blocks = list(_blocks(text)) if text is not None else []
    about = described_opendocument(archive)
    return Loaded(by_headings(blocks), **about | {"title": about.get("title") or first_heading(blocks)})


def sheets(archive: Archive) -> Iterator[tuple[str, list[list[str]]]]:
    """Give name and rows of each sheet of an OpenDocument spreadsheet, values as they are shown."""
    for table in outermost(archive.xml("content.xml"), {"table"}):
        yield attribute(table, "name") or "", [_cells(line) for line in _lines(table)]


def open_opendocument(content: bytes) -> Archive:
    """Open an OpenDocument file; raises UnreadableFile, also where it needs a password."""
    archive = Archive(content)
    manifest = "META-INF/manifest.xml"
    if manifest in archive.names and next(descendants(archive.xml(manifest), "encryption-data"), None) is not None:
        raise UnreadableFile("needs a password; save a copy without one")
    return archive


def described_opendocument(archive: Archive) -> dict[str, str | None]:
    """Read title, date and author, as Loaded names them."""
    if "meta.xml" not in archive.names:
        return {}
    about = archive.xml("meta.xml")
    return {
        "title": written_title(first_text(about, "title")),
        "date": iso_day(first_text(about, "creation-date")) or iso_day(first_text(about, "date")),
        "author": written_author(first_text(about, "initial-creator") or first_text(about, "creator")),
    }


def _blocks(element: Element, in_list: bool = False) -> Iterator[Block]:
    for child in element:
        name = local_name(child)
        if name in {"p", "h"}:
            text = _text(child).strip()
            level = _level(child) if name == "h" else 0
            if text:
                yield Block(
                    f"- {text}" if in_list and not level else text, level, run="item" if in_list and not level else ""
                )
            for below in outermost(child, {"note-body", "text-box"}):
                yield from _blocks(below)
        elif name == "table":
            yield from (Block(row(_cells(line)), run="row") for line in _lines(child))
        elif name not in LISTS:
            yield from _blocks(child, in_list or name == "list")


def _level(heading: Element) -> int:
    level = attribute(heading, "outline-level") or ""
    return int(level) if level in {*"123456789"} else 1


def _lines(table: Element) -> Iterator[Element]:
    return outermost(table, {"table-row"}, unseen={"table"})


def _cells(line: Element) -> list[str]:
    cells: list[str] = []
    for cell in children(line, "table-cell", "covered-table-cell"):
        text = " ".join(block.text for block in _blocks(cell))
        cells += [text] * _count(cell, "number-columns-repeated", COLUMNS)
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(element: Element) -> str:
    """Give the text of a paragraph, or of something in it."""
    return (element.text or "") + "".join(_written(child) + (child.tail or "") for child in element)


def _written(element: Element) -> str:
    match local_name(element):
        case "s":
            return " " * _count(element, "c", SPACES)
        case "tab":
            return "\t"
        case "line-break":
            return "\n"
        case name if name in ELSEWHERE or not name:
            return ""
        case _:
            return _text(element)


def _count(element: Element, name: str, limit: int) -> int:
    count = attribute(element, name) or ""
    return min(int(count), limit) if count.isascii() and count.isdecimal() else 1
