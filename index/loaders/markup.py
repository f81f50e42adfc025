"""XML and HTML, read so that nothing in them is fetched, expanded or run. The only file that knows lxml."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from lxml import etree, html  # type: ignore[import-untyped]

from index.errors import UnreadableFile
from index.loaders.parts import Block, row

Element = Any
"""Of lxml, which has no types."""

HEADINGS = {f"h{level}": level for level in range(1, 7)}
TRAFILATURA = {"cell", "item", "list", "quote", "row"}
"""Its names for what are paragraphs of their own."""
PARAGRAPHS = frozenset(
    """address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form
    header hr html li main nav ol p pre section summary table tbody td tfoot th thead tr ul""".split()  # noqa: SIM905 - one name a line would hide the rest
).union(TRAFILATURA)
ITEMS = frozenset({"li", "item", "dd"})
ROWS = frozenset({"tr", "row"})
CELLS = frozenset({"td", "th", "cell"})
STRUCTURE = frozenset({*HEADINGS, *ITEMS, *ROWS, "pre"})
"""A row or an item that holds one of these is there for the layout: what is in it stands for itself."""
BREAKS = frozenset({"br", "lb"})
LINE_END = "\v"
UNSEEN = frozenset(
    """head script style template noscript iframe object svg math canvas select button audio video""".split()  # noqa: SIM905
)
AROUND = UNSEEN | {"nav", "footer", "aside", "form"}
"""With what stands around the text of a page."""


def parse_xml(content: bytes) -> Element:
    """Parse XML; raises UnreadableFile where it is broken or declares entities, which can be made to explode."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFile(f"broken: {error.msg}") from None
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:
        raise UnreadableFile("its XML declares entities, as attacks do; save it again with an office program")
    return root


def parse_html(text: str) -> Element:
    """Parse HTML as browsers do, whatever is wrong with it; None where there is nothing in it."""
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    # Bytes: of a text that declares an encoding, lxml would take that.
    try:
        return html.document_fromstring(text.encode(errors="replace"), parser)
    except etree.ParserError:
        return None


def local_name(element: Element) -> str:
    """Give the name of an element without its namespace; "" for what is none (comments, entities)."""
    return _without_namespace(element.tag) if isinstance(element.tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """Give an attribute by its name without namespace."""
    return next((value for key, value in element.attrib.items() if _without_namespace(key) == name), None)


def _without_namespace(name: str) -> str:
    # HTML can have names that are none in XML: etree.QName refuses them.
    return name.rpartition("}")[2]


def children(element: Element, *names: str) -> Iterator[Element]:
    """Give the children of these names, without namespace."""
    return (child for child in element if local_name(child) in names)


def child(element: Element | None, name: str) -> Element | None:
    """Give the first child of this name, None where there is none."""
    return next(children(element, name), None) if element is not None else None


def descendants(element: Element, *names: str) -> Iterator[Element]:
    """Give all elements below of these names, without namespace, in order."""
    return (below for below in element.iter("{*}*") if below is not element and local_name(below) in names)


def outermost(element: Element, names: Collection[str], unseen: Collection[str] = ()) -> Iterator[Element]:
    """Give the elements below of these names, but none that is inside another of them, nor inside an unseen one."""
    for child in element:
        name = local_name(child)
        if name in names:
            yield child
        elif name not in unseen:
            yield from outermost(child, names, unseen)


def first_text(element: Element, name: str) -> str | None:
    """Give the text of the first element below of this name, None where there is none."""
    found = next(descendants(element, name), None)
    return "".join(found.itertext()).strip() or None if found is not None else None


def blocks(element: Element, unseen: frozenset[str] = UNSEEN) -> Iterator[Block]:
    """Read HTML, or what trafilatura made of it, as one sees it: headings, paragraphs, items, rows.

    unseen: names of elements that are left out with all that is in them.
    """
    line: list[str] = []
    for walker, is_end, node in _walk(element, unseen):
        name = local_name(node).lower()
        whole = None if is_end else _whole(node, name, unseen)
        if whole or name in PARAGRAPHS:
            yield from _paragraph(line)
            line = []
        if whole:
            yield whole
            walker.skip_subtree()
        else:
            line.append(_piece(element, node, name, is_end))
    yield from _paragraph(line)


def _walk(element: Element, unseen: frozenset[str]) -> Iterator[tuple[Any, bool, Element]]:
    """Give the walker and each element at its start and its end; no recursion, documents nest deep."""
    walker = etree.iterwalk(element, events=("start", "end"))
    for event, node in walker:
        if event == "start" and (local_name(node).lower() in unseen or node.get("hidden") is not None):
            walker.skip_subtree()
        else:
            yield walker, event == "end", node


def _piece(root: Element, node: Element, name: str, is_end: bool) -> str:
    if is_end:
        return (node.tail or "") if node is not root else ""
    if name in BREAKS:
        return LINE_END
    return ("- " if name in ITEMS else "") + (node.text or "")


def _whole(node: Element, name: str, unseen: frozenset[str]) -> Block | None:
    """Read an element that is one block; None where what is in it makes blocks of its own."""
    level = HEADINGS.get(node.get("rend", "h2") if name == "head" else name, 0)
    if level:
        return Block(" ".join(_text(node, unseen).split()), level)
    if name == "pre":
        return Block("".join(node.itertext()).strip("\r\n"))
    if name not in ROWS | ITEMS or any(local_name(below).lower() in STRUCTURE for below in node.iterdescendants()):
        return None
    if name in ITEMS:
        return Block(f"- {_text(node, unseen)}", run="item")
    cells = [_text(cell, unseen) for cell in node if local_name(cell).lower() in CELLS]
    return Block(row(cells), run="row") if len(cells) > 1 else None


def _text(node: Element, unseen: frozenset[str]) -> str:
    """Give the text of an element on one line, or as many as <br> makes."""
    pieces: list[str] = []
    for _, is_end, below in _walk(node, unseen):
        name = local_name(below).lower()
        if name in PARAGRAPHS and below is not node:
            pieces.append(" ")
        if below is node:
            pieces.append("" if is_end else below.text or "")
        else:
            pieces.append(_piece(node, below, name, is_end))
    return _collapsed("".join(pieces))


def _paragraph(line: list[str]) -> Iterator[Block]:
    text = _collapsed("".join(line))
    if text.strip(" -"):
        yield Block(text)


def _collapsed(text: str) -> str:
    """Write white space as one sees it: one space, line ends where <br> is, no-break spaces kept."""
    return re.sub(f" ?{LINE_END} ?", "\n", re.sub(r"[ \t\r\n\f]+", " ", text)).strip(" \n")
