"""Web pages: the text without menus, banners and comments; title, author and day.

The only file that knows trafilatura.
"""

import codecs
import re
from collections.abc import Iterator

from index.loaders.markup import AROUND, UNSEEN, Element, blocks, descendants, parse_html
from index.loaders.parts import Block, Loaded, by_headings, iso_day, written_author, written_title
from index.loaders.text import MARKS, decode

HEAD_BYTES = 4096
CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})|<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})""",
    re.I,
)
CALLED_LATIN = frozenset({"ascii", "iso8859-1"})
"""What pages say that are in Windows-1252: all browsers read them so."""
WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32"})
"""What a page cannot be in whose declaration was read as ASCII."""
NAME_WORDS = 5
MAIN_SHARE = 0.2
"""Of the words of a page: when fewer are found to be its text, the whole page is taken."""


def read_html(content: bytes) -> Loaded:
    """Read a web page; raises UnreadableFile where it is not text."""
    source = _decoded(content)
    page = parse_html(source)
    if page is None:
        return Loaded([])
    # Half a second to import: it is here for those who have web pages.
    from trafilatura import bare_extraction, extract_metadata

    body = getattr(bare_extraction(source, include_comments=False), "body", None)
    main = list(blocks(body, UNSEEN - {"head"})) if body is not None else []
    everything = list(blocks(page, AROUND))
    about = extract_metadata(source, date_config={"extensive_search": False, "original_date": True})
    # Where trafilatura finds no article it gives all words of the page in one lump.
    found = len(main) > 1 and _words(main) >= MAIN_SHARE * _words(everything)
    return Loaded(
        by_headings(main if found else everything),
        title=written_title(_headline(page, about.title) or about.title),
        date=iso_day(about.date),
        author=written_author(*_people(about.author)),
    )


def _decoded(content: bytes) -> str:
    """Decode by the byte order mark, what the page declares, or what its bytes look like."""
    declared = CHARSET.search(content[:HEAD_BYTES])
    if declared and not any(content.startswith(mark) for mark, _ in MARKS):
        try:
            encoding = codecs.lookup((declared[1] or declared[2]).decode()).name
            if encoding not in WIDE:
                return content.decode("cp1252" if encoding in CALLED_LATIN else encoding)
        except (LookupError, ValueError):
            pass
    return decode(content)


def _words(blocks: list[Block]) -> int:
    return sum(len(block.text.split()) for block in blocks)


def _headline(page: Element, title: str | None) -> str | None:
    """Give the first heading where the title is that and the name of the site: "Duck - Wikipedia" is "Duck"."""
    for heading in descendants(page, "h1"):
        words = " ".join("".join(heading.itertext()).split())
        if words and title and title.startswith(words):
            return words
    return None


def _people(author: str | None) -> Iterator[str]:
    """Give the names among what was taken for authors: what has many words or signs is none."""
    for name in (author or "").split(";"):
        words = name.split()
        if len(words) <= NAME_WORDS and not re.search(r"[\d<>{}|@/]", name):
            yield " ".join(words)
