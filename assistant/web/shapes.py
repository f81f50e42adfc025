"""What the API says, as its description (/api/openapi.json) tells it; the tests hold every answer against it.

The objects are made elsewhere, from the assistant's own types. A field that is there and not here fails a test.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict

from assistant.owner import Failure
from assistant.types import Doubt
from assistant.web.uploads import Limits, Upload
from index import Comparing, Progress, SyncReport, Waiting

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key (`assistant keys create`), or for questions a visitor's token. This computer needs none.",
)

Responses = dict[int | str, dict[str, Any]]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fault(_Shape):
    """What went wrong: a name for programs, a sentence for people."""

    type: str
    message: str


class Refused(_Shape):
    """The one shape of errors."""

    error: Fault


class Health(_Shape):
    """Whether the server runs, and whether its models are loaded."""

    status: Literal["ok"]
    ready: bool
    documents: int | None


class Ready(_Shape):
    """Questions are answered without waiting."""

    ready: Literal[True]


class File(_Shape):
    """Another file of the same words."""

    source: str
    title: str
    name: str
    date: str | None


class Source(_Shape):
    """One document that is indexed; `path` is the name of its file, without its folders."""

    id: str
    title: str
    path: str
    paths: list[str]
    chunks: int
    language: str | None
    date: str | None
    content_hash: str
    author: str | None


class SourceText(Source):
    """A document with the text that citations count their characters in."""

    text: str


class Passage(_Shape):
    """A piece of a document as it was found; `start` is in characters of the document's text."""

    id: str
    text: str
    source: str
    title: str
    page: int | None
    start: int
    score: float
    language: str | None
    section: str | None
    date: str | None
    file: str
    also_in: list[File]


class Words(_Shape):
    """The words of a quote that answer."""

    start: int
    end: int
    text: str


class Citation(_Shape):
    """A quote that stands, character for character, from `start` to `end` in the text of its source."""

    number: int
    source: str
    title: str
    date: str | None
    language: str | None
    page: int | None
    section: str | None
    start: int
    end: int
    quote: str
    answer: Words | None
    also_in: list[File]


class Unsupported(_Shape):
    """A sentence of the answer that no passage supports."""

    start: int
    end: int
    text: str
    doubt: Doubt


class Notice(_Shape):
    """Why the language model did not write the answer, or not all of it."""

    kind: str
    message: str


class Usage(_Shape):
    """What the language models read and wrote."""

    model: str
    input_tokens: int
    output_tokens: int


class Seconds(_Shape):
    """Where the time of the answer went."""

    retrieve: float
    answer: float
    first_token: float
    total: float


class Answer(_Shape):
    """An answer with the quotes that it rests on; where `answered` is false, the documents do not hold one."""

    question: str
    query: str
    answered: bool
    answer: str
    short: str | None
    citations: list[Citation]
    passages: list[Passage]
    unsupported: list[Unsupported]
    notice: Notice | None
    usage: Usage | None
    seconds: Seconds


class Uploads(_Shape):
    """The files that were added, how much is taken in, and whether a sync of them goes on or waits."""

    files: list[Upload]
    limits: Limits
    indexing: bool


class Kept(_Shape):
    """The name under which a file is kept."""

    name: str


class Token(_Shape):
    """A token of a visitor, good for so many seconds on pages of that origin."""

    token: str
    seconds: int
    origin: str


class Model(_Shape):
    """The one model there is."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(_Shape):
    """The models, in OpenAI's shape."""

    object: Literal["list"]
    data: list[Model]


class CompletionMessage(_Shape):
    """The answer as a message of OpenAI's API, and what that has no fields for."""

    role: Literal["assistant"]
    content: str
    refusal: None
    citations: list[Citation]
    answered: bool
    query: str
    unsupported: list[Unsupported]
    notice: Notice | None


class Choice(_Shape):
    """The one answer there is."""

    index: int
    message: CompletionMessage
    finish_reason: Literal["stop"]
    logprobs: None


class CompletionUsage(_Shape):
    """What the language models read and wrote, in OpenAI's words."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(_Shape):
    """An answer in OpenAI's shape."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None


class OpenAIFault(_Shape):
    """What went wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIRefused(_Shape):
    """An error in OpenAI's shape."""

    error: OpenAIFault


def _refusals(shape: Any, **reasons: str) -> Responses:
    return {int(status[1:]): {"model": shape, "description": reason} for status, reason in reasons.items()}


def _lines(*kinds: type["DataclassInstance"]) -> Responses:
    """Describe lines of JSON, each {"Progress": {…}} or another of these; while nothing happens, they are empty."""
    told = {kind.__name__: {"type": "object", "required": [one.name for one in fields(kind)]} for kind in kinds}
    line = {"type": "object", "properties": told, "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    return {200: {"description": "A line for each step.", "content": {"application/x-ndjson": {"schema": line}}}}


UNKNOWN = _refusals(
    Refused,
    _403="A page of this origin may not do this.",
    _421="The server is not called by this name.",
    _500="Something unexpected went wrong; the log says more.",
)
"""What any request can meet."""
KEYED = _refusals(Refused, _401="It needs an API key, or the key or token opens nothing.") | UNKNOWN
"""What can be met where a key is needed."""
NO_DOCUMENT = _refusals(Refused, _404="There is no such document.")
NOT_READY = _refusals(Refused, _503="Not yet, with the reason.")
WRITTEN = KEYED | _refusals(
    Refused,
    _400="The body is not text in UTF-8.",
    _413="The body is longer than 64 kB.",
    _415="The body is not JSON.",
    _422="The request makes no sense; the message says why.",
)
ASKED = WRITTEN | _refusals(
    Refused,
    _429="A limit is reached, here or at the language model's provider; Retry-After says for how long.",
    _502="The language model failed.",
    _503="The documents cannot be searched now, the language model is away, or too many questions wait.",
)
NOT_JSON = _refusals(Refused, _413="The body is longer than 64 kB.", _415="The body is not JSON.")
SYNCED = _lines(Waiting, Comparing, Progress, SyncReport, Failure)
"""What a sync tells: how far it is, the report last, or why there is none."""
UPLOADED = KEYED | _refusals(
    Refused,
    _403="Documents cannot be added here, or a page of this origin may not do this.",
    _422="The request makes no sense; the message says why.",
    _503="The documents cannot be reached now.",
)
NO_FILE = _refusals(Refused, _404="No such file was added.")
NOT_KEPT = _refusals(
    Refused,
    _400="The upload broke off.",
    _413="The file is too long.",
    _415="The body is not sent as bytes.",
    _507="There is no room for it.",
)
OPENAI = KEYED | NOT_JSON | _refusals(OpenAIRefused, _404="There is no such model.")
OPENAI_ASKED = (
    OPENAI
    | _refusals(OpenAIRefused, _400="The request makes no sense; the message says why.", _502="The model failed.")
    | _refusals(
        Refused | OpenAIRefused,
        _429="A limit is reached, here or at the language model's provider; Retry-After says for how long.",
        _500="Something unexpected went wrong; the log says more.",
        _503="The documents cannot be searched now, the language model is away, or too many questions wait.",
    )
)


def told(shape: Any, status: int = 200) -> Responses:
    """Describe what is answered when all is well."""
    return {status: {"model": shape, "description": "Here it is."}}


def body(media_type: str, **schema: str) -> dict[str, Any]:
    """Describe a body that is not read as JSON."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def streamed(shape: Any, *events: str) -> Responses:
    """Describe what is answered whole, or as server-sent events, which have these names or none."""
    properties: dict[str, Any] = {"data": {"type": "string"}}
    if events:
        properties["event"] = {"enum": events}
    event = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    described = told(shape)
    described[200]["content"] = {"text/event-stream": {"schema": event}}
    return described
