"""folders → plan (add, update, move, delete) → catalog.

Files are compared by the SHA-256 of their bytes, always read: a time stamp can lie. The same content at
several paths is one document, so that a file that was moved or copied is not embedded again.
"""

import errno
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import TextSplitter

from index.catalog import Catalog, Chunk, StoredDocument, Vector, document_id
from index.errors import IndexingError, NothingToIndex, UnreadableFile
from index.load import load, loader_id
from index.types import Progress, SyncReport, Unreadable

BATCH_CHUNKS = 256
"""How many chunks, of one document or of several, are embedded at once."""
HASHED_BYTES = 1024**2
"""How much of a file is held in memory to sum it up."""
Load = Callable[[Path], Iterable[Document]]
"""As index.load.load does, or in a process of its own."""


@dataclass(frozen=True, slots=True)
class Content:
    """A document to be written: what several paths may hold."""

    content_hash: str
    paths: tuple[str, ...]
    updates: bool
    """Whether one of the paths is indexed already, with other content."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync will do, in this order."""

    point: Mapping[str, str]
    """Paths of files that were moved or copied → the content hash, which is indexed."""
    put: tuple[Content, ...]
    """What is new."""
    remove: tuple[str, ...]
    """Indexed paths where there is no file any more, those of moved files among them."""
    report: SyncReport
    """What the sync will say, if every file can be read."""


def plan(paths: Sequence[Path], catalog: Catalog) -> Plan:
    """Compare folders (with all that is in them) and single files with what is indexed; nothing is changed.

    Hidden files and folders, links that lead out of their folder and files of a kind that no loader reads are
    skipped, and are rows of the report. What is indexed of a file that cannot be read just now stays as it
    is. What is indexed from elsewhere is left alone.

    Raises:
        NothingToIndex: one of the paths does not exist.
        StoreUnavailable: the catalog cannot be read.
    """
    roots = dict.fromkeys(_root(path) for path in paths)
    found = _Found()
    for root in roots:
        found.walk(root)
    indexed = catalog.hashes()
    known = set(indexed.values())
    hashes = dict(sorted(found.hashes.items()))
    gone = (path for path in indexed.keys() - hashes.keys() if _below(path, roots.keys()))
    remove = tuple(sorted(path for path in gone if not _below(path, found.unread)))
    changed = {path: hash for path, hash in hashes.items() if indexed.get(path) != hash}
    point = {path: hash for path, hash in changed.items() if hash in known}
    contents: dict[str, list[str]] = defaultdict(list)
    for path, hash in changed.items():
        if hash not in known:
            contents[hash].append(path)
    put = tuple(
        Content(hash, tuple(paths), updates=any(path in indexed for path in paths)) for hash, paths in contents.items()
    )
    removed = set(remove)
    # Documents that go, but for those whose file has new content: these are updated.
    after = {path: hash for path, hash in (indexed | changed).items() if path not in removed}
    updated = {indexed[path] for content in put for path in content.paths if path in indexed}
    report = SyncReport(
        added=sum(not content.updates for content in put),
        updated=sum(content.updates for content in put),
        deleted=len(known - set(after.values()) - updated),
        unchanged=len({hash for hash in hashes.values() if hash in known}),
        unreadable=tuple(sorted(found.unreadable, key=lambda row: row.path)),
    )
    return Plan(point, put, remove, report)


def sync(  # noqa: PLR0913 - the seams
    plan: Plan,
    catalog: Catalog,
    splitter: TextSplitter,
    embeddings: Embeddings,
    on_progress: Callable[[Progress], None],
    *,
    load: Load = load,
) -> SyncReport:
    """Carry out a plan. Each document is written whole; one that cannot be read is a row of the report.

    Stopped at any moment, the catalog holds whole documents only, and the next sync does the rest.

    Args:
        splitter: gives each chunk's `start_index`, in characters of the text it was given.
        on_progress: called after each document of `plan.put`, in this order.
        load: reads a file; what it raises but UnreadableFile and OSError ends the sync.

    Raises:
        IndexingError: the splitter does not give chunks of the text with their places in it.
        StoreUnavailable: the disk is full or the folder cannot be written to.
    """
    if plan.point:
        catalog.point({path: document_id(hash) for path, hash in plan.point.items()})
    report = plan.report
    chunks = 0
    for done, (content, document) in enumerate(_documents(plan.put, load, splitter, embeddings), start=1):
        if isinstance(document, StoredDocument):
            catalog.put(document, content.paths)
            chunks += len(document.chunks)
        else:
            report = _without(report, content, document)
        on_progress(Progress(done, len(plan.put), chunks, content.paths[0]))
    if plan.remove:
        catalog.remove(plan.remove)
    return report


class _Found:
    """What is below the roots, by absolute path with all links followed."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}
        self.unread: set[Path] = set()
        """Files and folders that are there but cannot be read: what is indexed of them is kept."""
        self.unreadable: set[Unreadable] = set()

    def walk(self, root: Path) -> None:
        """Look at a file, or at a folder and all that is in it."""
        if root.is_file():
            self._look_at(root)
            return
        for folder, folders, files in os.walk(root, onerror=self._cannot_list):
            here = Path(folder)
            folders[:] = [name for name in sorted(folders) if self._enters(here / name, root)]
            for name in sorted(files):
                if self._enters(here / name, root):
                    self._look_at((here / name).resolve())

    def _enters(self, path: Path, root: Path) -> bool:
        if path.name.startswith("."):
            self._skip(path, "hidden")
            return False
        if not path.is_symlink():
            return True
        target = path.resolve()
        if not target.exists():
            self._skip(path, "a link to nothing")
        elif not target.is_relative_to(root):
            self._skip(path, f"a link out of {_shown(root)}")
        elif any(part.startswith(".") for part in target.relative_to(root).parts):
            self._skip(path, "a link to something hidden")
        # What a link within the root leads to is found where it is.
        return False

    def _look_at(self, file: Path) -> None:
        path = str(file)
        if path in self.hashes or file in self.unread:
            return
        if not _is_text(path):
            self._skip(file, "its name is not Unicode; rename it")
        elif not file.is_file():
            self._skip(file, "not a regular file")
        else:
            try:
                loader_id(file)
                self.hashes[path] = _hash(file)
            except UnreadableFile as error:
                self._keep(file, str(error))
            except OSError as error:
                self._keep(file, error.strerror or str(error))

    def _cannot_list(self, error: OSError) -> None:
        self._keep(Path(error.filename), error.strerror or str(error))

    def _keep(self, path: Path, reason: str) -> None:
        self.unread.add(path)
        self._skip(path, reason)

    def _skip(self, path: Path, reason: str) -> None:
        self.unreadable.add(Unreadable(_shown(path), reason))


def _root(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NothingToIndex(f"Cannot index {_shown(path)}: {reason}. Check the path.") from error


def _below(path: str, parents: Set[Path]) -> bool:
    place = Path(path)
    return place in parents or any(parent in parents for parent in place.parents)


def _hash(file: Path) -> str:
    """Sum up a file as long as it is now: one that grows all the while has no end.

    Raises OSError for a pipe that was put in its place, which would have to be waited for.
    """
    sha256 = hashlib.sha256()
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as content:
        status = os.fstat(content.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        left = status.st_size
        while block := content.read(min(left, HASHED_BYTES)):
            sha256.update(block)
            left -= len(block)
    return sha256.hexdigest()


def _is_text(name: str) -> bool:
    """Say whether a name can be written down: that of a file may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")


def _without(report: SyncReport, content: Content, unreadable: tuple[Unreadable, ...]) -> SyncReport:
    """Take a document that could not be read out of the counts, and add it to the rows."""
    return replace(
        report,
        added=report.added - (not content.updates),
        updated=report.updated - content.updates,
        unreadable=(*report.unreadable, *unreadable),
    )


PAGE_BREAK = "\n\n"
"""What stands between the pages of a document in its stored text."""
NO_VECTOR: Vector = np.empty(0, dtype=np.float32)

Outcome = StoredDocument | tuple[Unreadable, ...]
"""A document, or for each of its paths why it could not be read."""


def _documents(
    contents: Iterable[Content], load: Load, splitter: TextSplitter, embeddings: Embeddings
) -> Iterator[tuple[Content, Outcome]]:
    """Load, split and embed, in order; chunks of several small documents are embedded at once."""
    batch: list[tuple[Content, Outcome]] = []
    size = 0
    for content in contents:
        outcome = _read(content, load, splitter)
        batch.append((content, outcome))
        size += len(outcome.chunks) if isinstance(outcome, StoredDocument) else 0
        if size >= BATCH_CHUNKS:
            yield from _embedded(batch, embeddings)
            batch, size = [], 0
    yield from _embedded(batch, embeddings)


def _embedded(batch: Sequence[tuple[Content, Outcome]], embeddings: Embeddings) -> Iterator[tuple[Content, Outcome]]:
    """Add the vectors; the embedder is not called, and so not loaded, when there is no text."""
    documents = [outcome for _, outcome in batch if isinstance(outcome, StoredDocument)]
    texts = [chunk.text for document in documents for chunk in document.chunks]
    vectors: Iterator[Vector] = iter(np.asarray(embeddings.embed_documents(texts) if texts else [], dtype=np.float32))
    for content, outcome in batch:
        if isinstance(outcome, StoredDocument):
            chunks = tuple(replace(chunk, vector=next(vectors)) for chunk in outcome.chunks)
            yield content, replace(outcome, chunks=chunks)
        else:
            yield content, outcome


def _read(content: Content, load: Load, splitter: TextSplitter) -> Outcome:
    """Read a document, without vectors, from the first of its paths that can be read."""
    unreadable = []
    for path in content.paths:
        try:
            return _read_file(Path(path), content.content_hash, load, splitter)
        except UnreadableFile as error:
            unreadable.append(Unreadable(path, str(error)))
        except OSError as error:
            unreadable.append(Unreadable(path, error.strerror or str(error)))
    return tuple(unreadable)


def _read_file(file: Path, content_hash: str, load: Load, splitter: TextSplitter) -> StoredDocument:
    pages = list(load(file))
    if _hash(file) != content_hash:
        raise UnreadableFile("it changed while it was read; index again")
    text = PAGE_BREAK.join(page.page_content for page in pages)
    chunks: list[Chunk] = []
    base = 0
    for page in pages:
        chunks += _chunks(page, base, splitter)
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
            f"The splitter gave a chunk of {_shown(file)} that is not at its start_index ({where}). "
            "Use one with add_start_index that leaves the text as it is."
        )


def _first(pages: Iterable[Document], key: str) -> str | None:
    return next((str(page.metadata[key]) for page in pages if page.metadata.get(key)), None)
