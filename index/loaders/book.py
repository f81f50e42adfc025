"""EPUB books: chapters in the order of reading, each under its headings, or its name in the table of contents."""

import posixpath
from collections.abc import Iterable, Iterator

from index.errors import UnreadableFile
from index.loaders.archive import Archive, member_name
from index.loaders.markup import UNSEEN, Element, attribute, blocks, children, descendants, first_text, parse_html
from index.loaders.parts import (
    HEADING_CHARACTERS,
    Loaded,
    Part,
    by_headings,
    iso_day,
    one_line,
    written_author,
    written_title,
)
from index.loaders.text import decode

CONTAINER = "META-INF/container.xml"
RIGHTS = "META-INF/encryption.xml"
PAGES = frozenset({"application/xhtml+xml", "text/html"})


def read_epub(content: bytes) -> Loaded:
    """Read an .epub file; raises UnreadableFile."""
    archive = Archive(content)
    package_member = _package(archive)
    package = archive.xml(package_member)
    folder = posixpath.dirname(package_member)
    items = {attribute(item, "id"): item for item in descendants(package, "item")}
    spine = [items[id] for item in descendants(package, "itemref") if (id := attribute(item, "idref")) in items]
    pages = [item for item in spine if attribute(item, "media-type") in PAGES and not _is_contents(item)]
    members = dict.fromkeys(member_name(folder, attribute(item, "href") or "") for item in pages)
    if members and all(member in _encrypted(archive) for member in members):
        raise UnreadableFile("it is protected against copying; only the reader it was sold for opens it")
    names = _chapter_names(archive, folder, items.values())
    parts = [
        part for member in members if member in archive.names for part in _chapter(archive, member, names.get(member))
    ]
    return Loaded(
        parts,
        title=written_title(first_text(package, "title")),
        date=iso_day(_whole_day(first_text(package, "date"))),
        author=written_author(*(creator.text for creator in descendants(package, "creator"))),
    )


def _package(archive: Archive) -> str:
    for root in descendants(archive.xml(CONTAINER), "rootfile"):
        return member_name("", attribute(root, "full-path") or "")
    raise UnreadableFile("broken: it does not say where its contents are")


def _encrypted(archive: Archive) -> set[str]:
    if RIGHTS not in archive.names:
        return set()
    return {
        member_name("", attribute(reference, "URI") or "")
        for reference in descendants(archive.xml(RIGHTS), "CipherReference")
    }


def _is_contents(item: Element) -> bool:
    return "nav" in (attribute(item, "properties") or "").split()


def _chapter(archive: Archive, member: str, name: str | None) -> list[Part]:
    page = parse_html(decode(archive.read(member)))
    if page is None:
        return []
    found = list(blocks(page, UNSEEN))
    if name and not (found and found[0].level):
        return by_headings(found, path=(name,))
    return by_headings(found)


def _chapter_names(archive: Archive, folder: str, items: Iterable[Element]) -> dict[str, str]:
    """Read the table of contents, of EPUB 3 (a page) or EPUB 2 (.ncx): the member of a chapter → its name."""
    names: dict[str, str] = {}
    for item in items:
        member = member_name(folder, attribute(item, "href") or "")
        if member not in archive.names:
            continue
        if _is_contents(item):
            entries = _links(archive, member)
        elif attribute(item, "media-type") == "application/x-dtbncx+xml":
            entries = _points(archive, member)
        else:
            continue
        for target, name in entries:
            names.setdefault(member_name(posixpath.dirname(member), target), one_line(name, HEADING_CHARACTERS))
    return names


def _links(archive: Archive, member: str) -> Iterator[tuple[str, str]]:
    page = parse_html(decode(archive.read(member)))
    for link in descendants(page, "a") if page is not None else ():
        yield attribute(link, "href") or "", "".join(link.itertext())


def _points(archive: Archive, member: str) -> Iterator[tuple[str, str]]:
    for point in descendants(archive.xml(member), "navPoint"):
        for content in children(point, "content"):
            yield attribute(content, "src") or "", first_text(point, "text") or ""


def _whole_day(date: str | None) -> str | None:
    """Read a year alone, as books have it, as its first day."""
    return f"{date}-01-01" if date and len(date) == 4 and date.isdecimal() else date
