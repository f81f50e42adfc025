"""file → Documents, one table from kind of file to loader.

The kind is what the content says; only for text, which looks all the same, it is what the name says. The text of a
Document is what a reader sees in the file: citations are offsets in it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from langchain_core.documents import Document

from index.errors import UnreadableFile
from index.kinds import NOT_READ, kind_of
from index.language import DETECTED_CHARACTERS, detect
from index.loaders import ocr
from index.loaders.book import read_epub
from index.loaders.data import read_json, read_json_lines
from index.loaders.mail import read_eml
from index.loaders.markdown import read_markdown
from index.loaders.opendocument import read_odt
from index.loaders.parts import HEADING_CHARACTERS, Loaded, Part, one_line
from index.loaders.pdf import read_pdf
from index.loaders.rich_text import read_rtf
from index.loaders.slides import read_pptx
from index.loaders.tables import read_csv, read_ods, read_xlsx
from index.loaders.text import read_text
from index.loaders.web import read_html
from index.loaders.word import read_docx

MEGABYTE = 1024 * 1024
BELOW = " › "
"""Between the headings of a section."""


@dataclass(frozen=True, slots=True)
class Loader:
    """How files of one kind are read."""

    read: Callable[[bytes], Loaded]
    """Raises UnreadableFile with the reason in plain words."""
    version: int
    """Raised when the text it gives, its parts or what it says of a file change: files are then read again."""
    megabytes: int
    """A larger file is not read."""
    suffixes: tuple[str, ...]
    """Names that end so are of this kind, where the content does not say otherwise."""


LOADERS: dict[str, Loader] = {
    "text": Loader(read_text, 1, 20, (".txt", ".text")),
    "markdown": Loader(read_markdown, 1, 20, (".md", ".markdown")),
    "html": Loader(read_html, 1, 20, (".html", ".htm", ".xhtml")),
    "pdf": Loader(read_pdf, 1, 200, (".pdf",)),
    "docx": Loader(read_docx, 1, 200, (".docx", ".docm", ".dotx")),
    "odt": Loader(read_odt, 1, 200, (".odt", ".ott")),
    "rtf": Loader(read_rtf, 1, 100, (".rtf",)),
    "pptx": Loader(read_pptx, 1, 200, (".pptx", ".pptm", ".ppsx")),
    "xlsx": Loader(read_xlsx, 1, 50, (".xlsx", ".xlsm")),
    "ods": Loader(read_ods, 1, 50, (".ods",)),
    "csv": Loader(read_csv, 1, 20, (".csv", ".tsv", ".tab")),
    "epub": Loader(read_epub, 1, 200, (".epub",)),
    "eml": Loader(read_eml, 1, 50, (".eml",)),
    "json": Loader(read_json, 1, 20, (".json",)),
    "jsonl": Loader(read_json_lines, 1, 20, (".jsonl", ".ndjson")),
    "picture": Loader(ocr.read_picture, 1, 50, (".png", ".jpg", ".jpeg", ".tif", ".tiff")),
}


def load(path: Path) -> list[Document]:
    """Read a file as the loader of its kind does.

    Gives one Document or more, with text in them: one for each page, slide, sheet or section. Their metadata: `title`,
    and where known `page`, `section`, `language`, `date` and `author`.

    Raises UnreadableFile: its kind is not read, it vanished, is a folder, not permitted, too large, empty, broken,
    encrypted, or there is no text in it.
    """
    with _opened(path) as file:
        _, loader = _loader(file, path)
        content = _content(file, loader.megabytes)
    try:
        loaded = loader.read(content)
    except RecursionError:
        raise UnreadableFile("broken: it is nested too deep") from None
    parts = [(part, text) for part in loaded.parts if not _is_blank(text := mended(part.text))]
    if not parts:
        raise UnreadableFile("no text in it")
    title = one_line(mended(loaded.title or "") or path.stem)
    about: dict[str, str | int | None] = {
        "title": title,
        "date": loaded.date,
        "author": mended(loaded.author or ""),
        "language": _language([text for _, text in parts]),
    }
    return [_document(text, about | {"page": part.page, "section": _section(part, title)}) for part, text in parts]


def loader_id(path: Path) -> str:
    """Name the kind of a file and the version of its loader: "pdf/1". Only its beginning is read.

    Raises UnreadableFile as load does where no loader reads this kind.
    """
    with _opened(path) as file:
        kind, loader = _loader(file, path)
    return f"{kind}/{loader.version}"


def mended(text: str) -> str:
    """Write text without what a reader does not see or tell apart: soft hyphens, ligatures, byte order marks.

    What no database takes, the null character and lone surrogates, is replaced one by one.
    """
    return SOFT_LINE_END.sub("", text).translate(MENDED).encode(errors="replace").decode()


SOFT_LINE_END = re.compile("\u00ad[ \t]*\r?\n[ \t]*")
LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
MENDED = str.maketrans({"\0": " ", "\u00ad": "", "\ufeff": "", **LIGATURES})


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; raises UnreadableFile with the plain reason where that is not possible."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFile("it is a device or a pipe, not a file")
            yield file
    except IsADirectoryError:
        raise UnreadableFile("it is a folder, not a file") from None
    except FileNotFoundError:
        raise UnreadableFile("the file is no longer there") from None
    except PermissionError:
        raise UnreadableFile("permission denied; let this user read it") from None
    except OSError as error:
        raise UnreadableFile(f"the system does not read it: {error.strerror or error}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe, should it be one, before somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _loader(file: BinaryIO, path: Path) -> tuple[str, Loader]:
    suffix = path.suffix.lower()
    by_name = (kind for kind, loader in LOADERS.items() if suffix in loader.suffixes)
    kind = kind_of(file) or next(by_name, None)
    if kind == "picture" and not ocr.installed():
        raise UnreadableFile(f"a picture; {ocr.HOW_TO_INSTALL}")
    if kind in LOADERS:
        return kind, LOADERS[kind]
    raise UnreadableFile(NOT_READ.get(kind or "", f"no loader for {suffix or 'files without a suffix'}"))


def _content(file: BinaryIO, megabytes: int) -> bytes:
    file.seek(0)
    content = file.read(megabytes * MEGABYTE + 1)
    if len(content) > megabytes * MEGABYTE:
        size = file.seek(0, 2) / MEGABYTE
        raise UnreadableFile(f"{size:.1f} MB; the limit is {megabytes} MB, split it into smaller files")
    if not content:
        raise UnreadableFile("it is empty")
    return content


def _is_blank(text: str) -> bool:
    return re.search("[^\\s\u200b]", text) is None


def _language(texts: list[str]) -> str | None:
    """Name the language of a file by its beginning, however small its parts are."""
    sample = ""
    for text in texts:
        sample += text[:DETECTED_CHARACTERS] + "\n"
        if len(sample) > DETECTED_CHARACTERS:
            break
    return detect(sample)


def _section(part: Part, title: str) -> str | None:
    """Name the headings above a part; the first is left out where it is the title."""
    inner = part.path[1:] if part.path[:1] == (one_line(title, HEADING_CHARACTERS),) else part.path
    return mended(BELOW.join(inner)) or None


def _document(text: str, metadata: dict[str, str | int | None]) -> Document:
    return Document(page_content=text, metadata={key: value for key, value in metadata.items() if value})
