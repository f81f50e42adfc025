"""The server that owns an index: how other commands find it, and hand their work over to it.

One process owns an index at a time. A server that does says where it listens in a file of the index's folder that only
its own user can read, with a secret made for this run; commands of the same user ask it over loopback instead of
opening the index. What goes over the wire is a line of JSON for each step, {"Progress": {…}}, and an empty one while
nothing happens, by which each side knows that the other is there.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

import assistant.errors
import index.errors
from assistant.errors import AssistantError, OwnerUnreachable
from assistant.types import Answer, Message
from index import Comparing, Filter, Passage, Progress, Step, Stop, Stopped, SyncReport, Waiting
from index.lock import held_by
from index.types import Fault

FILE = "server"
PATIENCE_SECONDS = 120.0
"""How long the server may say nothing. It says something several times a second, but not while it loads a model."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, to be raised again on the other side."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Write an error down."""
        return cls(type(error).__name__, str(error))

    def error(self) -> BaseException:
        """Make the error again; one of a kind that is not known here is an AssistantError."""
        return KINDS_OF_ERROR.get(self.kind, AssistantError)(self.message)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, best first."""

    passages: tuple[Passage, ...]


Told = Step | SyncReport | Answer | Found | Failure
"""What the server tells."""

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Waiting, Comparing, Progress, SyncReport, Answer, Found, Failure)
}
KINDS_OF_ERROR: dict[str, type[BaseException]] = {
    name: kind
    for name, kind in (vars(index.errors) | vars(assistant.errors) | {"Stopped": Stopped}).items()
    if isinstance(kind, type)
}
End = TypeVar("End", SyncReport, Answer, Found)


def to_line(told: Told | None) -> str:
    """Write what is told as a line; None, that nothing happened, is an empty one."""
    if told is None:
        return "\n"
    name = type(told).__name__
    return json.dumps({name: ADAPTERS[name].dump_python(told, mode="json")}, ensure_ascii=False) + "\n"


def from_line(line: str) -> Told | None:
    """Read what to_line wrote; raise ValueError where it did not."""
    if not line:
        return None
    [(name, fields)] = json.loads(line).items()
    told: Told = ADAPTERS[name].validate_python(fields)
    return told


@dataclass(frozen=True, slots=True)
class Address:
    """What the file of a server says."""

    process: int
    url: str
    secret: str


@contextmanager
def published(folder: Path, url: str, secret: str) -> Iterator[None]:
    """Say in the folder of the index, which this process owns, where it listens, until the block ends."""
    place, new = folder / FILE, folder / f"{FILE}.new"
    new.unlink(missing_ok=True)
    # Made for its user alone, not changed to that later, and put into place whole.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(TypeAdapter(Address).dump_json(Address(os.getpid(), url, secret)))
    new.replace(place)
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink()


def owner_of(folder: Path) -> "Owner | None":
    """Give the server that owns the index; None where there is none, or it is another user's.

    A file that a server left when it was killed counts for nothing: then nobody owns the folder, or another process.
    """
    try:
        address = TypeAdapter(Address).validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return Owner(address) if held_by(folder) == address.process else None


class Owner:
    """A server that owns the index. Each method raises what it would raise here, and OwnerUnreachable."""

    def __init__(self, address: Address) -> None:
        self.url = address.url
        self._secret = address.secret

    def sync(self, paths: Sequence[Path], on_step: Callable[[Step], None], stop: Stop) -> SyncReport:
        """Bring the index in step with folders and files, after whatever else the server was asked for."""
        return self._job("/owner/sync", [str(path.absolute()) for path in paths], on_step, stop)

    def remove(self, sources: Sequence[str], on_step: Callable[[Step], None], stop: Stop) -> SyncReport:
        """Forget documents; sources: ids, and absolute paths of files and folders."""
        return self._job("/owner/remove", sources, on_step, stop)

    def ask(self, question: str, history: Sequence[Message], where: Filter) -> Answer:
        """Answer a question, with the settings of the server."""
        body = {"question": question, "history": [*history], "where": _as_json(where)}
        return self._asked("/owner/ask", body, Answer)

    def search(self, query: str, limit: int, where: Filter) -> Sequence[Passage]:
        """Find passages, best first, of the documents that meet the filter."""
        body = {"query": query, "limit": limit, "where": _as_json(where)}
        return self._asked("/owner/search", body, Found).passages

    def check(self) -> list[Fault]:
        """Look whether the index is sound: see Index.check."""
        with self._client() as client:
            response = client.post("/owner/check", json={})
            response.raise_for_status()
            return [Fault(**fault) for fault in response.json()]

    def ready(self) -> str:
        """Say why the server is not ready; nothing where it is."""
        with self._client() as client:
            response = client.get("/api/ready")
            return "" if response.is_success else str(response.json()["error"]["message"])

    def _asked(self, route: str, body: dict[str, Any], kind: type[End]) -> End:
        with self._client() as client:
            return _end(_told(client, route, body), kind, lambda _: None)

    def _job(self, route: str, sources: Sequence[str], on_step: Callable[[Step], None], stop: Stop) -> SyncReport:
        job = secrets.token_hex(8)
        with self._client() as client:

            def watched() -> Iterator[Told | None]:
                for told in _told(client, route, {"job": job, "sources": [*sources]}):
                    # Again and again: the first time, it may not have begun.
                    if stop.asked:
                        client.post("/owner/stop", json={"job": job})
                    yield told

            return _end(watched(), SyncReport, on_step)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self._secret}"}
        try:
            # Not through a proxy that the environment names: the secret stays on this computer.
            with httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False) as client:
                yield client
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise OwnerUnreachable(
                f"The server at {self.url} owns the index, and broke off: {error}. Run the command again"
            ) from error


def _as_json(where: Filter) -> dict[str, Any]:
    as_json: dict[str, Any] = TypeAdapter(Filter).dump_python(where, mode="json")
    return as_json


def _told(client: httpx.Client, route: str, body: dict[str, Any]) -> Iterator[Told | None]:
    with client.stream("POST", route, json=body) as response:
        response.raise_for_status()
        yield from map(from_line, response.iter_lines())


def _end(all_told: Iterator[Told | None], kind: type[End], on_step: Callable[[Step], None]) -> End:
    """Hand on each step, and give what is told last."""
    for told in all_told:
        match told:
            case Failure():
                raise told.error()
            case Waiting() | Comparing() | Progress():
                on_step(told)
            case _ if isinstance(told, kind):
                return told
    raise ValueError("it ended without a result")
