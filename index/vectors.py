"""The dense index: vectors of the catalog in Chroma. The only file that knows Chroma.

A Chroma folder can crash whoever opens it: one kill in 28 in the middle of a write left one that did. So a
child process opens it first, and it is thrown away unless it is as we left it. The catalog makes it again.
"""

import logging
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict, TypeVar, cast

import chromadb
import numpy as np
from chromadb.api.client import Client
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Where
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError
from numpy.typing import ArrayLike

from index.catalog import Change, Position
from index.errors import StoreUnavailable

Row = TypeVar("Row")
logger = logging.getLogger(__name__)

COLLECTION = "chunks"


class Seal(TypedDict):
    """What `apply` notes at its end, in the metadata of the collection."""

    catalog: str
    number: int
    chunks: int
    checksum: str
    """Of the HNSW files, CRC-32 in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A child process that opens the folder and may die of it; started early, it runs beside other work."""

    folder: Path
    child: subprocess.Popen[bytes] | None
    patience_seconds: float = 120
    """100,000 vectors take a few seconds."""

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Start to look at the folder; at once, and with nothing to do when there is none."""
        if not folder.exists():
            return cls(folder, None)
        command = [sys.executable, "-m", "index.vectors", str(folder.resolve())]
        root = Path(__file__).resolve().parent.parent
        child = subprocess.Popen(  # noqa: S603
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        return cls(folder, child)

    def healthy(self) -> bool:
        """Wait for the child, and say whether the folder is as we left it; a crash or a time-out says no."""
        if self.child is None:
            return False
        try:
            _, said = self.child.communicate(timeout=self.patience_seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            _, said = self.child.communicate()
        if self.child.returncode == 0:
            return True
        reason = said.decode(errors="replace").strip().rpartition("\n")[2] or f"exit {self.child.returncode}"
        logger.warning("The vector index at %s is made again: %s", self.folder, reason)
        return False


class VectorIndex:
    """The vectors of the catalog's chunks, searched by cosine similarity; a Follower of the catalog.

    One process at a time may have the folder open (see lock.py); its threads may search while one writes.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder that is healthy or empty; use `open` for one of unknown health."""
        self.folder = folder
        with _translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._client, self._collection = _open(folder)

    @classmethod
    def open(cls, probe: Probe) -> Self:
        """Open the folder that was probed; what is broken is thrown away, and the index starts empty.

        Raises:
            StoreUnavailable: the folder cannot be written to.
        """
        if not probe.healthy():
            _remove(probe.folder)
        return cls(probe.folder)

    def close(self) -> None:
        """Close the folder."""
        self._client.close()

    @property
    def position(self) -> Position | None:
        """The position of the last `apply`."""
        seal = _seal(self._collection)
        return Position(seal["catalog"], seal["number"]) if seal else None

    def apply(self, changes: Sequence[Change], position: Position) -> None:
        """Put the vectors of the documents that changed, take out those that are gone, keep the position.

        Raises:
            StoreUnavailable: the disk is full or the folder cannot be written to.
        """
        with _translated(self.folder):
            batch = self._client.get_max_batch_size()
            # Deleted first: `add` would silently keep the old vector of an id, `upsert` its old metadata.
            for sources in _parts([change.source for change in changes], batch):
                self._collection.delete(where=_any_of(sources))
            rows = [
                (id, chunk.vector, change.source)
                for change in changes
                if change.document
                for id, chunk in change.document.chunks_by_id()
            ]
            for part in _parts(rows, batch):
                self._collection.add(
                    ids=[id for id, _, _ in part],
                    embeddings=np.stack([vector for _, vector, _ in part]),
                    metadatas=[{"source": source} for _, _, source in part],
                )
            seal = Seal(
                catalog=position.catalog,
                number=position.number,
                chunks=self._collection.count(),
                checksum=_checksum(self.folder),
            )
            self._collection.modify(metadata={**seal})

    def clear(self) -> None:
        """Forget everything; the files go too, for Chroma keeps what it deletes."""
        self._client.close()
        _remove(self.folder)
        with _translated(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._client, self._collection = _open(self.folder)

    def search(self, vector: ArrayLike, k: int) -> list[tuple[str, float]]:
        """Find the chunks nearest to a vector.

        Args:
            vector: shape (dimension,), of any length but zero.
            k: how many, at most.

        Returns:
            Chunk ids and cosine similarities, best first.

        Raises:
            StoreUnavailable: the folder cannot be read.
        """
        with _translated(self.folder):
            if not self._collection.count():
                return []
            return [(id, 1 - distance) for id, distance in _nearest(self._collection, vector, k)]


def examine(folder: Path) -> None:
    """Raise, or crash, unless the folder is as `VectorIndex.apply` left it.

    Chroma's HNSW files are checked against the checksum taken then, its SQLite file by SQLite, the rows by
    counting them and by searching for one of them.
    """
    with closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
        _insist(database.execute("PRAGMA quick_check").fetchone() == ("ok",), "the SQLite file is damaged")
    client = _client(folder)
    collection = client.get_collection(COLLECTION, embedding_function=None)
    seal = _seal(collection)
    if seal is None:
        raise ValueError("nothing was applied to the end")
    _insist(_is_cosine(collection), "the distance is not cosine")
    _insist(seal["checksum"] == _checksum(folder), "the files are not those of the last change")
    _insist(seal["chunks"] == collection.count(), "rows were lost, or written by somebody else")
    for vector in np.asarray(collection.get(limit=1, include=["embeddings"])["embeddings"]):
        [(_, distance)] = _nearest(collection, vector, 1)
        _insist(distance < 1e-3, "a stored vector is not found")


def _open(folder: Path) -> tuple[Client, Collection]:
    client = _client(folder)
    try:
        return client, client.get_collection(COLLECTION, embedding_function=None)
    except NotFoundError:
        collection = client.create_collection(
            COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        return client, collection


def _client(folder: Path) -> Client:
    # PersistentClient is annotated as something that cannot be closed.
    settings = Settings(anonymized_telemetry=False)
    return cast(Client, chromadb.PersistentClient(str(folder), settings=settings))


def _any_of(sources: Sequence[str]) -> Where:
    return cast(Where, {"source": {"$in": [*sources]}})


def _nearest(collection: Collection, vector: ArrayLike, k: int) -> Iterator[tuple[str, float]]:
    """Give the ids and cosine distances of the rows nearest to a vector, nearest first."""
    query = np.asarray([vector], dtype=np.float32)
    found = collection.query(query_embeddings=query, n_results=k, include=["distances"])
    return zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)


def _seal(collection: Collection) -> Seal | None:
    """Read what the last `apply` noted; None when none came to its end."""
    return cast(Seal, collection.metadata) if collection.metadata else None


def _is_cosine(collection: Collection) -> bool:
    # Not `.configuration`: it builds the embedding function that whoever made the folder named.
    return bool(collection.configuration_json["hnsw"]["space"] == "cosine")


def _checksum(folder: Path) -> str:
    """Sum up the names and bytes of the HNSW files; the SQLite file holds the sum and is checked by SQLite.

    Without its pickle an HNSW folder is scratch paper: Chroma has its rows in SQLite still.
    """
    checksum = 0
    persisted = [pickle.parent for pickle in folder.glob("*/index_metadata.pickle")]
    for file in sorted(file for parent in persisted for file in parent.iterdir()):
        checksum = zlib.crc32(file.name.encode(), checksum)
        with file.open("rb") as bytes_of:
            while block := bytes_of.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
    return f"{checksum:08x}"


def _parts(values: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _remove(folder: Path) -> None:
    with _translated(folder):
        if folder.exists():
            shutil.rmtree(folder)


def _insist(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Say what Chroma's errors mean for the user."""
    try:
        yield
    except (ChromaError, OSError, RuntimeError, ValueError) as error:
        raise StoreUnavailable(
            f"The vector index {folder} cannot be used: {error}. Check the disk's free space and the "
            "folder's permissions, then try again; or delete this folder, it is made again."
        ) from error


if __name__ == "__main__":
    examine(Path(sys.argv[1]))
