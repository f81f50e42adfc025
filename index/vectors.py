"""The dense index: vectors of the catalog in Chroma, in a folder or on a server. Only this file knows Chroma's client.

What is not as we left it is thrown away, and the catalog makes it again. A Chroma folder can crash whoever opens it,
so a child process opens it first: see probe.py. A server can lose what it holds while we run, so that is looked at
each time the catalog is followed.
"""

import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, cast

import chromadb
import httpx
import numpy as np
from chromadb.api.client import Client
from chromadb.api.collection_configuration import CreateCollectionConfiguration
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Where
from chromadb.config import Settings, System
from chromadb.errors import ChromaError, InternalError, NotFoundError
from numpy.typing import ArrayLike, NDArray
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_fixed,
    wait_random_exponential,
)
from typing_extensions import override

from index.catalog import Change, Position
from index.errors import StoreLost, StoreUnavailable, usable
from index.memory import overwrite_memory
from index.probe import (
    COLLECTION,
    SQLITE,
    NotAsLeft,
    Probe,
    Seal,
    checksum,
    hnsw_files,
    insist,
    insist_as_left,
    insist_on_database,
    nearest,
    read_seal,
)
from index.swap import beside, put

Row = TypeVar("Row")
logger = logging.getLogger(__name__)

CONFIGURATION: CreateCollectionConfiguration = {"hnsw": {"space": "cosine"}}


class Store(Protocol):
    """Where the collection is: a folder that this process owns, or a server."""

    @property
    def rows_at_once(self) -> int:
        """How many rows one call may write or find."""

    def reach(self) -> Collection:
        """Give the collection, an empty one where there is none."""

    def open(self) -> Collection | None:
        """Give the collection, an empty one or None where it is not as we left it; again, and it is looked at again."""

    def fault(self) -> str | None:
        """Say what somebody did to the files since the last change, as far as they are ours."""

    def beside(self) -> AbstractContextManager[Self]:
        """Give an empty store, to take the place of this one; it goes on an error."""

    def take(self, other: Self) -> None:
        """Hold what is in the other, which was beside this one."""

    def whole(self) -> AbstractContextManager[object]:
        """Let nobody search meanwhile, where that would fail."""

    def checksum(self) -> str:
        """Sum up the files, as far as they are ours."""

    def translated(self) -> AbstractContextManager[None]:
        """Say what Chroma's errors mean for the user."""

    def close(self) -> None:
        """Close what is open."""


class VectorIndex:
    """The vectors of the catalog's chunks, searched by cosine similarity; a Follower of the catalog.

    One process at a time may have the store open (see lock.py); its threads may search while one writes.
    """

    def __init__(self, store: Store) -> None:
        """Open a store: a server, or a folder that is healthy or empty; use `open` for one of unknown health."""
        self._store = store
        self.reach()

    @classmethod
    def open(cls, probe: Probe) -> Self:
        """Open the folder that was probed; what is broken is thrown away, and the index starts empty.

        Raises:
            StoreUnavailable: the folder cannot be written to.
        """
        if not probe.healthy():
            _remove(probe.folder)
        return cls(Folder(probe.folder))

    def reach(self) -> None:
        """Take the store as it is: somebody else may write to it now, and may have made it again."""
        with self._store.translated():
            self._collection = self._store.reach()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    @property
    def position(self) -> Position | None:
        """The position of the last `apply`, as the store has it now; None where it is not as that left it.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        with self._store.translated():
            opened = self._store.open()
        if opened is None:
            return None
        self._collection = opened
        seal = read_seal(opened)
        return Position(seal["catalog"], seal["number"]) if seal else None

    def fault(self) -> str | None:
        """Say what is wrong with the files as they are now; nothing is known of those of a server."""
        return self._store.fault()

    def apply(self, changes: Sequence[Change], position: Position) -> None:
        """Put the vectors of the documents that changed, take out those that are gone, keep the position.

        Raises:
            StoreLost: the files are damaged.
            StoreUnavailable: the disk is full, the folder cannot be written to, the server does not answer.
        """
        with self._looked_into(), self._store.translated():
            batch = self._store.rows_at_once
            if seal := read_seal(self._collection):
                self._collection.modify(metadata={**seal, "unfinished": True})
            # Deleted first: `add` would silently keep the old vector of an id, `upsert` its old metadata.
            for sources in _parts([change.source for change in changes], batch):
                self._collection.delete(where=_any_of(sources))
            kept = self._collection.count()
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
            # A request that was given up may still be carried out, and somebody else may write to a server.
            insist(self._collection.count() == kept + len(rows), "rows came or went while it was written to")
            seal = Seal(
                catalog=position.catalog,
                number=position.number,
                chunks=kept + len(rows),
                checksum=self._store.checksum(),
            )
            self._collection.modify(metadata={**seal})

    @contextmanager
    def anew(self) -> Iterator["VectorIndex"]:
        """Give an empty one, which takes the place of this one at the end; in a folder, who searches finds this one.

        The files of a folder go, for Chroma keeps what it deletes.
        """
        with self._store.translated(), self._store.beside() as new:
            yield VectorIndex(new)
            with self._store.whole():
                self._store.take(new)
                self.reach()

    def ids(self) -> set[str]:
        """Give the ids of the chunks that are held."""
        found: set[str] = set()
        with self._store.translated():
            while rows := self._collection.get(limit=self._store.rows_at_once, offset=len(found), include=[])["ids"]:
                found.update(rows)
        return found

    def vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Give the vectors of those of these chunks that are held, float32, shape (dimension,)."""
        found: dict[str, NDArray[np.float32]] = {}
        with self._store.translated():
            for part in _parts(ids, self._store.rows_at_once):
                rows = self._collection.get(ids=[*part], include=["embeddings"])
                found.update(zip(rows["ids"], np.asarray(rows["embeddings"], np.float32), strict=True))
        return found

    def search(self, vector: ArrayLike, k: int) -> list[tuple[str, float]]:
        """Find the chunks nearest to a vector.

        Args:
            vector: shape (dimension,), of any length but zero.
            k: how many, at most; a server gives no more than 300.

        Returns:
            Chunk ids and cosine similarities, best first.

        Raises:
            StoreLost: the server does not have the collection any more, the files are damaged.
            StoreUnavailable: the folder cannot be read, the server does not answer.
        """
        with self._looked_into(), self._store.translated():
            found = LOOKING(self._nearest, np.asarray(vector, np.float32), k)
        return [(id, 1 - distance) for id, distance in found]

    @contextmanager
    def _looked_into(self) -> Iterator[None]:
        """Where something fails, see whether damage to the files is why."""
        try:
            yield
        except StoreLost:
            raise
        except StoreUnavailable as error:
            if said := self._store.fault():
                raise StoreLost(f"The vectors are damaged: {said}. Index again: they are made again.") from error
            raise

    def _nearest(self, vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        with self._store.whole():
            return nearest(self._collection, vector, min(k, self._store.rows_at_once))


LOOKING = Retrying(
    retry=retry_if_exception(lambda error: "Nothing found on disk" in str(error)),
    stop=stop_after_attempt(10),
    wait=wait_fixed(0.1),
    reraise=True,
)
"""Chroma finds no file of a collection that is just being written for the first time."""


class Folder:
    """A folder of this process, with Chroma inside the process."""

    def __init__(self, path: Path) -> None:
        """Open a folder that is healthy or not there yet."""
        self._path = path
        self._whole = threading.Lock()
        self._summed: tuple[object, str] = (None, "")
        """How the HNSW files looked when they were summed up last, and their sum."""
        self._harm: str | None = None
        """What somebody did to the files, once that was seen."""
        with self.translated():
            self._client = _client(path)

    @property
    def rows_at_once(self) -> int:
        """How many rows one call may write or find."""
        return self._client.get_max_batch_size()

    def open(self) -> Collection | None:
        """Give the collection: nobody else should write here, and the folder was looked at when it was opened."""
        try:
            collection = self.reach()
            self._harm = self._harm or self._harm_to_files(collection)
        except InternalError as error:
            self._harm = str(error)
        if self._harm:
            logger.warning("The vector index at %s is made again: %s", self._path, self._harm)
            return None
        return collection

    def fault(self) -> str | None:
        """Look through the SQLite file, and compare the others with what was noted of them."""
        try:
            insist_on_database(self._path)
            self._harm = self._harm_to_files(self.reach())
        except (ChromaError, NotAsLeft) as error:
            self._harm = str(error)
        return self._harm

    def _harm_to_files(self, collection: Collection) -> str | None:
        seal = read_seal(collection)
        if not (self._path / SQLITE).exists():
            return "the SQLite file is gone"
        if seal and "unfinished" not in seal and seal["checksum"] != self.checksum():
            return "the files are not those of the last change"
        return None

    def reach(self) -> Collection:
        """Give the collection, an empty one where there is none."""
        try:
            return self._client.get_collection(COLLECTION, embedding_function=None)
        except NotFoundError:
            return self._client.create_collection(COLLECTION, embedding_function=None, configuration=CONFIGURATION)

    @contextmanager
    def beside(self) -> Iterator["Folder"]:
        """Give an empty folder beside this one; nothing of what was in this one comes into its files."""
        overwrite_memory()
        with beside(self._path) as path:
            new = Folder(path)
            try:
                yield new
            finally:
                new.close()

    def take(self, other: "Folder") -> None:
        """Put the other folder in the place of this one."""
        other.close()
        self._client.close()
        put(other._path, self._path)
        self._client = _client(self._path)
        self._harm = None

    def whole(self) -> AbstractContextManager[object]:
        """Let whoever searches, for some milliseconds, and whoever puts another in place wait for each other."""
        return self._whole

    def checksum(self) -> str:
        """Sum up the HNSW files, those that changed since the last time."""
        files = hnsw_files(self._path)
        looks = [
            (file, status.st_ino, status.st_size, status.st_mtime_ns) for file in files for status in [file.stat()]
        ]
        if self._summed[0] != looks:
            self._summed = looks, checksum(files)
        return self._summed[1]

    def translated(self) -> AbstractContextManager[None]:
        """Say what Chroma's errors mean for the user."""
        return _usable(self._path)

    def close(self) -> None:
        """Close the folder."""
        self._client.close()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Chroma server is, and what opens it."""

    url: str
    """http or https, without a name or a password in it."""
    key: str | None = field(default=None, repr=False)
    """Sent with each request as `x-chroma-token`, as Chroma Cloud wants it."""
    database: str | None = None
    """Needed where the key opens several."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    answer_seconds: float
    """For the answer to one request."""
    retry_seconds: float
    """From the first time that a request is sent to the last."""


class Server:
    """A collection on a Chroma server or in Chroma Cloud, named after its catalog: several may share a server.

    The server is told vectors, chunk ids and document ids, no text. What it answers decides which chunks are
    found, never what they say: their text is the catalog's.
    """

    rows_at_once = 300
    """As many as Chroma Cloud takes and gives; on a server of one's own, to write more is no faster."""

    def __init__(
        self,
        address: Address,
        catalog: str,
        following: Patience = Patience(30, 60),
        asking: Patience = Patience(10, 3),
    ) -> None:
        """Name a server; it is asked for nothing yet.

        Args:
            catalog: id of the catalog.
            following: patience once it is being written to.
            asking: patience before that, and with a question: somebody waits.
        """
        self._address = address
        self._name = f"sourcier-{catalog}"
        self._api = _Api(address, following, asking)

    def reach(self) -> Collection:
        """Give the collection, an empty one where there is none."""
        tenant, database = self._place
        model = self._api.get_or_create_collection(
            self._name, configuration=CONFIGURATION, tenant=tenant, database=database
        )
        # Whoever can write to the server can name an embedding function here, and `add` would build it.
        model.serialized_schema = None
        return Collection(client=self._api, model=model, embedding_function=None)

    def open(self) -> Collection:
        """Give the collection, an empty one where there is none or where it is not as we left it."""
        collection = self.reach()
        try:
            insist_as_left(collection)
        except (NotAsLeft, InternalError) as error:
            reason = _reason(error, self._address.key)
            logger.warning("The collection %s at %s is made again: %s", self._name, self._address.url, reason)
            self.clear()
            return self.reach()
        return collection

    def clear(self) -> None:
        """Delete the collection."""
        tenant, database = self._place
        with suppress(NotFoundError):
            self._api.delete_collection(self._name, tenant=tenant, database=database)

    def drop(self) -> None:
        """Delete the collection for good; raises StoreUnavailable where the server does not answer."""
        with self.translated():
            self.clear()
        self.close()

    def fault(self) -> str | None:
        """Say nothing: the files are the server's."""
        return None

    @contextmanager
    def beside(self) -> Iterator[Self]:
        """Clear the collection: a server that has two of them could not tell them apart after a kill."""
        self.clear()
        yield self

    def take(self, other: "Server") -> None:
        """Do nothing: it is the same."""

    def whole(self) -> AbstractContextManager[object]:
        """Do nothing: a search that finds no collection says so."""
        return nullcontext()

    def checksum(self) -> str:
        """Give nothing: the files are the server's."""
        return ""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say what the errors of client and server mean for the user."""
        try:
            yield
        except NotFoundError:
            raise StoreLost(
                f"The Chroma server at {self._address.url} has no collection {self._name} any more. "
                "Index again, or start Sourcier again: it is made again from the catalog."
            ) from None
        except (ChromaError, httpx.HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            # Not from the error: what a server answers may hold anything, even the key.
            raise StoreUnavailable(
                f"The Chroma server at {self._address.url} cannot be used: "
                f"{_reason(error, self._address.key)}. {_advice(error)}"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    @cached_property
    def _place(self) -> tuple[str, str]:
        """Tenant and database, those of the key; a server without keys has one of each."""
        identity = self._api.get_user_identity()
        databases = [self._address.database] if self._address.database else (identity.databases or [])
        if not identity.tenant or len(databases) != 1 or "*" in databases:
            raise StoreUnavailable(
                f"The Chroma server at {self._address.url} does not say which database is meant. "
                "Set INDEX_CHROMA_DATABASE to one that INDEX_CHROMA_KEY opens."
            )
        return identity.tenant, databases[0]


class _Api(FastAPI):
    """Chroma's client of a server, with what it has not: time-outs, and another try.

    Every request may be carried out twice and does no harm: what is deleted stays deleted, and rows that are
    there already are not added again.
    """

    def __init__(self, address: Address, following: Patience, asking: Patience) -> None:
        settings = _settings(
            chroma_server_host=address.url,
            chroma_server_http_port=0,  # wanted, but the port is that of the URL
            chroma_server_ssl_enabled=False,  # true would make https of http
            chroma_server_headers={"X-Chroma-Token": address.key} if address.key else {},
            chroma_client_auth_provider=None,
        )
        super().__init__(System(settings))
        self._address = address
        self._following = following
        self._asking = asking

    def close(self) -> None:
        self._session.close()

    @override
    def _make_request(self, method: str, path: str, **options: Any) -> Any:
        patience = self._asking if path.endswith(("/identity", "/collections", "/query")) else self._following
        retrying = Retrying(
            retry=retry_if_exception(_may_heal),
            wait=wait_random_exponential(multiplier=0.2, max=8),
            stop=stop_before_delay(patience.retry_seconds),
            before_sleep=self._log,
            reraise=True,
        )
        return retrying(self._request, method, path, timeout=patience.answer_seconds, **options)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            return super()._make_request(method, path, **options)
        except Exception as error:
            # Chroma raises a bare Exception of the status that it has no name for.
            if isinstance(error.__context__, httpx.HTTPStatusError):
                raise error.__context__ from None
            raise

    def _log(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        reason = _reason(error, self._address.key) if error else "no answer"
        logger.warning("The Chroma server at %s cannot be used now: %s. Trying again", self._address.url, reason)


NO_ANSWER, UNREADABLE = 0, 200
"""In place of an HTTP status: nothing came, or nothing that Chroma would say."""
AGAIN = "See that it runs and can be reached, then try again: it goes on where it stopped."
OTHER_KEY = "Set INDEX_CHROMA_KEY to a key that it takes, and INDEX_CHROMA_DATABASE to a database of this key."
OTHER_PLACE = (
    "See that INDEX_CHROMA_URL and INDEX_CHROMA_DATABASE name a Chroma server and a database of it, "
    "and that nobody else writes to what Sourcier keeps there."
)
WHAT_TO_DO = {
    NO_ANSWER: AGAIN,
    3: "It sends elsewhere, which is not followed: set INDEX_CHROMA_URL to the address itself.",
    401: OTHER_KEY,
    403: OTHER_KEY,
    408: AGAIN,
    429: AGAIN,
    5: AGAIN,
}
"""HTTP status, or its first digit → what the user can do about it; anything else: OTHER_PLACE."""


def _may_heal(error: BaseException) -> bool:
    """Say whether the same request may succeed a moment later."""
    return _advice(error) == AGAIN


def _advice(error: BaseException) -> str:
    status = _status(error)
    return WHAT_TO_DO.get(status) or WHAT_TO_DO.get(status // 100, OTHER_PLACE)


def _status(error: BaseException) -> int:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code
    if isinstance(error, ChromaError):
        return error.code()
    return NO_ANSWER if isinstance(error, httpx.TransportError) else UNREADABLE


def _reason(error: BaseException, key: str | None) -> str:
    """Say in one line what happened; of what a server answers, only what can be printed, and never the key."""
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        said = f"it answers {error.response.status_code} {error.response.reason_phrase}"
    elif not isinstance(error, ChromaError | httpx.HTTPError | NotAsLeft):
        said = f"its answer cannot be read ({type(error).__name__})"
    line = "".join(character for character in " ".join(said.split()) if character.isprintable())
    return (line.replace(key, "…") if key else line)[:200].rstrip(".")


def _client(folder: Path) -> Client:
    folder.mkdir(parents=True, exist_ok=True)
    # PersistentClient is annotated as something that cannot be closed.
    return cast(Client, chromadb.PersistentClient(str(folder), settings=_settings()))


def _settings(**settings: Any) -> Settings:
    """Take settings, and telemetry off, before what Chroma finds in the environment and in `.env`."""
    return Settings(anonymized_telemetry=False, chroma_otel_granularity=None, **settings)


def _any_of(sources: Sequence[str]) -> Where:
    return cast(Where, {"source": {"$in": [*sources]}})


def _parts(values: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _remove(folder: Path) -> None:
    with _usable(folder):
        if folder.exists():
            shutil.rmtree(folder)


def _usable(folder: Path) -> AbstractContextManager[None]:
    """Say what Chroma's errors mean for the user."""
    return usable("vector index", folder, ChromaError)
