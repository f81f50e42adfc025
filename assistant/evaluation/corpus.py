"""Corpora as indexes, kept by content: to measure a second time embeds nothing.

They lie in the user's cache folder, one for each corpus and each way of making chunks of it. Nothing but time is lost
when they are deleted.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs
from langchain_core.documents import Document

import index
from assistant.errors import InvalidData
from assistant.evaluation.data import Record
from index import Index, IndexSettings, Plan, Progress, detect, plan
from index.build import open_or_create, own, recipe
from index.catalog import SCHEMA, document_id
from index.sync import Load

CHUNKS_DEPEND_ON = ("embed", "language", "models", "sentences", "split", "sync")
TERMS_DEPEND_ON = ("language", "lexical", "split", "terms")
"""Modules of the index, a change of which makes old, what is kept."""


@dataclass(frozen=True, slots=True)
class Indexing:
    """What is indexed, and what that took, whenever it was done."""

    documents: int = 0
    chunks: int = 0
    seconds: float = 0.0
    """Of splitting, embedding and storing, the model loaded before; NaN where it was broken off and went on later."""

    @property
    def chunks_per_second(self) -> float | None:
        """How fast it was; None where that is not known."""
        return round(self.chunks / self.seconds, 1) if self.seconds > 0 else None

    def __add__(self, other: "Indexing") -> "Indexing":
        return Indexing(self.documents + other.documents, self.chunks + other.chunks, self.seconds + other.seconds)


def default_cache() -> Path:
    """Name the folder of the indexes that are kept."""
    return platformdirs.user_cache_path("sourcier") / "evaluation"


def kept_index(
    records: Sequence[Record], cache: Path, on_progress: Callable[[Progress], None]
) -> tuple[Index, Indexing]:
    """Open the index of a corpus, made now if it is not kept yet; raises as index_records does."""
    folder = cache / corpus_key(records)
    opened = index_records(records, folder, on_progress)
    seconds = json.loads(_note(folder).read_text("utf-8")) if _note(folder).exists() else math.nan
    return opened, Indexing(*opened.catalog.counts(), seconds)


def index_records(
    records: Sequence[Record], folder: Path, on_progress: Callable[[Progress], None] = lambda _: None
) -> Index:
    """Index records with the settings of the environment; what is in the folder from before is used again.

    Their text is stored as it stands, so that places in it stay places. Raises InvalidData where one is not indexed.
    """
    by_key = {record_key(record): record for record in records}
    files = folder / "documents"
    files.mkdir(parents=True, exist_ok=True)
    for key, record in by_key.items():
        (files / f"{key}.txt").write_bytes(_content(record))
    settings = folder_settings(_store(folder))
    opened = own(
        settings, replace(recipe(settings), reader=lambda _: nullcontext(_as_it_stands(by_key))), open_or_create
    )
    try:
        _throw_away_old_terms(folder)
        planned = plan([files], opened.catalog)
        if planned.put:
            seconds = _sync(planned, opened, on_progress, by_key)
            if len(planned.put) == len(by_key):
                _note(folder).write_text(json.dumps(seconds), "utf-8")
    except BaseException:
        opened.close()
        raise
    return opened


def folder_settings(folder: Path) -> IndexSettings:
    """Give the settings of an index that is in its folder whole: never on a server of the user's, whatever is set."""
    return IndexSettings(path=folder, chroma_url=None, chroma_key=None, chroma_database=None, catalog_url=None)


def corpus_key(records: Sequence[Record]) -> str:
    """Name a corpus by its content and by all that its chunks and vectors depend on."""
    made_by = [recipe(IndexSettings()).name, SCHEMA, _sources(CHUNKS_DEPEND_ON)]
    return hashlib.sha256("\n".join([*made_by, *sorted(map(record_key, records))]).encode()).hexdigest()[:16]


def record_key(record: Record) -> str:
    """Give the id that the index gives a document of this title and text."""
    return document_id(hashlib.sha256(_content(record)).hexdigest())


def _sync(
    planned: Plan, opened: Index, on_progress: Callable[[Progress], None], records: Mapping[str, Record]
) -> float:
    """Index records, and tell how many seconds that took. records: by the names of their files."""
    opened.embeddings.load()
    began = time.perf_counter()
    report = opened.sync(planned, on_progress)
    for row in report.unreadable:
        raise InvalidData(f"Document {records[Path(row.path).stem].id!r} cannot be indexed: {row.reason}")
    return time.perf_counter() - began


def _as_it_stands(records: Mapping[str, Record]) -> Load:
    """Return what gives the text of a record for its file. records: by the names of their files."""

    def load(path: Path) -> list[Document]:
        record = records[path.stem]
        return [Document(record.text, metadata={"title": record.title, "language": detect(record.text)})]

    return load


def _throw_away_old_terms(folder: Path) -> None:
    """Delete a lexical index whose terms were made by other rules; it is made again from the catalog.

    The folder is ours by now, and the lexical index not yet open.
    """
    made_by = folder / "terms.sha256"
    now = _sources(TERMS_DEPEND_ON)
    if made_by.exists() and made_by.read_text("ascii") == now:
        return
    shutil.rmtree(_store(folder) / "lexical", ignore_errors=True)
    made_by.write_text(now, "ascii")


def _sources(modules: Sequence[str]) -> str:
    """Sum up the code of modules of the index."""
    package = Path(index.__file__).parent
    return hashlib.sha256(b"".join((package / f"{name}.py").read_bytes() for name in modules)).hexdigest()


def _content(record: Record) -> bytes:
    return f"{record.title}\n\n{record.text}".encode()


def _store(folder: Path) -> Path:
    return folder / "store"


def _note(folder: Path) -> Path:
    return folder / "seconds.json"
