"""Markdown: sections under their headings, front matter apart. The text stays as it is written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from index.loaders.parts import HEADING_CHARACTERS, Loaded, Part, iso_day, one_line, written_author
from index.loaders.text import decode


def read_markdown(content: bytes) -> Loaded:
    """Read Markdown; title, date and author are those of the front matter, else the title is the first heading.

    The front matter is not part of the text: it is never a passage, so never shown as an answer.
    """
    text = decode(content)
    fields, body = _front_matter(text)
    headings = list(_headings(body))
    return Loaded(
        list(_sections(body, headings)),
        title=fields.get("title") or next((heading.words for heading in headings), None),
        date=iso_day(fields.get("date", "")),
        author=written_author(fields.get("author") or fields.get("authors")),
    )


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading between two places of the text, in characters."""

    start: int
    end: int
    level: int
    words: str


def _sections(text: str, headings: list[_Heading]) -> Iterator[Part]:
    """Cut the text before each heading; a heading with nothing below it begins the next section."""
    path: list[_Heading] = []
    start = below = 0
    for heading in headings:
        if text[below : heading.start].strip():
            yield Part(text[start : heading.start].rstrip("\r\n"), path=_words(path))
            start = heading.start
        path = [*(outer for outer in path if outer.level < heading.level), heading]
        below = heading.end
    yield Part(text[start:], path=_words(path))


def _words(path: list[_Heading]) -> tuple[str, ...]:
    return tuple(one_line(heading.words, HEADING_CHARACTERS) for heading in path)


FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(
    r"^ {0,3}(?P<marks>#{1,6})[ \t]+(?P<marked>\S.*)$"
    r"|^ {0,3}(?P<underlined>\w.*)\n {0,3}(?P<line>=+|-{3,})[ \t]*\r?$",
    re.MULTILINE,
)


def _headings(text: str) -> Iterator[_Heading]:
    code_left_out = FENCED.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for found in HEADING.finditer(code_left_out):
        level = len(found["marks"]) if found["marks"] else 1 if found["line"].startswith("=") else 2
        words = re.sub(r"!?\[([^\[\]]*)\]\([^)]{0,2000}\)", r"\1", found["marked"] or found["underlined"])
        words = re.sub(r"[*`]+|\b_+|_+\b", "", words).rstrip("# \t\r").strip()
        if words:
            yield _Heading(found.start(), found.end(), level, words)


FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?P<fields>(?:[^\n]*\n){1,200}?)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)")
FIELD = re.compile(r"(?P<name>\w[\w-]*)[ \t]*:(?:[ \t]+(?P<value>.*))?$")


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Part the `key: value` lines between two lines of --- from the text below.

    Text between two rules that does not begin with a field is text.
    """
    block = FRONT_MATTER.match(text)
    if block is None:
        return {}, text
    lines = [line.rstrip() for line in block["fields"].splitlines() if line.strip() and not line.startswith("#")]
    if not lines or not FIELD.match(lines[0]):
        return {}, text
    matches = [match for line in lines if (match := FIELD.match(line))]
    return {match["name"].lower(): _scalar(match["value"] or "") for match in matches}, text[block.end() :]


def _scalar(value: str) -> str:
    """Read a plain or quoted YAML value of one line; what goes on over several lines counts as none."""
    value = value.strip()
    quoted = re.match(r"(['\"])(.*)\1\s*(?:#.*)?$", value)
    if quoted:
        return quoted[2].replace("''", "'").replace('\\"', '"')
    plain = re.split(r"\s#", value)[0].strip()
    return "" if plain[:1] in tuple(">|[{&*!") else plain
