"""The source panel: a stored document with a quote marked in it, and the PDF file that it was read from.

A link to it is a fragment of the page's address, so that nothing is loaded where the page's script does not run.
"""

import re
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from assistant.types import Citation
from assistant.web.texts import texts_in
from index.errors import SourceNotFound
from index.kinds import kind_of
from index.types import Passage, Source
from index.walk import hash_of

if TYPE_CHECKING:
    from index import Index

Span = Annotated[str, Query(pattern=r"^[0-9]{1,9}-[0-9]{1,9}$")]
"""Where something begins and ends in a text, in characters: 120-184."""

FILE_HEADERS = {
    # A PDF is somebody else's: it runs nothing, loads nothing, and is shown in no page but ours.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
    "Cache-Control": "private, no-cache",
}


def citation_link(citation: Citation) -> str:
    """Give the link that opens the panel at a quote."""
    return _link(citation.passage, quote=f"{citation.start}-{citation.end}")


def passage_link(passage: Passage) -> str:
    """Give the link that opens the panel at a passage."""
    return _link(passage)


def panel_routes(index: "Index") -> APIRouter:
    """Return the routes that the panel reads: GET /documents/{id}, and GET /documents/{id}/file for the PDF."""
    routes = APIRouter(prefix="/documents", include_in_schema=False)

    @routes.get("/{source_id}")
    def document(
        source_id: str, passage: Span = "0-0", quote: Span = "0-0", page: int | None = None, language: str = "en"
    ) -> dict[str, Any]:
        """Give what is known of a document, and its stored text in pieces: the passage is one, the quote another."""
        source = _source(index, source_id)
        texts = texts_in(language)
        details = [source.author, source.date and texts.day(source.date[:10]), page and texts.page.format(page)]
        return {
            "title": source.title,
            "name": Path(source.path).name,
            "details": list(filter(None, details)),
            "language": source.language,
            "pieces": pieces(index.text(source_id), _span(passage), _span(quote)),
            "pdf": _pdf(source) is not None,
        }

    @routes.get("/{source_id}/file")
    def file(source_id: str) -> FileResponse:
        """Give the PDF file of a document, or the part of it that is asked for (Range)."""
        source = _source(index, source_id)
        path = _pdf(source)
        if path is None:
            raise SourceNotFound(f"No PDF file is here that document {source_id!r} was read from.")
        return FileResponse(
            path,
            media_type="application/pdf",
            filename=path.name,
            content_disposition_type="inline",
            headers=FILE_HEADERS,
        )

    return routes


def pieces(text: str, passage: tuple[int, int], quote: tuple[int, int]) -> list[tuple[str, str]]:
    """Cut a text into (kind, text): kind is "quote", "passage" for what is around it, or "".

    Together they are the text. A place outside the text, or a quote without a passage, marks what there is of it.
    """
    begin, end = passage if passage[1] > passage[0] else quote
    start, stop = quote if quote[1] > quote[0] else (end, end)
    cuts = list(accumulate([0, begin, start, stop, max(stop, end), max(stop, end, len(text))], max))
    kinds = ["", "passage", "quote", "passage", ""]
    return [(kind, text[a:b]) for kind, a, b in zip(kinds, cuts, cuts[1:], strict=False) if text[a:b]]


def _link(passage: Passage, **more: str) -> str:
    where = {"id": passage.source, "passage": f"{passage.start}-{passage.end}", **more}
    if passage.page is not None:
        where["page"] = str(passage.page)
    return f"#source?{urlencode(where)}"


def _span(written: str) -> tuple[int, int]:
    start, end = re.findall(r"\d+", written)
    return int(start), int(end)


def _source(index: "Index", source_id: str) -> Source:
    for source in index.sources():
        if source.id == source_id:
            return source
    raise SourceNotFound(f"No document {source_id!r}. List them: GET /api/sources")


def _pdf(source: Source) -> Path | None:
    """Find a file of the document that is a PDF and still the very one that was indexed."""
    return next((path for path in map(Path, source.paths) if _is_pdf_of(path, source.content_hash)), None)


def _is_pdf_of(path: Path, content_hash: str) -> bool:
    try:
        with path.open("rb") as file:
            if kind_of(file) != "pdf":
                return False
        state = path.stat()
        return _hash(path, (state.st_ino, state.st_size, state.st_mtime_ns)) == content_hash
    except OSError:
        return False


@lru_cache(maxsize=256)
def _hash(path: Path, _: tuple[int, int, int]) -> str:
    """Remember the hash of a file as long as the file looks the same: a viewer asks for many parts of it."""
    return hash_of(path)
