"""OpenAI's shape: whatever talks to that API can take the assistant for a model.

The text of an answer has its [n], as everywhere; the citations come beside it, in fields that OpenAI does not have.
Clients may send whatever their API knows: a system message, tools or a temperature change nothing here, as nobody
but the documents has a say in what is answered.

References: platform.openai.com/docs/api-reference/chat, as the `openai` client reads it.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel, Field, StrictBool
from starlette.exceptions import HTTPException

from assistant.errors import AssistantError, InvalidQuestion
from assistant.types import Answer, Event, Message, Notice, Searched, Token, Usage, Waiting
from assistant.web import shapes
from assistant.web.api import (
    HISTORY_MESSAGES,
    MESSAGE_CHARACTERS,
    error_object,
    last_answer,
    status_of,
    streamed,
    unexpected,
)
from assistant.web.streams import Places, answer_events
from index.errors import IndexingError

if TYPE_CHECKING:
    from assistant.answer import Assistant

log = logging.getLogger(__name__)

MODEL = "sourcier"
"""The one name under which clients find the assistant."""
MESSAGES = 2_000
"""How many messages a request may have; of a long conversation, the last few are read."""


class TextPart(BaseModel):
    """A part of a message; pictures and sound are not read."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn, as OpenAI's clients write it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Give the words of the turn."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    include_usage: StrictBool | None = False


class ChatRequest(BaseModel):
    """A conversation whose last message is the question; what else OpenAI's API knows is passed over."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MESSAGES)]
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None

    def conversation(self) -> tuple[str, list[Message]]:
        """Give the question and the turns before it, of which the last are enough.

        Raises InvalidQuestion where the last turn is not the user's.
        """
        turns = [
            Message(role=message.role, content=message.text)
            for message in self.messages
            if message.role in {"user", "assistant"}
        ]
        if not turns or turns[-1]["role"] != "user":
            raise InvalidQuestion("The last message is not the user's. Let the conversation end with the question")
        history = [
            Message(role=turn["role"], content=turn["content"][:MESSAGE_CHARACTERS])
            for turn in turns[-1 - HISTORY_MESSAGES : -1]
        ]
        return turns[-1]["content"], history


def add_openai(app: FastAPI, assistant: "Assistant", places: Places) -> None:
    """Add the routes under /v1, whose errors have OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""
    app.include_router(_routes(assistant, places))


def _routes(assistant: "Assistant", places: Places) -> APIRouter:
    routes = APIRouter(prefix="/v1", route_class=_Route, dependencies=[Security(shapes.KEY)])
    model = {"id": MODEL, "object": "model", "created": int(time.time()), "owned_by": MODEL}

    @routes.get("/models", responses=shapes.told(shapes.Models) | shapes.KEYED)
    def models() -> dict[str, Any]:
        """List the one model there is."""
        return {"object": "list", "data": [model]}

    @routes.get("/models/{name}", responses=shapes.told(shapes.Model) | shapes.OPENAI)
    def model_named(name: str) -> dict[str, Any]:
        """Give the model, where this is its name."""
        _expect_model(name)
        return model

    @routes.post(
        "/chat/completions",
        response_model=None,
        responses=shapes.streamed(shapes.Completion) | shapes.OPENAI_ASKED,
    )
    async def complete(asked: ChatRequest) -> Response | dict[str, Any]:
        """Answer the last message, whole or as chunks of a stream."""
        _expect_model(asked.model)
        events = answer_events(assistant, places, *asked.conversation())
        completion = Completion(bool(asked.stream_options and asked.stream_options.include_usage))
        if not asked.stream:
            return completion.whole(await last_answer(events))
        return await streamed(events, completion.written, _broken)

    return routes


class Completion:
    """One answer in OpenAI's words; all chunks of a stream share its id.

    with_usage: whether a stream ends with what the language model read and wrote, where one was asked and counts.
    """

    def __init__(self, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Give the answer in one piece."""
        message = {"role": "assistant", "content": answer.text, "refusal": None, **_extra(answer)}
        choice = {"message": message, "finish_reason": "stop"}
        return self._object("chat.completion", [choice]) | {"usage": _usage(answer.usage)}

    def written(self, event: Event) -> bytes:
        """Write an event of the answer as a chunk; the last one has the citations."""
        match event:
            case Searched():
                return self._chunk({"role": "assistant", "content": ""})
            case Token(text):
                return self._chunk({"content": text})
            case Waiting():
                return KEEPALIVE_COMMENT
            case Notice():
                return b""  # The last chunk has it.
            case Answer():
                return self._end(event)

    def _end(self, answer: Answer) -> bytes:
        chunks = [self._chunk(_extra(answer), finish_reason="stop")]
        if self._with_usage and answer.usage:
            chunks.append(_data(self._object("chat.completion.chunk", []) | {"usage": _usage(answer.usage)}))
        return b"".join([*chunks, format_sse_event(data_str="[DONE]")])

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return _data(self._object("chat.completion.chunk", [{"delta": delta, "finish_reason": finish_reason}]))

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": MODEL,
            "choices": [{"index": i, "logprobs": None, **choice} for i, choice in enumerate(choices)],
        }


class _Route(APIRoute):
    """Answers errors in OpenAI's shape, as its clients read no other."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                return _invalid(error)
            except HTTPException as error:
                kind = "model_not_found" if error.status_code == 404 else "invalid_body"
                return _failed(error.status_code, {"error": {"type": kind, "message": error.detail}})
            except (AssistantError, IndexingError) as error:
                status, headers = status_of(error)
                return _failed(400 if status == 422 else status, error_object(error), headers=headers)
            except Exception:
                log.exception("A completion failed")
                return _failed(500, unexpected())

        return handled


def _expect_model(name: str) -> None:
    if name != MODEL:
        raise HTTPException(404, f"There is no model {name[:100]!r} here. Ask {MODEL!r}")


def _extra(answer: Answer) -> dict[str, Any]:
    """Give what OpenAI's objects have no field for."""
    told = answer.as_dict()
    return {name: told[name] for name in ("citations", "answered", "query", "unsupported", "notice")}


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _data(content: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(content, ensure_ascii=False))


def _invalid(error: RequestValidationError) -> JSONResponse:
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"][1:]))
    return _failed(400, {"error": {"type": "invalid_value", "message": f"{place}: {problem['msg']}"}}, param=place)


def _broken(told: dict[str, Any]) -> bytes:
    return _data(_as_openai(500, told))


def _failed(
    status: int, told: dict[str, Any], *, param: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(_as_openai(status, told, param), status, headers)


def _as_openai(status: int, told: dict[str, Any], param: str | None = None) -> dict[str, Any]:
    """Turn an error in our one shape into OpenAI's, where `type` is broad and `code` is narrow."""
    kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = told["error"]
    return {"error": {"message": error["message"], "type": kind, "param": param, "code": error["type"]}}
