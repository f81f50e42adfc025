"""The HTTP API: health, questions, sources."""

import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from assistant.answer import MAX_QUESTION_CHARACTERS
from assistant.errors import (
    AssistantError,
    ConversationsUnavailable,
    FileTooLarge,
    InvalidQuestion,
    ModelFailed,
    ModelUnavailable,
    NoRoom,
    OriginNotListed,
    RateLimited,
    UploadNotFound,
)
from assistant.logs import request_id
from assistant.types import Answer, Event, Message, Notice, Searched, Token, Waiting, passages_as_dicts
from assistant.web import shapes
from assistant.web.requests import HEADER
from assistant.web.streams import Batches, Busy, Events, Places, answer_events, in_batches
from index.errors import IndexingError, InvalidFilter, SourceNotFound
from index.types import Filter, Source

if TYPE_CHECKING:
    from assistant.answer import Assistant

log = logging.getLogger(__name__)

HISTORY_MESSAGES = 20
MESSAGE_CHARACTERS = 8_000
FILTER_VALUES = 1_000
RETRY_SECONDS = 10
EVENTS = ("passages", "notice", "token", "answer", "error")
SEE_LOG = "The log of the server says more."


class NotReady(AssistantError):
    """Index or models are not loaded."""


STATUS: dict[type[Exception], int] = {
    InvalidQuestion: 422,
    RateLimited: 429,
    ModelFailed: 502,
    ModelUnavailable: 503,
    Busy: 503,
    NotReady: 503,
    ConversationsUnavailable: 503,
    OriginNotListed: 403,
    FileTooLarge: 413,
    NoRoom: 507,
    UploadNotFound: 404,
    SourceNotFound: 404,
    InvalidFilter: 422,
    IndexingError: 503,
}


class HistoryMessage(BaseModel):
    """One turn of the conversation before the question."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=MESSAGE_CHARACTERS)]


FilterValue = Annotated[str, StringConstraints(max_length=64)]
# What is described only is checked further on, where the message is a better one.
Day = Annotated[FilterValue, Field(json_schema_extra={"format": "date"})]


class Question(BaseModel):
    """What is asked, of which documents, and how the answer should come."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=MAX_QUESTION_CHARACTERS),
        Field(json_schema_extra={"pattern": r"\S"}),
    ]
    history: Annotated[list[HistoryMessage], Field(max_length=HISTORY_MESSAGES)] = []
    sources: Annotated[list[FilterValue], Field(max_length=FILTER_VALUES)] = []
    since: Day | None = None
    until: Day | None = None
    languages: Annotated[list[FilterValue], Field(max_length=FILTER_VALUES)] = []
    stream: StrictBool = False

    def where(self) -> Filter:
        """Give the conditions as the assistant takes them; raise InvalidFilter where they make no sense."""
        return Filter(tuple(self.sources), self.since, self.until, tuple(self.languages))

    def messages(self) -> list[Message]:
        """Give the history as the assistant takes it."""
        return [Message(role=message.role, content=message.content) for message in self.history]


def add_api(app: FastAPI, assistant: "Assistant", places: Places) -> None:
    """Add the routes under /api, and the one shape of their errors: {"error": {"type", "message"}}."""
    app.include_router(_routes(assistant, places))
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(AssistantError, _known_error)
    app.add_exception_handler(IndexingError, _known_error)
    app.add_exception_handler(Exception, _unknown_error)


def _routes(assistant: "Assistant", places: Places) -> APIRouter:
    routes = APIRouter(prefix="/api")
    keyed = [Security(shapes.KEY)]

    @routes.get("/health", responses=shapes.told(shapes.Health) | shapes.UNKNOWN)
    def health() -> dict[str, Any]:
        """Say at once that the server runs, whether its models are loaded, and how many documents it has, if it can."""
        documents = None
        with suppress(IndexingError):
            documents, _ = assistant.index.counts()
        return {"status": "ok", "ready": assistant.ready, "documents": documents}

    @routes.get("/ready", responses=shapes.told(shapes.Ready) | shapes.UNKNOWN | shapes.NOT_READY)
    def ready() -> dict[str, bool]:
        """Say whether questions are answered without waiting: index, embedding model and reader are loaded."""
        if not assistant.ready:
            raise NotReady(_reason(assistant.fault))
        # Somebody may have deleted it since.
        assistant.index.counts()
        return {"ready": True}

    @routes.post(
        "/ask",
        response_model=None,
        dependencies=keyed,
        responses=shapes.streamed(shapes.Answer, *EVENTS) | shapes.ASKED,
    )
    async def ask(asked: Question) -> Response | dict[str, Any]:
        """Answer, whole or as server-sent events: passages, notice, token …, answer; error if it breaks off."""
        events = answer_events(assistant, places, asked.question, asked.messages(), asked.where())
        if not asked.stream:
            return (await last_answer(events)).as_dict()
        return await streamed(events, _written, partial(_event, "error"))

    @routes.get("/sources", dependencies=keyed, responses=shapes.told(list[shapes.Source]) | shapes.KEYED)
    def sources() -> list[dict[str, Any]]:
        """List what is indexed."""
        return [_as_public(source) for source in assistant.index.sources()]

    @routes.get(
        "/sources/{source_id:path}",
        dependencies=keyed,
        responses=shapes.told(shapes.SourceText) | shapes.KEYED | shapes.NO_DOCUMENT,
    )
    def source(source_id: str) -> dict[str, Any]:
        """Give one document, with the text that citations count their characters in."""
        for found in assistant.index.sources():
            if found.id == source_id:
                return _as_public(found) | {"text": assistant.index.text(source_id)}
        raise SourceNotFound(f"No document {source_id!r}. List them: GET /api/sources")

    return routes


def _reason(fault: Exception | None) -> str:
    if fault is None:
        return "Index and models are being loaded."
    return f"Index and models cannot be loaded ({type(fault).__name__}), which is tried again. {SEE_LOG}"


async def last_answer(events: Events) -> Answer:
    """Wait for the whole answer; a server that stops need not wait for it, whatever the model does."""
    stopped = threading.Event()
    batches = in_batches(events, stopped)
    try:
        while (batch := await run_in_threadpool(next, batches, None)) is not None:
            for event in batch:
                if isinstance(event, Answer):
                    return event
    finally:
        stopped.set()
    raise RuntimeError("The events of an answer ended without it")


async def streamed(
    events: Events, written: Callable[[Event], bytes], broken: Callable[[dict[str, Any]], bytes]
) -> EventSourceResponse:
    """Answer with server-sent events.

    written: how an event goes over the wire. broken: the same of an error in the one shape.
    """
    stopped = threading.Event()
    batches = in_batches(events, stopped)
    # The first event is awaited here: what goes wrong before it still gets its own status.
    first = await run_in_threadpool(first_events, batches)
    sent = _server_sent(first, batches, stopped, written, broken)
    return EventSourceResponse(sent, headers={"Cache-Control": "no-store"})


def first_events(batches: Batches) -> list[Event]:
    """Wait for the first events."""
    return next((batch for batch in batches if batch), [])


async def _server_sent(
    first: list[Event],
    batches: Batches,
    stopped: threading.Event,
    written: Callable[[Event], bytes],
    broken: Callable[[dict[str, Any]], bytes],
) -> AsyncIterator[bytes]:
    """Write events as they come, comments while nothing comes; stop the answer when the client goes away."""
    try:
        batch: list[Event] | None = first
        while batch is not None:
            yield b"".join(map(written, batch)) or KEEPALIVE_COMMENT
            batch = await run_in_threadpool(next, batches, None)
    except (AssistantError, IndexingError) as error:
        yield broken(error_object(error))
    except Exception:
        log.exception("An answer broke off")
        yield broken(unexpected())
    finally:
        # Not closed here: a thread may be reading, where a server that stops does not wait for it.
        stopped.set()


def _written(event: Event) -> bytes:
    match event:
        case Searched(query, passages):
            return _event("passages", {"query": query, "passages": passages_as_dicts(passages)})
        case Waiting():
            return KEEPALIVE_COMMENT
        case Notice():
            return _event("notice", asdict(event))
        case Token(text):
            return _event("token", {"text": text})
        case Answer():
            return _event("answer", event.as_dict())


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False))


def _as_public(source: Source) -> dict[str, Any]:
    """Give a source without the place of its files on this computer."""
    names = [Path(path).name for path in source.paths]
    return source.as_dict() | {"path": names[0], "paths": names}


def error_object(error: Exception) -> dict[str, Any]:
    """Give a known error in the one shape."""
    # The message of these names folders of this computer.
    if isinstance(error, IndexingError) and not isinstance(error, SourceNotFound | InvalidFilter):
        log.error("The index failed: %s", error)
        return _error(type(error).__name__, f"The documents cannot be searched. {SEE_LOG}")
    if isinstance(error, ConversationsUnavailable):
        log.error("%s", error)
        return _error(type(error).__name__, f"Nothing can be kept now. {SEE_LOG}")
    return _error(type(error).__name__, str(error))


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


def unexpected() -> dict[str, Any]:
    """Give any other error in the one shape, which says nothing of the inside."""
    return _error("Unexpected", f"Something went wrong here. {SEE_LOG}")


def status_of(error: Exception) -> tuple[int, dict[str, str]]:
    """Give the status of a known error, and the headers that go with it."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    seconds = error.retry_seconds if isinstance(error, Busy) else RETRY_SECONDS
    return status, {"Retry-After": str(seconds)} if status in {429, 503} else {}


async def _known_error(_: Request, error: Exception) -> JSONResponse:
    status, headers = status_of(error)
    return JSONResponse(error_object(error), status, headers)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    message = "; ".join(f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in problems)
    return JSONResponse(_error("InvalidRequest", message), 422)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse(_error(HTTPStatus(status).phrase.title().replace(" ", ""), detail), status, headers)


async def _unknown_error(_: Request, __: Exception) -> JSONResponse:
    # Made outside of what gives other responses their headers.
    return JSONResponse(unexpected(), 500, {HEADER: request_id.get()})
