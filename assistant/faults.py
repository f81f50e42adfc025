"""What goes wrong at a language model's provider, told in one line, with no traceback, key or words of theirs.

Each provider's package has errors of its own. They are known here by what they share: a status of HTTP, and the names
of the errors of the libraries below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from assistant.errors import AssistantError, ModelFailed, ModelUnavailable, RateLimited

Fault = Literal[
    "package", "provider", "key", "model", "server", "rate", "time", "context", "cut", "empty", "broken", "refused"
]


@dataclass(frozen=True, slots=True)
class Row:
    """How a fault is told and treated."""

    error: type[AssistantError]
    message: str
    """`{model}` is provider:model as the settings have it, `{provider}` the part before the colon."""
    retried: bool = False
    """Whether asking again may help, as long as nothing was written."""


FAULTS: dict[Fault, Row] = {
    "package": Row(
        ModelUnavailable,
        "The package for the language model {model} is missing. Run pip install 'sourcier[{provider}]'",
    ),
    "provider": Row(
        ModelUnavailable,
        "The language model {model} cannot be opened. Write ASSISTANT_MODEL as provider:model, openai:gpt-4o-mini",
    ),
    "key": Row(
        ModelUnavailable,
        "The provider of {model} wants a key, or refuses the one it got. Set it in the environment: OPENAI_API_KEY, "
        "ANTHROPIC_API_KEY, …",
    ),
    "model": Row(
        ModelUnavailable,
        "The provider does not know {model}. Look up its name, and whether ASSISTANT_MODEL_URL ends as it should (/v1)",
    ),
    "server": Row(
        ModelUnavailable, "The server of {model} cannot be reached. Start it, or set ASSISTANT_MODEL_URL", retried=True
    ),
    "rate": Row(
        RateLimited,
        "The provider of {model} takes no more requests for now. Try again later, or raise your limit",
        True,
    ),
    "time": Row(
        ModelFailed, "{model} said nothing for too long. Try again, or set ASSISTANT_MODEL_TIMEOUT_SECONDS higher"
    ),
    "context": Row(
        ModelFailed, "The passages are too long for {model}. Set ASSISTANT_CONTEXT_TOKENS to what it can read"
    ),
    "cut": Row(ModelFailed, "{model} broke off in the middle of its answer. Try again", True),
    "empty": Row(ModelFailed, "{model} answered with nothing. Try again, or take another model", True),
    "broken": Row(ModelFailed, "The provider of {model} has a fault of its own. Try again later", True),
    "refused": Row(ModelFailed, "The provider of {model} refuses the request. Is this a model for chats?"),
}
"""Fault → how it is told and treated; docs/operations.md has the same for readers."""

STATUS: dict[int, Fault] = {401: "key", 403: "key", 404: "model", 408: "time", 413: "context", 429: "rate", 504: "time"}
"""Of HTTP; any other from 500 on is "broken", from 400 on "refused"."""

NAMES: dict[str, Fault] = {
    "ImportError": "package",
    "ConnectError": "server",
    "ConnectTimeout": "server",
    "ConnectionRefusedError": "server",
    "TimeoutException": "time",
    "TimeoutError": "time",
    "APITimeoutError": "time",
    "RemoteProtocolError": "cut",
    "ReadError": "cut",
    "WriteError": "cut",
    "ConnectionResetError": "cut",
    "ConnectionError": "server",
    "APIConnectionError": "server",
}
"""Name of an error or of what it derives from → fault; the first that fits counts."""

TOO_LONG = re.compile(r"context|too (?:long|large|many tokens)|maximum.{0,40}tokens|token limit|exceed", re.IGNORECASE)
KEY_MISSING = re.compile(r"api.?key|credential|_KEY\b", re.IGNORECASE)
LONGEST_WAIT_SECONDS = 20.0
"""A provider that asks for a longer pause is not waited for."""


def fault_of(error: BaseException) -> Fault:
    """Say what went wrong."""
    for one in _chain(error):
        status = _status(one)
        if status is not None:
            if status in (400, 422) and TOO_LONG.search(str(one)):
                return "context"
            if status == 400 and KEY_MISSING.search(str(one)):
                return "key"  # as Google says it
            return STATUS.get(status, "broken" if status >= 500 else "refused")
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    known = next((fault for name, fault in NAMES.items() if name in names), None)
    if known:
        return known
    return "key" if any(KEY_MISSING.search(str(one)) for one in _chain(error)) else "broken"


def told(fault: Fault, model: str, error: BaseException | None = None) -> AssistantError:
    """Make the error that the user is shown; of the provider's own only the name of its type is kept."""
    row = FAULTS[fault]
    why = f" ({type(error).__name__})" if error else ""
    return row.error(row.message.format(model=model, provider=model.partition(":")[0]) + why)


def wanted_pause_seconds(error: BaseException) -> float:
    """Give how long the provider asks to wait, 0 where it does not say in seconds."""
    for one in _chain(error):
        headers = getattr(getattr(one, "response", None), "headers", None) or {}
        value = headers.get("retry-after", "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
    return 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error, what caused it, and so on."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for status in (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "code", None),  # of google-genai; in other packages it is a word
    ):
        if isinstance(status, int) and 400 <= status < 600:
            return status
    return None
