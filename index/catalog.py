"""The truth: documents with their text, chunks with their offsets and vectors, and a log of what changed.

A document is written with its chunks in one transaction. The vector index and the lexical index are made from
the catalog and follow its change log: either can be thrown away and made again without reading a file.

The statements are SQLAlchemy Core, none in one database's own SQL; what SQLite and PostgreSQL do each in its own way
is in database.py.
"""

import datetime
import heapq
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Column,
    Connection,
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
    cast,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)

from index.database import Database, Place, SqliteFile, database_at
from index.errors import (
    EmbeddingMismatch,
    IndexingError,
    IndexNotFound,
    InvalidFilter,
    SourceNotFound,
    StoreUnavailable,
)
from index.language import CODES
from index.stop import NEVER, Stop
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
    loader: str = ""
    """Id of the loader that read it."""

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

    def anew(self) -> AbstractContextManager["Follower"]:
        """Give an empty one, which takes the place of this one at the end, and is thrown away on an error."""


def follow(catalog: "Catalog", follower: Follower, batch_chunks: int = 500, stop: Stop = NEVER) -> None:
    """Bring a follower up to date, in batches of about `batch_chunks` chunks; raises Stopped between two of them.

    A follower of another catalog, or one that is ahead of this one (then an older copy), is made anew.
    """
    position = follower.position
    if position and catalog.reaches(position):
        _follow_from(position.number, catalog, follower, batch_chunks, stop)
        return
    with follower.anew() as new:
        _follow_from(NOWHERE, catalog, new, batch_chunks, stop)


def _follow_from(at: int, catalog: "Catalog", follower: Follower, batch_chunks: int, stop: Stop) -> None:
    end = catalog.position.number
    changes: list[Change] = []
    size = 0
    for change in catalog.changes(since=at):
        changes.append(change)
        size += len(change.document.chunks) if change.document else 1
        if size >= batch_chunks:
            stop.check()
            at = change.number
            follower.apply(changes, Position(catalog.id, at))
            changes, size = [], 0
    end = max([end, *(change.number for change in changes)])
    if at < end:
        follower.apply(changes, Position(catalog.id, end))


NOWHERE = -1
"""Where a follower is that has not even seen an empty catalog."""


def salvage_roots(place: Place) -> list[str]:
    """Read the roots out of a catalog that is damaged or of another version; none where that cannot be done."""
    database = database_at(place)
    try:
        with database.reading() as connection:
            return _root_paths(connection)
    except StoreUnavailable:
        return []
    finally:
        database.close()


def document_id(content_hash: str) -> str:
    """Give the id of the document of this content: 64 bits of its hash."""
    return content_hash[:16]


def document_of(chunk_id: str) -> str:
    """Give the id of the document that a chunk is of."""
    return chunk_id.rpartition("-")[0]


class Catalog:
    """The documents, in one SQLite file or in PostgreSQL; made by `create` or `open`.

    Several threads and processes may read while one writes. Every method raises StoreUnavailable when the
    disk is full, the folder is read-only, the file is damaged or the server is away; what was acknowledged is kept.
    """

    def __init__(self, database: Database, meta: Mapping[str, str]) -> None:
        self.id = meta["catalog"]
        self.fingerprint = meta["fingerprint"]
        self._database = database

    @classmethod
    def create(cls, place: Place, fingerprint: str) -> Self:
        """Make an empty catalog.

        Args:
            place: a file, which is not there yet and whose folder is made; or a database.
            fingerprint: names the embedding model and the sizes of the chunks.

        Raises:
            StoreUnavailable: there is a catalog already, or it cannot be written there.
        """
        meta = {"catalog": uuid.uuid4().hex, "schema": SCHEMA, "fingerprint": fingerprint, "forgotten": "0"}
        database = database_at(place)
        try:
            database.make()
            with database.writing() as connection:
                _schema.create_all(connection, checkfirst=False)
                connection.execute(insert(_meta), [{"key": key, "value": meta[key]} for key in meta])
        except StoreUnavailable:
            database.close()
            raise
        return cls(database, meta)

    @classmethod
    def open(cls, place: Place) -> Self:
        """Open the catalog of an index.

        Raises:
            IndexNotFound: nothing has been indexed here.
            StoreUnavailable: it cannot be reached, is damaged, or of another version of this program.
        """
        database = database_at(place)
        try:
            if not database.exists():
                raise _not_found(database)
            with database.reading() as connection:
                if _schema.tables.keys().isdisjoint(inspect(connection).get_table_names()):
                    raise _not_found(database)
                meta = {row.key: row.value for row in connection.execute(select(_meta))}
            if meta.get("schema") != SCHEMA:
                raise StoreUnavailable(
                    f"The index at {database.index} has schema {meta.get('schema')}, this version reads schema "
                    f"{SCHEMA}. Use the version that made it, or build it again: assistant index --rebuild"
                )
        except IndexingError:
            database.close()
            raise
        return cls(database, meta)

    @property
    def place(self) -> Place:
        """Where it is, for another to open it."""
        return self._database.place

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def replaced(self) -> bool:
        """Say whether another catalog has taken the place of this one since; from now on this is that one."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_meta).where(_meta.c.key.in_(["catalog", "fingerprint"])))
            meta = {row.key: row.value for row in rows}
        if meta["catalog"] == self.id:
            return False
        self.id, self.fingerprint = meta["catalog"], meta["fingerprint"]
        return True

    def turn(self, stop: Stop) -> AbstractContextManager[None]:
        """Wait until nobody else syncs, and let nobody until the block ends; raises Stopped where asked to stop."""
        return self._database.turn(stop)

    def turn_if_free(self) -> AbstractContextManager[bool]:
        """Take the turn if nobody has it, and say whether that is so."""
        return self._database.turn_if_free()

    def expect(self, fingerprint: str) -> None:
        """Make sure that questions are embedded as the documents were.

        Raises:
            EmbeddingMismatch: the catalog was made with another model, with other chunk sizes, or by an older version
                that made chunks in another way.
        """
        if fingerprint != self.fingerprint:
            raise EmbeddingMismatch(
                f"The index at {self._database.index} was built with {self.fingerprint}; this version, with the "
                f"settings as they are, builds {fingerprint}. Set INDEX_EMBEDDING_MODEL and the sizes back if they "
                "were changed, or build it again: assistant index --rebuild"
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
            "loader": document.loader,
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
        with self._database.writing() as connection:
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
        if not documents:
            return
        with self._database.writing() as connection:
            for document in set(documents.values()):
                if not _holds(connection, document):
                    raise _no_source(document)
            if _point(connection, documents):
                _note_traces(connection)

    def remove(self, paths: Collection[str]) -> None:
        """Take paths away; a document goes with its last path, a root with the last path below it."""
        if not paths:
            return
        with self._database.writing() as connection:
            if _remove(connection, paths):
                _note_traces(connection)

    def forget(self, paths: Collection[str]) -> None:
        """Take paths away as `remove` does, and every document that is gone out of the change log too.

        So followers cannot go on from where they are: they start again, and keep nothing made from these.
        """
        with self._database.writing() as connection:
            _remove(connection, paths)
            _note_traces(connection)
            # A change number that no follower has come to.
            number = connection.execute(insert(_changes), {"document": ""}).inserted_primary_key
            _forget_log(connection, number[0] if number else 0)

    def remember(self, roots: Collection[str]) -> None:
        """Keep which folders and single files were indexed, to find everything again for a rebuild."""
        new = set(roots).difference(self.roots())
        if not new:
            return
        with self._database.writing() as connection:
            connection.execute(insert(_roots), [{"path": root} for root in sorted(new)])

    def roots(self) -> list[str]:
        """Give the folders and single files from which something is indexed."""
        with self._database.reading() as connection:
            return _root_paths(connection)

    @property
    def has_traces(self) -> bool:
        """Say whether text of documents that are gone may still be in the file."""
        with self._database.reading() as connection:
            return connection.scalar(select(_meta.c.value).where(_meta.c.key == TRACES)) is not None

    def scrub(self) -> None:
        """Take what is left of old text off the disk, as far as the database can.

        The log of a file is emptied; where documents are gone the whole file is written anew, which takes
        their place on the disk twice for a moment. What another process is reading meanwhile is left for the next time.
        """
        traces = self.has_traces
        if self._database.scrub(anew=traces) and traces:
            with self._database.writing() as connection:
                connection.execute(delete(_meta).where(_meta.c.key == TRACES))

    def hashes(self) -> dict[str, str]:
        """Give the content hash of the document under each path."""
        statement = select(_paths.c.path, _documents.c.content_hash).join(_documents)
        with self._database.reading() as connection:
            return {row.path: row.content_hash for row in connection.execute(statement)}

    def loaders(self) -> dict[str, str]:
        """Give the id of the loader that read the document of each content hash."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_documents.c.content_hash, _documents.c.loader))
            return {row.content_hash: row.loader for row in rows}

    def sources(self) -> list[Source]:
        """List the documents, each with all its paths, by their first paths."""
        chunks = select(_chunks.c.document, func.count().label("chunks")).group_by(_chunks.c.document).subquery()
        columns = [_documents.c[name] for name in ("id", "title", "language", "date", "author", "content_hash")]
        statement = select(*columns, chunks.c.chunks).join(chunks, chunks.c.document == _documents.c.id)
        by_path = select(_paths.c.document, _paths.c.path).order_by(_paths.c.path)
        paths: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            documents = {row.id: row._mapping for row in connection.execute(statement)}
            for row in connection.execute(by_path):
                paths.setdefault(row.document, []).append(row.path)
        return [Source(**documents[id], paths=tuple(paths[id])) for id in paths]

    def changed(self) -> str | None:
        """Give the day on which a document was written or went last, ISO 8601; None where none ever was."""
        with self._database.reading() as connection:
            day: str | None = connection.scalar(select(_meta.c.value).where(_meta.c.key == CHANGED))
        return day

    def text(self, id: str) -> str:
        """Give the stored text of a document.

        Raises:
            SourceNotFound: no document of this id is stored.
        """
        with self._database.reading() as connection:
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
        with self._database.reading() as connection:
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
        with self._database.reading() as connection:
            rows_left = _in_parts(connection, statement, _chunks.c.document, documents)
            while rows := list(islice(rows_left, SCORED_CHUNKS)):
                vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), -1)
                found = zip((row.id for row in rows), (vectors @ vector).tolist(), strict=True)
                best = heapq.nlargest(k, [*best, *found], key=itemgetter(1))
        return best

    def by_chance(self, count: int) -> Vector:
        """Give the vectors of some chunks, spread over all documents: the same ones as long as nothing changes.

        count: how many, at most. float32, shape (n_chunks, dimension). Takes a tenth of a second at 100,000 chunks.
        """
        vectors = [*self.vectors(count).values()]
        return np.stack(vectors) if vectors else np.empty((0, 0), "<f4")

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
        with self._database.reading() as connection:
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
        with self._database.reading() as connection:
            return list(connection.scalars(statement))

    def languages(self) -> set[str]:
        """Give the languages of the documents, as ISO 639-1."""
        statement = select(_documents.c.language).where(_documents.c.language.is_not(None)).distinct()
        with self._database.reading() as connection:
            return set(connection.scalars(statement))

    def counts(self) -> tuple[int, int]:
        """Count documents and chunks."""
        with self._database.reading() as connection:
            return (
                connection.scalar(select(func.count()).select_from(_documents)) or 0,
                connection.scalar(select(func.count()).select_from(_chunks)) or 0,
            )

    def copy_to(self, file: Path) -> None:
        """Write the whole catalog into a new file, as it is at this moment, without traces of old text."""
        if isinstance(self._database, SqliteFile):
            self._database.copy_to(file)
            return
        with closing(Catalog.create(file, self.fingerprint)) as copy:
            copy.take(self)

    def take(self, other: "Catalog") -> None:
        """Hold what another catalog holds, its id and its log too, instead of what is here; all at once."""
        with other._database.reading() as theirs, self._database.writing() as ours:
            for table in reversed(_schema.sorted_tables):
                ours.execute(delete(table))
            for table in _schema.sorted_tables:
                rows = theirs.execute(select(table), execution_options={"yield_per": COPIED_ROWS})
                for part in rows.mappings().partitions():
                    ours.execute(insert(table), [dict(row) for row in part])
            self._database.number_after(ours, max(_last_change(ours), _forgotten(ours)))
        self.id, self.fingerprint = other.id, other.fingerprint

    def renew(self) -> None:
        """Take another id, so that nothing that followed this catalog elsewhere is taken for its own."""
        self.id = uuid.uuid4().hex
        with self._database.writing() as connection:
            connection.execute(update(_meta).where(_meta.c.key == "catalog").values(value=self.id))

    def faults(self) -> Iterator[str]:
        """Look at the file, and at the place of each chunk in its document; yield what is wrong."""
        yield from self._database.faults()
        with self._database.reading() as connection:
            chunks, documents, paths = _chunks.c, _documents.c, _paths.c
            checks = {
                "chunks do not lie in the text of their document": (
                    select(func.count()).select_from(_chunks.join(_documents)),
                    (chunks.start < 0) | (chunks.end <= chunks.start) | (chunks.end > func.length(documents.text)),
                ),
                "chunks have another id than their place": (
                    select(func.count()).select_from(_chunks),
                    chunks.id != chunks.document + "-" + cast(chunks.start, String),
                ),
                "chunks are of no document": (
                    select(func.count()).select_from(_chunks),
                    chunks.document.not_in(select(documents.id)),
                ),
                "chunks have vectors of another length": (
                    select(func.count()).select_from(_chunks),
                    func.length(chunks.vector) != select(func.length(chunks.vector)).limit(1).scalar_subquery(),
                ),
                "documents have no chunk, or no file": (
                    select(func.count()).select_from(_documents),
                    documents.id.not_in(select(chunks.document)) | documents.id.not_in(select(paths.document)),
                ),
            }
            for says, (statement, wrong) in checks.items():
                if count := connection.scalar(statement.where(wrong)):
                    yield f"{count} {says}"

    def chunk_ids(self) -> set[str]:
        """Give the ids of all chunks."""
        with self._database.reading() as connection:
            return set(connection.scalars(select(_chunks.c.id)))

    def vectors(self, count: int) -> dict[str, Vector]:
        """Give the ids of some chunks, at most so many, with their vectors, float32, shape (dimension,).

        They are spread over all documents, and the same ones as long as nothing changes.
        """
        with self._database.reading() as connection:
            ids = list(connection.scalars(select(_chunks.c.id).order_by(_chunks.c.id)))
            chosen = ids[:: max(1, len(ids) // count)][:count]
            rows = _in_parts(connection, select(_chunks.c.id, _chunks.c.vector), _chunks.c.id, chosen)
            return {row.id: np.frombuffer(row.vector, "<f4") for row in rows}

    def changed_since(self, number: int) -> set[str]:
        """Give the ids of the documents that changed after change number `number`."""
        with self._database.reading() as connection:
            return set(connection.scalars(select(_changes.c.document).where(_changes.c.number > number)))

    @property
    def position(self) -> Position:
        """The last change; 0 when nothing was ever stored."""
        with self._database.reading() as connection:
            return Position(self.id, max(_last_change(connection), _forgotten(connection)))

    def reaches(self, position: Position) -> bool:
        """Say whether a follower at this position can go on from there by the change log."""
        if position.catalog != self.id:
            return False
        with self._database.reading() as connection:
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
        with self._database.reading() as connection:
            entries = connection.execute(log.limit(PAGE_DOCUMENTS)).all()
            ids = [entry.document for entry in entries]
            documents = connection.execute(select(_documents).where(_documents.c.id.in_(ids))).all()
            chunks = connection.execute(by_document.where(_chunks.c.document.in_(ids))).all()
        rows = {id: list(group) for id, group in groupby(chunks, key=lambda chunk: str(chunk.document))}
        stored = {row.id: _stored(row, rows[row.id]) for row in documents}
        return [Change(entry.number, entry.document, stored.get(entry.document)) for entry in entries]


SCHEMA = "3"
TRACES = "traces"
"""Key of the note that text of documents that are gone may still be in the file."""
CHANGED = "changed"
"""Key of the day of the last change."""
PAGE_DOCUMENTS = 64
"""How many documents are read at once for a follower."""
TOMBSTONES = 1_000
"""How many documents that are gone the change log may hold beyond the number of documents."""
SCORED_CHUNKS = 2_000
"""How many vectors are in memory at once when all are looked at."""
PARAMETERS = 10_000
"""How many values one statement may name; SQLite takes 32,766, PostgreSQL 65,535."""
COPIED_ROWS = 500
"""How many rows are in memory at once when a catalog is copied."""

_Word = String().with_variant(String(collation="C"), "postgresql")
"""Compared character by character, as Python and SQLite do, not as a language sorts its words."""

_schema = MetaData()

_meta = Table(
    "meta",
    _schema,
    Column("key", _Word, primary_key=True),
    Column("value", String, nullable=False),
)
_documents = Table(
    "documents",
    _schema,
    Column("id", _Word, primary_key=True),
    Column("content_hash", _Word, nullable=False, unique=True),
    Column("title", String, nullable=False),
    Column("language", _Word),
    Column("date", _Word),
    Column("author", String),
    Column("text", Text, nullable=False),
    Column("loader", String, nullable=False),
)
_paths = Table(
    "paths",
    _schema,
    Column("path", _Word, primary_key=True),
    Column("document", _Word, ForeignKey("documents.id"), nullable=False, index=True),
)
_roots = Table(
    "roots",
    _schema,
    Column("path", _Word, primary_key=True),
)
_chunks = Table(
    "chunks",
    _schema,
    Column("id", _Word, primary_key=True),
    Column("document", _Word, ForeignKey("documents.id"), nullable=False),
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
    Column("document", _Word, nullable=False, unique=True),
    sqlite_autoincrement=True,
)


def _holds(connection: Connection, document: str) -> bool:
    return connection.scalar(select(_documents.c.id).where(_documents.c.id == document)) is not None


def _point(connection: Connection, documents: Mapping[str, str]) -> bool:
    """Let each path name its document, then drop what no path names any more; say whether something was dropped."""
    before = _named(connection, documents)
    _delete_paths(connection, documents)
    if documents:
        rows = [{"path": path, "document": document} for path, document in documents.items()]
        connection.execute(insert(_paths), rows)
    return _drop_unnamed(connection, before)


def _remove(connection: Connection, paths: Collection[str]) -> bool:
    """Delete paths, and what then nothing names or lies below; say whether documents were dropped."""
    before = _named(connection, paths)
    _delete_paths(connection, paths)
    _drop_empty_roots(connection)
    return _drop_unnamed(connection, before)


def _named(connection: Connection, paths: Collection[str]) -> set[str]:
    return {row.document for row in _in_parts(connection, select(_paths.c.document), _paths.c.path, paths)}


def _drop_unnamed(connection: Connection, documents: Collection[str]) -> bool:
    """Drop those documents that no path names; say whether there were any."""
    statement = select(_paths.c.document)
    named = {row.document for row in _in_parts(connection, statement, _paths.c.document, documents)}
    unnamed = sorted(set(documents) - named)
    for document in unnamed:
        connection.execute(delete(_chunks).where(_chunks.c.document == document))
        connection.execute(delete(_documents).where(_documents.c.id == document))
        _log(connection, document)
    return bool(unnamed)


def _drop_empty_roots(connection: Connection) -> None:
    """Forget the roots from which nothing is indexed any more."""
    for root in _root_paths(connection):
        within = root.rstrip("/") + "/"
        below = (_paths.c.path >= within) & (_paths.c.path < within[:-1] + chr(ord("/") + 1))
        if connection.scalar(select(_paths.c.path).where((_paths.c.path == root) | below).limit(1)) is None:
            connection.execute(delete(_roots).where(_roots.c.path == root))


def _root_paths(connection: Connection) -> list[str]:
    return list(connection.scalars(select(_roots.c.path).order_by(_roots.c.path)))


def _note_traces(connection: Connection) -> None:
    _note(connection, TRACES, "")


def _note(connection: Connection, key: str, value: str) -> None:
    connection.execute(delete(_meta).where(_meta.c.key == key))
    connection.execute(insert(_meta), {"key": key, "value": value})


def _log(connection: Connection, document: str) -> None:
    """Note that a document changed, instead of its earlier change."""
    connection.execute(delete(_changes).where(_changes.c.document == document))
    connection.execute(insert(_changes), {"document": document})
    _note(connection, CHANGED, datetime.date.today().isoformat())
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
    _forget_log(connection, gone[surplus - 1])


def _forget_log(connection: Connection, last: int) -> None:
    """Take the documents that are gone out of the log, up to change number `last`."""
    there = select(_documents.c.id).where(_documents.c.id == _changes.c.document).exists()
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
        loader=row.loader,
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


def _not_found(database: Database) -> IndexNotFound:
    return IndexNotFound(f"No index at {database.index}. Build one: assistant index FOLDER")


def _no_source(id: str) -> SourceNotFound:
    return SourceNotFound(f"No document {id} is indexed. List them: assistant sources")
