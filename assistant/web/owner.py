"""The routes by which other commands of the owner hand their work over: see assistant/owner.py."""

import hmac
import ipaddress
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from assistant.owner import Failure, Found, Told, to_line
from assistant.types import Answer, Message
from assistant.web.streams import Places, answer_events, in_batches
from index import Filter, Job, Stopped, SyncQueue

if TYPE_CHECKING:
    from assistant.answer import Assistant

Telling = Generator[Told | None, None, None]


class Work(BaseModel):
    """A sync or a removal."""

    model_config = ConfigDict(extra="forbid")

    job: str
    """By which it can be stopped; chosen by whoever asks."""
    sources: list[str]


class Halt(BaseModel):
    """A job that is to stop."""

    model_config = ConfigDict(extra="forbid")

    job: str


class Question(BaseModel):
    """What a command asks."""

    model_config = ConfigDict(extra="forbid")

    question: str
    history: list[Message]
    where: Filter


class Query(BaseModel):
    """What a program that uses the tools searches for."""

    model_config = ConfigDict(extra="forbid")

    query: str
    limit: int
    where: Filter


def add_owner(app: FastAPI, assistant: "Assistant", queue: SyncQueue, places: Places, secret: str) -> None:
    """Add the routes under /owner, for whoever is on this computer and knows the secret."""
    app.include_router(_routes(assistant, queue, places, secret))


def _routes(assistant: "Assistant", queue: SyncQueue, places: Places, secret: str) -> APIRouter:
    def insist(request: Request, authorization: Annotated[str, Header()] = "") -> None:
        if not _is_here(request) or not hmac.compare_digest(authorization.encode(), f"Bearer {secret}".encode()):
            raise HTTPException(401, "This is for the owner of the index.")

    routes = APIRouter(prefix="/owner", include_in_schema=False, dependencies=[Depends(insist)])
    jobs: dict[str, Job] = {}

    def followed(name: str, begin: Callable[[], Job]) -> Telling:
        """Tell of a job from its beginning to its report; it is stopped if whoever asked goes away."""
        jobs[name] = job = begin()
        try:
            yield from job.steps()
            yield job.report()
        finally:
            job.stop()
            del jobs[name]

    @routes.post("/sync")
    def sync(work: Work) -> StreamingResponse:
        return streamed(followed(work.job, lambda: queue.sync([Path(source) for source in work.sources])))

    @routes.post("/remove")
    def remove(work: Work) -> StreamingResponse:
        return streamed(followed(work.job, lambda: queue.remove(work.sources)))

    @routes.post("/stop")
    def stop(halt: Halt) -> None:
        if halt.job in jobs:
            jobs[halt.job].stop()

    @routes.post("/check")
    def check() -> list[dict[str, str]]:
        return [asdict(fault) for fault in assistant.index.check()]

    @routes.post("/ask")
    def ask(asked: Question) -> StreamingResponse:
        return streamed(_answered(assistant, places, asked))

    @routes.post("/search")
    def search(wanted: Query) -> StreamingResponse:
        return streamed(_found(assistant, places, wanted))

    return routes


def _is_here(request: Request) -> bool:
    """Say whether a request comes from this computer, as the address of a server on another interface does too.

    A proxy on this computer says of whom it passes something on: that is not here.
    """
    here, there = request.scope.get("server"), request.client
    if there is None or not request.scope.get("direct", True):
        return False
    try:
        return ipaddress.ip_address(there.host).is_loopback or (here is not None and here[0] == there.host)
    except ValueError:
        return False


def _answered(assistant: "Assistant", places: Places, asked: Question) -> Telling:
    events = answer_events(assistant, places, asked.question, asked.history, asked.where)
    for batch in in_batches(events, Event()):
        yield next((event for event in batch if isinstance(event, Answer)), None)


def _found(assistant: "Assistant", places: Places, wanted: Query) -> Telling:
    with places.one():
        yield Found(tuple(assistant.index.retriever(wanted.limit).search(wanted.query, wanted.where)))


def streamed(telling: Telling, failure: Callable[[BaseException], Failure] = Failure.of) -> StreamingResponse:
    """Write what is told as it comes, a line each, and an empty line at once: so whoever asked knows that it is heard.

    failure: what is told of an error; the owner may know all of it.
    """
    lines = _lines(telling, failure)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


async def _lines(telling: Telling, failure: Callable[[BaseException], Failure]) -> AsyncIterator[str]:
    lines, line = map(to_line, _with_error(telling, failure)), to_line(None)
    try:
        while line:
            yield line
            line = await run_in_threadpool(next, lines, "")
    finally:
        telling.close()


def _with_error(telling: Telling, failure: Callable[[BaseException], Failure]) -> Telling:
    try:
        yield from telling
    except (Exception, Stopped) as error:  # noqa: BLE001 - told where it was asked for
        yield failure(error)
