"""The truth: documents with their text, chunks with their offsets and vectors, and a log of what changed.

A document is written with its chunks in one transaction. The vector index and the lexical index are made from
the catalog and follow its change log: either can be thrown away and made again without reading a file.

The statements are SQLAlchemy Core, none in SQLite's own SQL; `_engine` is what another database replaces.
"""

import heapq
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from index.errors import (
    EmbeddingMismatch,
    IndexingError,
    IndexNotFound,
    InvalidFilter,
    SourceNotFound,
    StoreUnavailable,
)
from index.language import CODES
from index.types import File, Filter, Passage, Source

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of a document: `text` stands at `start` of the document's text, in characters."""

    start: int
    text: str
    page: int | None
    vector: Vector
    """float32, shape (dimension,)."""
    section: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredDocument:
    """A document as the catalog holds it; it has at least one chunk."""

    content_hash: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    title: str
    text: str
    language: str | None
    date: str | None
    chunks: tuple[Chunk, ...]
    author: str | None = None

    @property
    def id(self) -> str:
        """Name the document by its content, so that the same file has the same id wherever it lies."""
        return document_id(self.content_hash)

    def chunks_by_id(self) -> Iterator[tuple[str, Chunk]]:
        """Give each chunk with its id, in the order of the text."""
        return ((f"{self.id}-{chunk.start}", chunk) for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a follower has come: the last change it holds, and of which catalog."""

    catalog: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """The last state of one document: as stored, or None when it is gone."""

    number: int
    source: str
    document: StoredDocument | None


class Follower(Protocol):
    """An index made from the catalog, which remembers how far it has come."""

    @property
    def position(self) -> Position | None:
        """The position of the last `apply`, None when nothing was applied."""

    def apply(self, changes: Sequence[Change], position: Position) -> None:
        """Take over the changes, and then, durably, the position; applying them again changes nothing."""

    def clear(self) -> None:
        """Forget everything, the position first or at the same time."""


def follow(catalog: "Catalog", follower: Follower, batch_chunks: int = 2_000) -> None:
    """Bring a follower up to date, in batches of about `batch_chunks` chunks.

    A follower of another catalog, or one that is ahead of this one (then an older copy), starts again.
    """
    position = follower.position
    if position is None or not catalog.reaches(position):
        follower.clear()
        position = Position(catalog.id, 0)
    changes: list[Change] = []
    size = 0
    for change in catalog.changes(since=position.number):
        changes.append(change)
        size += len(change.document.chunks) if change.document else 1
        if size >= batch_chunks:
            follower.apply(changes, Position(catalog.id, change.number))
            changes, size = [], 0
    if changes or follower.position is None:
        follower.apply(changes, Position(catalog.id, changes[-1].number if changes else 0))


def document_id(content_hash: str) -> str:
    """Give the id of the document of this content: 64 bits of its hash."""
    return content_hash[:16]


def document_of(chunk_id: str) -> str:
    """Give the id of the document that a chunk is of."""
    return chunk_id.rpartition("-")[0]


class Catalog:
    """The documents, in one SQLite file; made by `create` or `open`.

    Several threads and processes may read while one writes. Every method raises StoreUnavailable when the
    disk is full, the folder is read-only or the file is damaged; what was acknowledged before is kept.
    """

    def __init__(self, path: Path, engine: Engine, meta: Mapping[str, str]) -> None:
        self.path = path
        self.id = meta["catalog"]
        self.fingerprint = meta["fingerprint"]
        self._engine = engine
        self._writing_engine = engine.execution_options(begin="BEGIN IMMEDIATE")

    @classmethod
    def create(cls, path: Path, fingerprint: str) -> Self:
        """Make an empty catalog.

        Args:
            path: the file, which is not there yet; its folder is made.
            fingerprint: names the embedding model and the sizes of the chunks.

        Raises:
            StoreUnavailable: there is a catalog already, or the folder cannot be written to.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unavailable(path, error.strerror or str(error)) from error
        meta = {"catalog": uuid.uuid4().hex, "schema": SCHEMA, "fingerprint": fingerprint, "forgotten": "0"}
        engine = _engine(path)
        try:
            with _translated(path), engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
                _schema.create_all(connection, checkfirst=False)
                connection.execute(insert(_meta), [{"key": key, "value": meta[key]} for key in meta])
        except StoreUnavailable:
            engine.dispose()
            raise
        return cls(path, engine, meta)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the catalog of an index.

        Raises:
            IndexNotFound: nothing has been indexed here.
            StoreUnavailable: the file is damaged, or of another version of this program.
        """
        if not path.exists():
            raise _not_found(path)
        engine = _engine(path)
        try:
            with _translated(path), engine.begin() as connection:
                if not inspect(connection).get_table_names():
                    raise _not_found(path)
                meta = {row.key: row.value for row in connection.execute(select(_meta))}
            if meta.get("schema") != SCHEMA:
                raise StoreUnavailable(
                    f"The index at {path.parent} has schema {meta.get('schema')}, this version reads schema "
                    f"{SCHEMA}. Use the version that made it, or delete the folder and index again."
                )
        except IndexingError:
            engine.dispose()
            raise
        return cls(path, engine, meta)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def expect(self, fingerprint: str) -> None:
        """Make sure that questions are embedded as the documents were.

        Raises:
            EmbeddingMismatch: the catalog was made with another model or with other chunk sizes.
        """
        if fingerprint != self.fingerprint:
            raise EmbeddingMismatch(
                f"The index at {self.path.parent} was built with {self.fingerprint}, the settings say "
                f"{fingerprint}. Set INDEX_EMBEDDING_MODEL back, or delete the folder and index again."
            )

    def put(self, document: StoredDocument, paths: Collection[str]) -> None:
        """Write a document whole, under its paths; what only these named before is gone, all at once."""
        if not document.chunks:
            raise ValueError(f"document {document.id} has no chunks")
        row = {
            "id": document.id,
            "content_hash": document.content_hash,
            "title": document.title,
            "language": document.language,
            "date": document.date,
            "author": document.author,
            "text": document.text,
        }
        chunks = [
            {
                "id": id,
                "document": document.id,
                "start": chunk.start,
                "end": chunk.start + len(chunk.text),
                "page": chunk.page,
                "section": chunk.section,
                "vector": chunk.vector.astype("<f4").tobytes(),
            }
            for id, chunk in document.chunks_by_id()
        ]
        with self._writing() as connection:
            if _holds(connection, document.id):
                connection.execute(delete(_chunks).where(_chunks.c.document == document.id))
                connection.execute(update(_documents).where(_documents.c.id == document.id).values(row))
            else:
                connection.execute(insert(_documents), row)
            connection.execute(insert(_chunks), chunks)
            _log(connection, document.id)
            _point(connection, dict.fromkeys(paths, document.id))

    def point(self, documents: Mapping[str, str]) -> None:
        """Let each path name a document that is stored; what no path names any more is gone, all at once.

        Raises:
            SourceNotFound: one of the documents is not stored; nothing was written.
        """
        with self._writing() as connection:
            for document in set(documents.values()):
                if not _holds(connection, document):
                    raise _no_source(document)
            _point(connection, documents)

    def remove(self, paths: Collection[str]) -> None:
        """Forget paths; a document goes with its last path."""
        with self._writing() as connection:
            _forget(connection, paths)

    def hashes(self) -> dict[str, str]:
        """Give the content hash of the document under each path."""
        statement = select(_paths.c.path, _documents.c.content_hash).join(_documents)
        with self._reading() as connection:
            return {row.path: row.content_hash for row in connection.execute(statement)}

    def sources(self) -> list[Source]:
        """List the documents by path; one that lies at several paths is listed under the first."""
        chunks = select(_chunks.c.document, func.count().label("chunks")).group_by(_chunks.c.document).subquery()
        paths = select(_paths.c.document, func.min(_paths.c.path).label("path")).group_by(_paths.c.document).subquery()
        columns = [_documents.c[name] for name in ("id", "title", "language", "date", "author", "content_hash")]
        statement = (
            select(*columns, paths.c.path, chunks.c.chunks)
            .join(paths, paths.c.document == _documents.c.id)
            .join(chunks, chunks.c.document == _documents.c.id)
            .order_by(paths.c.path)
        )
        with self._reading() as connection:
            return [Source(**row._mapping) for row in connection.execute(statement)]

    def text(self, id: str) -> str:
        """Give the stored text of a document.

        Raises:
            SourceNotFound: no document of this id is stored.
        """
        with self._reading() as connection:
            text = connection.scalar(select(_documents.c.text).where(_documents.c.id == id))
        if text is None:
            raise _no_source(id)
        return str(text)

    def passages(self, scores: Sequence[tuple[str, float]]) -> list[Passage]:
        """Give the passages of these chunk ids with their scores, in the given order.

        A chunk that is gone is left out: an index that follows may be a moment behind. The first file of a
        document is its `file`, the others are in `also_in`.
        """
        text = func.substr(_documents.c.text, _chunks.c.start + 1, _chunks.c.end - _chunks.c.start)
        of_chunk = [_chunks.c[name] for name in ("id", "document", "start", "page", "section")]
        of_document = [_documents.c[name] for name in ("title", "language", "date")]
        statement = select(*of_chunk, *of_document, text.label("text")).join(_documents)
        ids = [id for id, _ in scores]
        with self._reading() as connection:
            rows = {row.id: row for row in _in_parts(connection, statement, _chunks.c.id, ids)}
            files = _files(connection, {row.document for row in rows.values()})
        return [_passage(row, score, files[row.document]) for id, score in scores if (row := rows.get(id))]

    def nearest(self, vector: Vector, k: int, documents: Collection[str]) -> list[tuple[str, float]]:
        """Find the chunks of these documents that are nearest to a vector, by looking at each.

        Args:
            vector: float32, shape (dimension,), unit length, as the stored ones are.
            k: how many, at most.
            documents: ids. 90,000 chunks are looked at in a quarter of a second.

        Returns:
            Chunk ids and cosine similarities, best first.
        """
        best: list[tuple[str, float]] = []
        statement = select(_chunks.c.id, _chunks.c.vector)
        with self._reading() as connection:
            rows_left = _in_parts(connection, statement, _chunks.c.document, documents)
            while rows := list(islice(rows_left, SCORED_CHUNKS)):
                vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), -1)
                found = zip((row.id for row in rows), (vectors @ vector).tolist(), strict=True)
                best = heapq.nlargest(k, [*best, *found], key=itemgetter(1))
        return best

    def matching(self, where: Filter) -> frozenset[str]:
        """Give the ids of the documents that meet a filter; a document's day is the one it says, in its own time zone.

        Raises:
            InvalidFilter: it names a document that is not stored, or a language that is none.
        """
        languages = [language.lower() for language in where.languages]
        statement = select(_documents.c.id)
        if where.since:
            statement = statement.where(_day >= where.since)
        if where.until:
            statement = statement.where(_day <= where.until)
        if languages:
            statement = statement.where(_documents.c.language.in_(languages))
        with self._reading() as connection:
            _refuse_unknown(connection, where.sources, languages)
            if where.sources:
                rows = _in_parts(connection, statement, _documents.c.id, where.sources)
                return frozenset(row.id for row in rows)
            return frozenset(connection.scalars(statement))

    def at(self, path: str) -> list[str]:
        """Give the ids of the documents at a path, or in the folder of this path and those below; none is no error."""
        folder = path.rstrip("/") + "/"
        below = func.substr(_paths.c.path, 1, len(folder)) == folder
        statement = select(_paths.c.document).where((_paths.c.path == path) | below).distinct()
        with self._reading() as connection:
            return list(connection.scalars(statement))

    def languages(self) -> set[str]:
        """Give the languages of the documents, as ISO 639-1."""
        statement = select(_documents.c.language).where(_documents.c.language.is_not(None)).distinct()
        with self._reading() as connection:
            return set(connection.scalars(statement))

    def counts(self) -> tuple[int, int]:
        """Count documents and chunks."""
        with self._reading() as connection:
            return (
                connection.scalar(select(func.count()).select_from(_documents)) or 0,
                connection.scalar(select(func.count()).select_from(_chunks)) or 0,
            )

    @property
    def position(self) -> Position:
        """The last change; 0 when nothing was ever stored."""
        with self._reading() as connection:
            return Position(self.id, max(_last_change(connection), _forgotten(connection)))

    def reaches(self, position: Position) -> bool:
        """Say whether a follower at this position can go on from there by the change log."""
        if position.catalog != self.id:
            return False
        with self._reading() as connection:
            forgotten = _forgotten(connection)
            return forgotten <= position.number <= max(_last_change(connection), forgotten)

    def changes(self, since: int) -> Iterator[Change]:
        """Give every document that changed after change number `since`, in order, once, as it is now."""
        while page := self._changes(since):
            yield from page
            since = page[-1].number

    def _changes(self, since: int) -> list[Change]:
        log = select(_changes).where(_changes.c.number > since).order_by(_changes.c.number)
        by_document = select(_chunks).order_by(_chunks.c.document, _chunks.c.start)
        with self._reading() as connection:
            entries = connection.execute(log.limit(PAGE_DOCUMENTS)).all()
            ids = [entry.document for entry in entries]
            documents = connection.execute(select(_documents).where(_documents.c.id.in_(ids))).all()
            chunks = connection.execute(by_document.where(_chunks.c.document.in_(ids))).all()
        rows = {id: list(group) for id, group in groupby(chunks, key=lambda chunk: str(chunk.document))}
        stored = {row.id: _stored(row, rows[row.id]) for row in documents}
        return [Change(entry.number, entry.document, stored.get(entry.document)) for entry in entries]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(self.path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _translated(self.path), self._writing_engine.begin() as connection:
            yield connection


SCHEMA = "2"
PAGE_DOCUMENTS = 64
"""How many documents are read at once for a follower."""
TOMBSTONES = 1_000
"""How many documents that are gone the change log may hold beyond the number of documents."""
SCORED_CHUNKS = 2_000
"""How many vectors are in memory at once when all are looked at."""
PARAMETERS = 10_000
"""How many values one statement may name; SQLite takes 32,766."""

_schema = MetaData()

_meta = Table(
    "meta",
    _schema,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)
_documents = Table(
    "documents",
    _schema,
    Column("id", String, primary_key=True),
    Column("content_hash", String, nullable=False, unique=True),
    Column("title", String, nullable=False),
    Column("language", String),
    Column("date", String),
    Column("author", String),
    Column("text", Text, nullable=False),
)
_paths = Table(
    "paths",
    _schema,
    Column("path", String, primary_key=True),
    Column("document", ForeignKey("documents.id"), nullable=False, index=True),
)
_chunks = Table(
    "chunks",
    _schema,
    Column("id", String, primary_key=True),
    Column("document", ForeignKey("documents.id"), nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("section", String),
    Column("vector", LargeBinary, nullable=False),
    Index("ix_chunks_document_start", "document", "start"),
)
_day = case((func.length(_documents.c.date) >= len("2025-11-05"), func.substr(_documents.c.date, 1, 10)))
"""The day of publication; of a date that is no more than a month or a year, none."""

# One row a document, its last change. A number is never given twice: a follower would miss a change.
_changes = Table(
    "changes",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("document", String, nullable=False, unique=True),
    sqlite_autoincrement=True,
)


def _engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # Python's sqlite3 would begin at the first write only: what is read before would be of other moments.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _holds(connection: Connection, document: str) -> bool:
    return connection.scalar(select(_documents.c.id).where(_documents.c.id == document)) is not None


def _point(connection: Connection, documents: Mapping[str, str]) -> None:
    """Let each path name its document, then drop what no path names any more."""
    before = _named(connection, documents)
    _delete_paths(connection, documents)
    if documents:
        rows = [{"path": path, "document": document} for path, document in documents.items()]
        connection.execute(insert(_paths), rows)
    _drop_unnamed(connection, before)


def _forget(connection: Connection, paths: Collection[str]) -> None:
    before = _named(connection, paths)
    _delete_paths(connection, paths)
    _drop_unnamed(connection, before)


def _named(connection: Connection, paths: Collection[str]) -> set[str]:
    return {row.document for row in _in_parts(connection, select(_paths.c.document), _paths.c.path, paths)}


def _drop_unnamed(connection: Connection, documents: Collection[str]) -> None:
    """Drop those documents that no path names."""
    statement = select(_paths.c.document)
    named = {row.document for row in _in_parts(connection, statement, _paths.c.document, documents)}
    for document in sorted(set(documents) - named):
        connection.execute(delete(_chunks).where(_chunks.c.document == document))
        connection.execute(delete(_documents).where(_documents.c.id == document))
        _log(connection, document)


def _log(connection: Connection, document: str) -> None:
    """Note that a document changed, instead of its earlier change."""
    connection.execute(delete(_changes).where(_changes.c.document == document))
    connection.execute(insert(_changes), {"document": document})
    # Counting takes a pass over the log: once in a while is enough.
    if _last_change(connection) % TOMBSTONES == 0:
        _shorten_log(connection)


def _shorten_log(connection: Connection) -> None:
    """Forget the oldest documents that are gone once they outnumber those that are there.

    A follower that has not come past what is forgotten starts again, which then costs no more than to follow.
    """
    there = select(_documents.c.id).where(_documents.c.id == _changes.c.document).exists()
    gone = connection.scalars(select(_changes.c.number).where(~there).order_by(_changes.c.number)).all()
    documents = connection.scalar(select(func.count()).select_from(_documents)) or 0
    surplus = len(gone) - documents - TOMBSTONES
    if surplus <= 0:
        return
    last = gone[surplus - 1]
    connection.execute(delete(_changes).where(_changes.c.number <= last, ~there))
    connection.execute(update(_meta).where(_meta.c.key == "forgotten").values(value=str(last)))


def _refuse_unknown(connection: Connection, sources: Collection[str], languages: Collection[str]) -> None:
    stored = {row.id for row in _in_parts(connection, select(_documents.c.id), _documents.c.id, sources)}
    for source in sources:
        if source not in stored:
            raise InvalidFilter(
                f"No document {source!r} is indexed. List those that are: assistant sources, or GET /api/sources"
            )
    written = set(connection.scalars(select(_documents.c.language).where(_documents.c.language.in_(languages))))
    for language in languages:
        if language not in CODES | written:
            raise InvalidFilter(f"{language!r} is no code of a language. Write it as ISO 639-1 does: fr, en, de")


def _files(connection: Connection, documents: Collection[str]) -> dict[str, list[str]]:
    """Give the names of the files of each document, in the order of their paths."""
    files: dict[str, list[str]] = defaultdict(list)
    statement = select(_paths.c.document, _paths.c.path).order_by(_paths.c.path)
    for row in _in_parts(connection, statement, _paths.c.document, documents):
        files[row.document].append(PurePath(row.path).name)
    return files


def _passage(row: Row[Any], score: float, files: Sequence[str]) -> Passage:
    return Passage(
        id=row.id,
        text=row.text,
        source=row.document,
        title=row.title,
        page=row.page,
        start=row.start,
        score=score,
        language=row.language,
        section=row.section,
        date=row.date,
        file=files[0],
        also_in=tuple(File(row.document, row.title, file, row.date) for file in files[1:]),
    )


def _last_change(connection: Connection) -> int:
    return connection.scalar(select(func.max(_changes.c.number))) or 0


def _forgotten(connection: Connection) -> int:
    """Give the number up to which documents that are gone are no longer in the log."""
    return int(connection.scalar(select(_meta.c.value).where(_meta.c.key == "forgotten")) or 0)


def _stored(row: Row[Any], chunks: Iterable[Row[Any]]) -> StoredDocument:
    return StoredDocument(
        content_hash=row.content_hash,
        title=row.title,
        text=row.text,
        language=row.language,
        date=row.date,
        author=row.author,
        chunks=tuple(
            Chunk(
                start=chunk.start,
                text=row.text[chunk.start : chunk.end],
                page=chunk.page,
                section=chunk.section,
                vector=np.frombuffer(chunk.vector, "<f4"),
            )
            for chunk in chunks
        ),
    )


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    ordered = list(values)
    return (ordered[start : start + PARAMETERS] for start in range(0, len(ordered), PARAMETERS))


def _in_parts(
    connection: Connection, statement: Select[Any], column: Column[str], values: Collection[str]
) -> Iterator[Row[Any]]:
    for part in _parts(values):
        yield from connection.execute(statement.where(column.in_(part)))


def _delete_paths(connection: Connection, paths: Collection[str]) -> None:
    for part in _parts(paths):
        connection.execute(delete(_paths).where(_paths.c.path.in_(part)))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Say what the database's errors mean for the user."""
    try:
        yield
    except DBAPIError as error:
        raise _unavailable(path, str(error.orig)) from error


WHAT_TO_DO = {
    "full": "Free some space and run the command again; what is indexed so far is kept.",
    "malformed": "Delete the folder and index again; nothing else is lost, your files are the source.",
    "not a database": "Delete the folder and index again; nothing else is lost, your files are the source.",
    "no such table": "Delete the folder and index again; nothing else is lost, your files are the source.",
    "readonly": "Make the folder writable, or set INDEX_PATH to another folder.",
    "unable to open": "Make the folder writable, or set INDEX_PATH to another folder.",
    "already exists": "Open it, or delete the folder and index again.",
    "locked": "Another process is writing to it: try again when it is done.",
}
"""What SQLite says → what the user can do about it."""


def _unavailable(path: Path, reason: str) -> StoreUnavailable:
    advice = (advice for said, advice in WHAT_TO_DO.items() if said in reason)
    otherwise = "Check the disk's free space and the folder's permissions, and run the command again."
    return StoreUnavailable(f"The catalog {path} cannot be used: {reason}. {next(advice, otherwise)}")


def _not_found(path: Path) -> IndexNotFound:
    return IndexNotFound(f"No index at {path.parent}. Build one: assistant index FOLDER")


def _no_source(id: str) -> SourceNotFound:
    return SourceNotFound(f"No document {id} is indexed. List them: assistant sources")
