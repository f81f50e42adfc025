"""file → Documents, one table from kind of file to loader.

The text of a Document is what the file says, unchanged: citations are offsets in it.
"""

import codecs
import re
import stat
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

from charset_normalizer import from_bytes
from langchain_core.documents import Document

from index.errors import UnreadableFile
from index.language import detect

Loader = Callable[[Path], Iterable[Document]]
"""A file of one kind → its Documents, with `title` and, where known, `page`, `language` and `date`.

Raises UnreadableFile with the reason in plain words.
"""

FILE_BYTES = 20 * 1024 * 1024
TITLE_CHARACTERS = 200
CONTROL_SHARE = 0.1
"""Of the characters: with more control characters than this, a file is not text."""


def load(path: Path) -> list[Document]:
    """Read a file as the loader of its kind does.

    Gives one Document or more, with text in them. Raises UnreadableFile: its kind is not read, it vanished,
    is a folder, not permitted, too large, not text or blank.
    """
    loader = LOADERS.get(path.suffix.lower())
    if loader is None:
        kind = f"{path.suffix} files are" if path.suffix else "a file without an extension is"
        raise UnreadableFile(f"{kind} not read; these are: {', '.join(sorted(LOADERS))}")
    documents = [document for document in loader(path) if not _is_blank(document.page_content)]
    if not documents:
        raise UnreadableFile("no text in it")
    return documents


def load_text(path: Path) -> Iterable[Document]:
    """Read plain text; a short first line without a full stop, with text below, is its title."""
    text = decode(read_bytes(path))
    yield _document(text, title=_headline(text) or path.stem)


def load_markdown(path: Path) -> Iterable[Document]:
    """Read Markdown; title and date are those of the front matter, else the title is the first heading.

    The front matter is not part of the text: it is never a passage, so never shown as an answer.
    """
    text = decode(read_bytes(path))
    fields, body = _front_matter(text)
    title = fields.get("title") or _first_heading(body) or path.stem
    yield _document(body, title=title, day=_iso_day(fields.get("date", "")))


LOADERS: dict[str, Loader] = {
    ".txt": load_text,
    ".text": load_text,
    ".md": load_markdown,
    ".markdown": load_markdown,
}


def read_bytes(path: Path) -> bytes:
    """Read a file of at most FILE_BYTES; raises UnreadableFile with the plain reason where it cannot."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFile("it is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile("it is a device or a pipe, not a file")
        if status.st_size > FILE_BYTES:
            raise UnreadableFile(_too_large(status.st_size))
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFile("the file is no longer there") from None
    except PermissionError:
        raise UnreadableFile("permission denied; let this user read it") from None
    except OSError as error:
        raise UnreadableFile(f"the system does not read it: {error.strerror or error}") from error
    if len(content) > FILE_BYTES:
        raise UnreadableFile(_too_large(len(content)))
    return content


def decode(content: bytes) -> str:
    """Turn the bytes of a text file into its text, line ends as they are, a byte order mark left out.

    Tried in this order: the byte order mark, UTF-16 where there are zero bytes, strict UTF-8, Windows-1252
    where its signs are Western, the most plausible of the older encodings.
    Raises UnreadableFile when it is not text.
    """
    marked = next(((mark, encoding) for mark, encoding in MARKS if content.startswith(mark)), None)
    text = _decode_strictly(content.removeprefix(marked[0]), marked[1]) if marked else _decode_unmarked(content)
    if text is None or "\0" in text or _control_share(text) > CONTROL_SHARE:
        raise UnreadableFile("not a text file, though its name ends like one")
    return text


# UTF-32 before UTF-16: the mark of one begins with the mark of the other.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


WESTERN = frozenset("àâäáãåæçéèêëíîïñóôöõœúùûüÿßÀÂÄÁÃÅÆÇÉÈÊËÍÎÏÑÓÔÖÕŒÚÙÛÜŸ¡¿«»‹›‘’‚“”„–—…•·°§€£ªº²³©®™½\xa0")
"""Signs beyond ASCII that Western European text in Windows-1252 is likely to have."""


def _decode_unmarked(content: bytes) -> str | None:
    if b"\0" in content:
        return _decode_zeros(content)
    text = _decode_strictly(content, "utf-8")
    if text is not None:
        return text
    western = _decode_strictly(content, "cp1252")
    if western is not None and _is_western(western):
        return western
    best = from_bytes(content).best()
    return None if best is None else str(best)


def _is_western(text: str) -> bool:
    """Say whether the signs beyond ASCII are few and those of Western Europe.

    charset-normalizer takes short French for Polish or Baltic: "forêt" came out as "foręt".
    """
    beyond = re.findall("[^\x00-\x7f]", text)
    strange = sum(sign not in WESTERN for sign in beyond)
    return len(beyond) * 3 <= len(text) and strange * 50 <= len(beyond)


def _decode_zeros(content: bytes) -> str | None:
    """Read UTF-16 of Western text: every other byte is mostly zero. In binary files no side stands out."""
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if 4 * max(even, odd) < len(content) or min(even, odd) * 20 > max(even, odd):
        return None
    return _decode_strictly(content, "utf-16-be" if even > odd else "utf-16-le")


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _control_share(text: str) -> float:
    return len(re.findall(r"[\x00-\x08\x0e-\x1f\x7f]", text)) / max(len(text), 1)


def _too_large(size: int) -> str:
    megabyte = 1024 * 1024
    return f"{size / megabyte:.1f} MB; the limit is {FILE_BYTES // megabyte} MB, split it into smaller files"


def _document(text: str, title: str, day: str | None = None) -> Document:
    found = {"title": _one_line(title), "language": detect(text), "date": day}
    return Document(page_content=text, metadata={key: value for key, value in found.items() if value})


def _is_blank(text: str) -> bool:
    return re.search("[^\\s\ufeff\u200b]", text) is None


def _headline(text: str) -> str | None:
    first, _, rest = text.lstrip().partition("\n")
    first = first.strip()
    if not rest.strip() or len(first) > TITLE_CHARACTERS or first.endswith((".", "。", ",", ";", ":")):
        return None
    return first


def _one_line(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


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


def _iso_day(value: str) -> str | None:
    """Give the day of an ISO 8601 date or date with time, None for anything else."""
    if not re.match(r"\d{4}-\d{2}-\d{2}(?:[T ]|$)", value):
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return None


FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(?P<marked>\S.*)$|^ {0,3}(?P<underlined>\w.*)\n {0,3}(?:=+|-{3,})[ \t]*\r?$",
    re.MULTILINE,
)


def _first_heading(text: str) -> str | None:
    heading = HEADING.search(FENCED.sub("", text[:100_000]))
    if heading is None:
        return None
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading["marked"] or heading["underlined"])
    return re.sub(r"[*`]+|\b_+|_+\b", "", words).rstrip("# \t\r").strip() or None
