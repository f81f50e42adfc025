import json
import logging
from collections.abc import Iterator

import pytest

from assistant.logs import JsonFormatter, TextFormatter, configure, request_id

HOSTILE = "a\nINFO forged\r\x1b[2Jb\x7f\u202ec\u2028d"
ESCAPED = "a\\nINFO forged\\r\\x1b[2Jb\\x7f\\u202ec\\u2028d"


def record(message: str, error: Exception | None = None, **fields: str) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("assistant.web", logging.WARNING, __file__, 1, "%s", (message,), trace)
    made.created = 0.0
    vars(made).update(fields)
    return made


def test_a_line_of_text_cannot_be_forged() -> None:
    lines = TextFormatter().format(record(HOSTILE, ValueError(HOSTILE))).split("\n")

    assert lines[0] == f"1970-01-01T00:00:00.000+00:00 WARNING assistant.web [-] {ESCAPED}"
    assert lines[1:]
    for line in lines:
        assert line.isprintable()
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_line_of_json_cannot_be_forged() -> None:
    line = JsonFormatter().format(record(HOSTILE, ValueError(HOSTILE)))

    assert line.isascii()
    assert line.isprintable()
    written = json.loads(line)
    assert written["message"] == HOSTILE
    assert (written["level"], written["logger"], written["request"]) == ("WARNING", "assistant.web", "")
    assert written["details"]


def test_a_line_names_the_request_of_its_context_or_its_own() -> None:
    before = request_id.set("of-context")
    try:
        assert "[of-context]" in TextFormatter().format(record("a"))
        assert json.loads(JsonFormatter().format(record("a", request="its-own")))["request"] == "its-own"
    finally:
        request_id.reset(before)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root, names = logging.getLogger(), ("assistant", "index", "assistant.questions", "")
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in names]
    yield
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("logging_as_before")
def test_what_is_asked_is_logged_only_where_the_owner_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    asked, other = logging.getLogger("assistant.questions"), logging.getLogger("assistant.answer")
    for with_questions in (False, True):
        configure("json", with_questions)
        asked.info("Asked: %s", "Combien ?")
        other.info("Answered")

    messages = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert messages == ["Answered", "Asked: Combien ?", "Answered"]


@pytest.mark.usefixtures("logging_as_before")
def test_a_program_that_logs_everything_logs_no_question() -> None:
    logging.basicConfig(level=logging.DEBUG, force=True)

    assert not logging.getLogger("assistant.questions").isEnabledFor(logging.INFO)
