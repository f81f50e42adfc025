"""Presentations (Office Open XML): one part a slide, its title first, its notes last."""

from collections.abc import Iterator

from index.loaders.archive import Archive, described, main_member
from index.loaders.markup import Element, attribute, children, descendants, local_name
from index.loaders.parts import HEADING_CHARACTERS, Block, Loaded, Part, by_headings, one_line, row, written_title

TITLES = frozenset({"title", "ctrTitle"})
FURNITURE = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})
"""Placeholders with what stands on every slide: its number, the day, header and footer."""


def read_pptx(content: bytes) -> Loaded:
    """Read a .pptx file; raises UnreadableFile."""
    archive = Archive(content)
    main = main_member(archive)
    slides = [member for kind, member in _in_order(archive, main) if kind == "slide"]
    parts = [part for number, slide in enumerate(slides, start=1) for part in _slide(archive, slide, number)]
    about = described(archive)
    first = next((part.path[0] for part in parts if part.page == 1 and part.path), None)
    return Loaded(parts, **about | {"title": about.get("title") or written_title(first)})


def _in_order(archive: Archive, main: str) -> Iterator[tuple[str, str]]:
    members = archive.relations(main)
    for slide in descendants(archive.xml(main), "sldId"):
        # Its own id and that of the relation have the same name but for the namespace.
        found = [members[value] for value in slide.attrib.values() if value in members]
        yield from found[:1]


def _slide(archive: Archive, member: str, number: int) -> list[Part]:
    tree = next(descendants(archive.xml(member), "spTree"), None)
    shapes = list(_shapes(tree)) if tree is not None else []
    titles = [block for shape in shapes if _placeholder(shape) in TITLES for block in _blocks(shape)]
    others = [block for shape in shapes if _placeholder(shape) not in TITLES for block in _blocks(shape)]
    notes = [
        block
        for kind, notes in archive.relations(member).values()
        if kind == "notesSlide"
        for block in _notes(archive, notes)
    ]
    title = one_line(" ".join(block.text for block in titles), HEADING_CHARACTERS)
    return by_headings([*titles, *others, *notes], number, (title,) if title else ())


def _notes(archive: Archive, member: str) -> Iterator[Block]:
    for shape in descendants(archive.xml(member), "sp"):
        if _placeholder(shape) == "body":
            yield from _blocks(shape)


def _shapes(tree: Element) -> Iterator[Element]:
    """Give the shapes of a tree, those of groups too, in order."""
    for child in tree:
        match local_name(child):
            case "grpSp":
                yield from _shapes(child)
            case "sp" | "graphicFrame":
                yield child
            case "AlternateContent":
                # The first way to draw a thing; the others say the same again.
                yield from (shape for choice in list(children(child, "Choice"))[:1] for shape in _shapes(choice))


def _placeholder(shape: Element) -> str | None:
    found = next(descendants(shape, "ph"), None)
    return (attribute(found, "type") or "body") if found is not None else None


def _blocks(shape: Element) -> Iterator[Block]:
    if _placeholder(shape) in FURNITURE:
        return
    for line in descendants(shape, "tr"):
        yield Block(row(" ".join(_paragraphs(cell)) for cell in children(line, "tc")), run="row")
    if local_name(shape) == "sp":
        yield from map(Block, _paragraphs(shape))


def _paragraphs(element: Element) -> Iterator[str]:
    for paragraph in descendants(element, "p"):
        pieces = (
            "\n" if local_name(piece) == "br" else piece.text or "" for piece in descendants(paragraph, "t", "br")
        )
        text = "".join(pieces).strip()
        if text:
            yield text
