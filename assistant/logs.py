"""What is logged: lines of text or of JSON on standard error, each with the id of the request it belongs to.

What others wrote can neither begin a line nor move a cursor: characters that cannot be printed are escaped. What
people ask is logged only where the owner wants it.
"""

import json
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

Shape = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is answered in this context; empty elsewhere."""

questions = logging.getLogger("assistant.questions")
# Not even where a program that uses this as a library logs everything.
questions.setLevel(logging.WARNING)


def configure(shape: Shape, with_questions: bool) -> None:
    """Log what this program does, and the warnings of its libraries, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[shape]())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in ("assistant", "index"):
        logging.getLogger(name).setLevel(logging.INFO)
    questions.setLevel(logging.INFO if with_questions else logging.WARNING)


class TextFormatter(logging.Formatter):
    """Write time, level, logger, request and message in one line; a traceback below it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        head = f"{_time(record)} {record.levelname} {record.name} [{_request(record) or '-'}] {record.getMessage()}"
        return "\n    ".join(map(_escaped, [head, *_details(self, record)]))


class JsonFormatter(logging.Formatter):
    """Write one JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "request": _request(record),
            "message": record.getMessage(),
        }
        details = [*_details(self, record)]
        return json.dumps(fields | ({"details": details} if details else {})).replace("\x7f", "\\u007f")


FORMATTERS: dict[Shape, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _request(record: logging.LogRecord) -> str:
    """Give the request that a record names, else the one of its context."""
    return getattr(record, "request", None) or request_id.get()


def _details(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[str]:
    """Give the lines of the traceback."""
    if record.exc_info:
        yield from formatter.formatException(record.exc_info).splitlines()
    if record.stack_info:
        yield from record.stack_info.splitlines()


def _escaped(text: str) -> str:
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
