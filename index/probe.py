"""Whether a Chroma folder is as we left it; as a program, it looks: python -m index.probe FOLDER

Chroma may crash whoever opens a folder that was being written to: one kill in 28 in the middle of a write left one that
did. So a child process opens it first. It knows Chroma's compiled part alone, in which folders are opened and which
may crash; with the whole client it would take six times as long.
"""

import logging
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, Self
from urllib.parse import quote

import chromadb_rust_bindings as compiled  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

COLLECTION = "chunks"
SQLITE = "chroma.sqlite3"
TENANT, DATABASE = "default_tenant", "default_database"
"""Where Chroma's client keeps collections, unless it is told another place."""


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
        command = [sys.executable, "-m", "index.probe", str(folder.resolve())]
        root = Path(__file__).resolve().parent.parent
        # In a group of its own: Ctrl-C is for this process, a child that died of it would look like a bad folder.
        child = subprocess.Popen(  # noqa: S603
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        return cls(folder, child)

    def healthy(self) -> bool:
        """Wait for the child, and say whether the folder is as we left it."""
        if self.child is None:
            return False
        if reason := self.fault():
            logger.warning("The vector index at %s is made again: %s", self.folder, reason)
        return not reason

    def fault(self) -> str:
        """Wait for the child, and say why the folder is not as we left it, a crash and a time-out too; else nothing."""
        if self.child is None:
            return "it is not there"
        try:
            _, said = self.child.communicate(timeout=self.patience_seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            _, said = self.child.communicate()
        if self.child.returncode == 0:
            return ""
        return said.decode(errors="replace").strip().rpartition("\n")[2] or f"exit {self.child.returncode}"


class Seal(TypedDict):
    """What was noted at the end of the last change, in the metadata of the collection."""

    catalog: str
    number: int
    chunks: int
    checksum: str
    """Of the HNSW files, CRC-32 in hexadecimal; empty where no file is ours."""
    unfinished: NotRequired[bool]
    """Another change began after this one, and may have put or taken out some of its rows."""


_SEAL = TypeAdapter(Seal)


class Held(Protocol):
    """A collection, as far as it is looked at: one of Chroma's client, or of its compiled part."""

    @property
    def metadata(self) -> Any:
        """What was noted about it."""

    @property
    def configuration_json(self) -> Any:
        """How it was made."""

    def count(self) -> int:
        """Count the rows."""

    def get(self, *, limit: int, include: Any) -> Any:
        """Give the first rows."""

    def query(self, *, query_embeddings: Any, n_results: int, include: Any) -> Any:
        """Give the rows nearest to each vector."""


class NotAsLeft(ValueError):
    """The collection is not as the last change left it."""


def insist(holds: bool, otherwise: str) -> None:
    """Raise NotAsLeft unless it holds."""
    if not holds:
        raise NotAsLeft(otherwise)


def insist_as_left(collection: Held) -> None:
    """Raise unless the rows are those that were counted last, and one of them is found by its cosine."""
    seal = read_seal(collection)
    unfinished = seal is not None and "unfinished" in seal
    insist(_is_cosine(collection), "the distance is not cosine")
    insist(
        unfinished or collection.count() == (seal["chunks"] if seal else 0),
        "rows were lost, or written by somebody else",
    )
    for vector in collection.get(limit=1, include=["embeddings"])["embeddings"]:
        found = nearest(collection, vector, 1)
        insist(any(distance < 1e-3 for _, distance in found), "a stored vector is not found")


def read_seal(collection: Held) -> Seal | None:
    """Read what the last change noted; None when none came to its end, or somebody else wrote there."""
    try:
        return _SEAL.validate_python(collection.metadata, strict=True)
    except ValidationError:
        return None


def nearest(collection: Held, vector: "Sequence[float] | NDArray[np.float32]", k: int) -> list[tuple[str, float]]:
    """Give the ids and cosine distances of the rows nearest to a vector, nearest first."""
    found = collection.query(query_embeddings=[vector], n_results=k, include=["distances"])
    distances = (found["distances"] or [[]])[0]
    return [(str(id), float(distance)) for id, distance in zip(found["ids"][0], distances, strict=True)]


def hnsw_files(folder: Path) -> list[Path]:
    """List the HNSW files; without its pickle an HNSW folder is scratch paper: Chroma has its rows in SQLite still."""
    persisted = [pickle.parent for pickle in folder.glob("*/index_metadata.pickle")]
    return sorted(file for parent in persisted for file in parent.iterdir())


def checksum(files: Sequence[Path]) -> str:
    """Sum up the names and bytes of HNSW files; the SQLite file holds the sum and is checked by SQLite."""
    sum_of = 0
    for file in files:
        sum_of = zlib.crc32(file.name.encode(), sum_of)
        with file.open("rb") as bytes_of:
            while block := bytes_of.read(1 << 20):
                sum_of = zlib.crc32(block, sum_of)
    return f"{sum_of:08x}"


def insist_on_database(folder: Path) -> None:
    """Raise unless SQLite finds its file sound; somebody may have it open."""
    try:
        address = f"file:{quote(str((folder / SQLITE).absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            insist(database.execute("PRAGMA quick_check").fetchone() == ("ok",), "the SQLite file is damaged")
    except sqlite3.Error as error:
        raise NotAsLeft(f"the SQLite file is damaged: {error}") from error


def examine(folder: Path) -> None:
    """Raise, or crash, unless the folder is as the last change left it.

    Chroma's HNSW files are checked against the checksum taken then, its SQLite file by SQLite, the rows by
    counting them and by searching for one of them.
    """
    insist_on_database(folder)
    collection = Compiled(folder)
    seal = read_seal(collection)
    if seal is None or "unfinished" in seal:
        raise NotAsLeft("nothing was applied to the end")
    insist(seal["checksum"] == checksum(hnsw_files(folder)), "the files are not those of the last change")
    insist_as_left(collection)


class Compiled:
    """The collection of a folder in Chroma's compiled part, opened as Chroma's client opens it."""

    def __init__(self, folder: Path) -> None:
        database = compiled.SqliteDBConfig(
            url=str(folder / SQLITE),
            hash_type=compiled.MigrationHash.MD5,
            migration_mode=compiled.MigrationMode.Apply,
        )
        self._opened = compiled.Bindings(
            allow_reset=False, sqlite_db_config=database, persist_path=str(folder), hnsw_cache_size=100
        )
        found = self._opened.get_collection(COLLECTION, TENANT, DATABASE)
        self._id = str(found.id)
        self.metadata: Any = found.metadata
        self.configuration_json: Any = found.configuration

    def count(self) -> int:
        """Count the rows."""
        return int(self._opened.count(self._id, TENANT, DATABASE))

    def get(self, *, limit: int, include: Any) -> Any:
        """Give the first rows."""
        found = self._opened.get(self._id, None, None, limit, 0, None, include, TENANT, DATABASE)
        return {"embeddings": found.embeddings}

    def query(self, *, query_embeddings: Any, n_results: int, include: Any) -> Any:
        """Give the rows nearest to each vector."""
        found = self._opened.query(self._id, None, query_embeddings, n_results, None, None, include, TENANT, DATABASE)
        return {"ids": found.ids, "distances": found.distances}


def _is_cosine(collection: Held) -> bool:
    # Not `.configuration`: it builds the embedding function that whoever made the collection named.
    configuration = collection.configuration_json
    # Chroma Cloud makes an index of its own kind, spann, of what is asked for as hnsw.
    return any((configuration.get(kind) or {}).get("space") == "cosine" for kind in ("hnsw", "spann"))


if __name__ == "__main__":
    examine(Path(sys.argv[1]))
