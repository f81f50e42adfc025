"""folders → plan (add, update, move, delete) → catalog.

Files are compared by the SHA-256 of their bytes, always read: a time stamp can lie. The same content at
several paths is one document, so that a file that was moved or copied is not embedded again.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import TextSplitter

from index.catalog import Catalog, Chunk, StoredDocument, Vector, document_id
from index.errors import IndexingError, NothingToIndex, SourceNotFound, UnreadableFile
from index.load import load, loader_id
from index.split import searched_text
from index.stop import NEVER, Stop, Stopped
from index.types import Progress, Source, SyncReport, Unreadable
from index.walk import Found, hash_of, is_below, real, resolved, shown

BATCH_CHUNKS = 256
"""How many chunks, of one document or of several, are sorted by length to be embedded."""
CALL_TEXTS = 8
"""How many of them are embedded between two looks at whether somebody asked to stop."""
Load = Callable[[Path], Iterable[Document]]
"""As index.load.load does, or in a process of its own."""


@dataclass(frozen=True, slots=True)
class Content:
    """A document to be written: what several paths may hold."""

    content_hash: str
    paths: tuple[str, ...]
    updates: bool
    """Whether one of the paths is indexed already, with other content or as another loader read it."""


@dataclass(frozen=True, slots=True)
class PathChange:
    """What becomes of one path."""

    change: Literal["added", "updated", "moved", "copied", "deleted"]
    path: str
    origin: str | None = None
    """Where the file was moved from, or another file of the same content."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync will do, in this order."""

    point: Mapping[str, str]
    """Paths of files that were moved or copied → the content hash, which is indexed."""
    remove: tuple[str, ...]
    """Indexed paths where there is no file any more, those of moved files among them."""
    roots: tuple[str, ...]
    """The folders and single files that were named, absolute."""
    put: tuple[Content, ...]
    """What is new, or to be read again."""
    changes: tuple[PathChange, ...]
    """All of this, path by path."""
    report: SyncReport
    """What the sync will say, if every file can be read."""


def plan(paths: Sequence[Path], catalog: Catalog, stop: Stop = NEVER) -> Plan:
    """Compare folders (with all that is in them) and single files with what is indexed; nothing is changed.

    Hidden files and folders, links that lead out of their folder and files of a kind that no loader reads are
    skipped, and are rows of the report. What is indexed of a file that cannot be read just now stays as it
    is. What is indexed from elsewhere is left alone.

    Raises:
        NothingToIndex: one of the paths does not exist, or held documents and no file is left in it: a disc
            that is not mounted looks like that, and everything would be deleted.
        StoreUnavailable: the catalog cannot be read.
        Stopped: somebody asked to stop.
    """
    indexed = catalog.hashes()
    roots = dict.fromkeys(_root(path, indexed) for path in paths)
    found = Found(stop)
    for root in roots:
        found.walk(root)
    known = set(indexed.values())
    hashes = dict(sorted(found.hashes.items()))
    gone = (path for path in indexed.keys() - hashes.keys() if is_below(path, roots.keys()))
    # A root of its own that lies hidden in one of these, as files added on the page do, is elsewhere.
    apart = {root for root in map(Path, catalog.roots()) if is_below(str(root), found.passed)} - roots.keys()
    remove = tuple(sorted(path for path in gone if not is_below(path, found.unread | apart)))
    changed = {path: hash for path, hash in hashes.items() if indexed.get(path) != hash}
    after = {path: hash for path, hash in (indexed | changed).items() if path not in set(remove)}
    point = {path: hash for path, hash in changed.items() if hash in known}
    put = (*_new(changed, indexed), *_read_otherwise(after, found, catalog.loaders()))
    # Documents that go, but for those whose file has new content: these are updated.
    updated = {indexed[path] for content in put for path in content.paths if path in indexed}
    deleted = known - set(after.values()) - updated
    _insist_on_files(roots, found, {path for path in remove if indexed[path] in deleted})
    again = {content.content_hash for content in put}
    report = SyncReport(
        added=sum(not content.updates for content in put),
        updated=sum(content.updates for content in put),
        deleted=len(deleted),
        unchanged=len({hash for hash in hashes.values() if hash in known} - again),
        unreadable=tuple(sorted(found.unreadable, key=lambda row: row.path)),
    )
    changes = tuple(_changes(indexed, after, put, deleted))
    return Plan(point, remove, tuple(map(str, roots)), put, changes, report)


def removal(sources: Sequence[str], catalog: Catalog) -> Plan:
    """Plan to forget documents, each named by its id or the path of a file, and all that is below a folder.

    The files need not be there any more. A document that is named goes with all its paths; of a folder only
    the paths in it, so that what lies elsewhere too stays.

    Raises:
        SourceNotFound: nothing is indexed under one of the names.
        StoreUnavailable: the catalog cannot be read.
    """
    documents = catalog.sources()
    paths = {path for source in sources for path in _paths_of(source, documents)}
    deleted = sum(paths.issuperset(document.paths) for document in documents)
    remove = tuple(sorted(paths))
    changes = tuple(PathChange("deleted", path) for path in remove)
    return Plan({}, remove, (), (), changes, SyncReport(deleted=deleted))


def sync(  # noqa: PLR0913 - the seams
    plan: Plan,
    catalog: Catalog,
    splitter: TextSplitter,
    embeddings: Embeddings,
    on_progress: Callable[[Progress], None],
    *,
    load: Load = load,
    stop: Stop = NEVER,
    engine: "Engine | None" = None,
) -> SyncReport:
    """Carry out a plan. Each document is written whole; one that cannot be read is a row of the report.

    Stopped at any moment, however hard, the catalog holds whole documents only, and the next sync does the rest.

    Args:
        splitter: gives each chunk's `start_index`, in characters of the text it was given.
        on_progress: called after each document of `plan.put`, in this order, and while they are embedded.
        load: reads a file; what it raises but UnreadableFile and OSError ends the sync.
        stop: ends the work at a document's boundary; what is left is counted in the report.
        engine: reads, cuts and embeds elsewhere, instead of `load`, `splitter` and `embeddings`.

    Raises:
        IndexingError: the splitter does not give chunks of the text with their places in it.
        StoreUnavailable: the disk is full or the folder cannot be written to.
    """
    catalog.point({path: document_id(hash) for path, hash in plan.point.items()})
    catalog.remove(plan.remove)
    catalog.remember(plan.roots)
    report = replace(plan.report, added=0, updated=0)
    course = _Course(len(plan.put), on_progress)
    here = partial(_documents, parts=_Parts(load, splitter, embeddings))
    try:
        for content, outcome in (engine or here)(plan.put, told=course.chunks, stop=stop):
            if isinstance(outcome, StoredDocument):
                catalog.put(outcome, content.paths)
                report = _with(report, content)
            else:
                report = replace(report, unreadable=(*report.unreadable, *outcome))
            course.document(content)
    except Stopped:
        return replace(report, pending=len(plan.put) - course.documents)
    return report


def documents(
    contents: Sequence[Content], load: Load, splitter: TextSplitter, embeddings: Embeddings
) -> list[tuple[Content, "Outcome"]]:
    """Read, cut and embed some documents of a plan, as `sync` does, and write nothing: what an Engine is made of."""
    parts = _Parts(load, splitter, embeddings)
    return list(_documents(contents, parts, told=lambda *_: None, stop=NEVER))


@dataclass(frozen=True, slots=True)
class _Parts:
    """By what a file becomes a document."""

    load: Load
    splitter: TextSplitter
    embeddings: Embeddings


class _Course:
    """How far the sync has come, told at each step."""

    def __init__(self, documents_in_all: int, on_progress: Callable[[Progress], None]) -> None:
        self.documents = 0
        self._documents_in_all = documents_in_all
        self._on_progress = on_progress
        self._chunks = 0
        self._began = time.monotonic()

    def document(self, content: Content) -> None:
        """Tell of a document that is done."""
        self.documents += 1
        self._tell(content)

    def chunks(self, embedded: int, content: Content) -> None:
        """Tell of chunks that were embedded; content: what was read last."""
        self._chunks += embedded
        self._tell(content)

    def _tell(self, content: Content) -> None:
        seconds = time.monotonic() - self._began
        progress = Progress(self.documents, self._documents_in_all, self._chunks, content.paths[0], seconds)
        self._on_progress(progress)


def _root(path: Path, indexed: Collection[str]) -> Path:
    try:
        return resolved(path)
    except NothingToIndex as error:
        place = real(path)
        if any(is_below(known, {place}) for known in indexed):
            raise _lost(place, "is not there") from error
        raise


def _insist_on_files(roots: Iterable[Path], found: Found, deleted: Collection[str]) -> None:
    """Make sure that no root has lost all it held. deleted: paths of documents that would go."""
    for root in roots:
        emptied = any(is_below(path, {root}) for path in deleted)
        if emptied and not any(is_below(path, {root}) for path in found.hashes):
            raise _lost(root, "holds no file that can be read")


def _lost(root: Path, state: str) -> NothingToIndex:
    return NothingToIndex(
        f"{shown(root)} {state}, but documents are indexed from it; nothing was changed. Is a disc not mounted? "
        f"If they are gone for good: assistant index --remove {shown(root)}"
    )


def _new(changed: Mapping[str, str], indexed: Mapping[str, str]) -> Iterator[Content]:
    """Give the contents that are not indexed yet, in the order of their first paths."""
    known = set(indexed.values())
    for hash, paths in _by_hash(changed).items():
        if hash not in known:
            yield Content(hash, tuple(paths), updates=any(path in indexed for path in paths))


def _read_otherwise(after: Mapping[str, str], found: Found, loaders: Mapping[str, str]) -> Iterator[Content]:
    """Give the documents that none of their files' loaders has read; files that were not seen are not judged.

    after: content hash of each path after the sync. loaders: of each content hash that is indexed.
    """
    for hash, paths in _by_hash(after).items():
        if hash in loaders and loaders[hash] not in {found.loaders.get(path, loaders[hash]) for path in paths}:
            yield Content(hash, tuple(paths), updates=True)


def _by_hash(hashes: Mapping[str, str]) -> Mapping[str, list[str]]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path in sorted(hashes):
        paths[hashes[path]].append(path)
    return paths


def _changes(
    before: Mapping[str, str], after: Mapping[str, str], put: Iterable[Content], deleted: Collection[str]
) -> Iterator[PathChange]:
    """Say path by path what becomes of it. before, after: content hash of each path; deleted: content hashes."""
    firsts = set()
    for content in put:
        firsts.add(content.paths[0])
        yield PathChange("updated" if content.updates else "added", content.paths[0])
    left = _by_hash({path: hash for path, hash in before.items() if after.get(path) != hash})
    stay = _by_hash(after)
    for path, hash in sorted(after.items() - before.items()):
        if left.get(hash):
            yield PathChange("moved", path, left[hash].pop(0))
        elif path not in firsts:
            yield PathChange("copied", path, next(other for other in stay[hash] if other != path))
    for path, hash in sorted((path, hash) for hash, paths in left.items() for path in paths):
        if path not in after or hash in deleted:
            yield PathChange("deleted", path, next(iter(stay.get(hash, ())), None))


def _paths_of(source: str, documents: Iterable[Source]) -> set[str]:
    place = real(Path(source))
    named = (document for document in documents if source == document.id or str(place) in document.paths)
    paths = {path for document in named for path in document.paths}
    below = {path for document in documents for path in document.paths if is_below(path, {place})}
    if not paths | below:
        raise SourceNotFound(f"Nothing is indexed under {shown(Path(source))}. List what is: assistant sources")
    return paths | below


def _with(report: SyncReport, content: Content) -> SyncReport:
    """Count a document that was written."""
    return replace(report, added=report.added + (not content.updates), updated=report.updated + content.updates)


PAGE_BREAK = "\n\n"
"""What stands between the pages of a document in its stored text."""
NO_VECTOR: Vector = np.empty(0, dtype=np.float32)

Outcome = StoredDocument | tuple[Unreadable, ...]
"""A document, or for each of its paths why it could not be read."""


class Engine(Protocol):
    """Makes documents of files, wherever it does that."""

    def __call__(self, contents: Sequence[Content], *, told: "Told", stop: Stop) -> Iterator[tuple[Content, Outcome]]:
        """Give each content with its document, in this order.

        told: to be called with how many chunks were embedded, and the content read last. Raises Stopped where `stop`
        was asked.
        """


Told = Callable[[int, Content], None]


def _documents(contents: Iterable[Content], parts: _Parts, told: Told, stop: Stop) -> Iterator[tuple[Content, Outcome]]:
    """Load, split and embed, in order; chunks of several small documents are embedded together."""
    batch: list[tuple[Content, Outcome]] = []
    size = 0
    for content in contents:
        with stop.interruptible():
            outcome = _read(content, parts)
        batch.append((content, outcome))
        size += len(outcome.chunks) if isinstance(outcome, StoredDocument) else 0
        if size >= BATCH_CHUNKS:
            yield from _embedded(batch, parts.embeddings, told, stop)
            batch, size = [], 0
    yield from _embedded(batch, parts.embeddings, told, stop)


def _embedded(
    batch: Sequence[tuple[Content, Outcome]], embeddings: Embeddings, told: Told, stop: Stop
) -> Iterator[tuple[Content, Outcome]]:
    """Add the vectors; the embedder is not called, and so not loaded, when there is no text.

    Stopped, it still gives the documents of which every chunk is embedded.
    """
    texts = [
        searched_text(outcome.title, chunk.section, chunk.text)
        for _, outcome in batch
        if isinstance(outcome, StoredDocument)
        for chunk in outcome.chunks
    ]
    vectors: list[Vector] = [NO_VECTOR] * len(texts)
    # Texts of like length share a call: little is wasted on padding.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    stopped = None
    try:
        for start in range(0, len(order), CALL_TEXTS):
            places = order[start : start + CALL_TEXTS]
            with stop.interruptible():
                found = embeddings.embed_documents([texts[place] for place in places])
            for place, vector in zip(places, found, strict=True):
                vectors[place] = np.asarray(vector, dtype=np.float32)
            told(len(places), batch[-1][0])
    except Stopped as error:
        stopped = error
    remaining = iter(vectors)
    for content, outcome in batch:
        if not isinstance(outcome, StoredDocument):
            yield content, outcome
            continue
        own = list(islice(remaining, len(outcome.chunks)))
        if all(vector.size for vector in own):
            chunks = (replace(chunk, vector=vector) for chunk, vector in zip(outcome.chunks, own, strict=True))
            yield content, replace(outcome, chunks=tuple(chunks))
    if stopped:
        raise stopped


def _read(content: Content, parts: _Parts) -> Outcome:
    """Read a document, without vectors, from the first of its paths that can be read."""
    unreadable = []
    for path in content.paths:
        try:
            return _read_file(Path(path), content.content_hash, parts)
        except UnreadableFile as error:
            unreadable.append(Unreadable(path, str(error)))
        except OSError as error:
            unreadable.append(Unreadable(path, error.strerror or str(error)))
    return tuple(unreadable)


def _read_file(file: Path, content_hash: str, parts: _Parts) -> StoredDocument:
    loader = loader_id(file)
    pages = list(parts.load(file))
    if hash_of(file) != content_hash:
        raise UnreadableFile("it changed while it was read; index again")
    text = PAGE_BREAK.join(page.page_content for page in pages)
    chunks: list[Chunk] = []
    base = 0
    for page in pages:
        chunks += _chunks(page, base, parts.splitter)
        base += len(page.page_content) + len(PAGE_BREAK)
    if not chunks:
        raise UnreadableFile("no text in it")
    _verify(chunks, text, file)
    return StoredDocument(
        content_hash=content_hash,
        title=_first(pages, "title") or file.stem,
        text=text,
        language=_first(pages, "language"),
        date=_first(pages, "date"),
        author=_first(pages, "author"),
        chunks=tuple(chunks),
        loader=loader,
    )


def _chunks(page: Document, base: int, splitter: TextSplitter) -> list[Chunk]:
    return [
        Chunk(
            start=base + piece.metadata.get("start_index", -1),
            text=piece.page_content,
            page=page.metadata.get("page"),
            section=page.metadata.get("section"),
            vector=NO_VECTOR,
        )
        for piece in splitter.split_documents([page])
    ]


def _verify(chunks: Sequence[Chunk], text: str, file: Path) -> None:
    """Make sure that every chunk stands in the text where it says: citations rest on it."""
    starts = {chunk.start for chunk in chunks}
    astray = [chunk for chunk in chunks if chunk.start < 0 or not text.startswith(chunk.text, chunk.start)]
    if astray or len(starts) < len(chunks):
        where = astray[0].start if astray else "twice the same"
        raise IndexingError(
            f"The splitter gave a chunk of {shown(file)} that is not at its start_index ({where}). "
            "Use one with add_start_index that leaves the text as it is."
        )


def _first(pages: Iterable[Document], key: str) -> str | None:
    return next((str(page.metadata[key]) for page in pages if page.metadata.get(key)), None)
