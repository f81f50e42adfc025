"""Somebody sets the clock of the computer while a server runs."""

import time
from pathlib import Path

import pytest

from assistant.clock import now
from assistant.errors import TooManyQuestions
from assistant.web.conversations import Conversations
from assistant.web.limits import Limits
from assistant.web.tokens import Tokens, Visitor
from tests.unit.test_conversations import MINE, asked

DAY = 24 * 3600


@pytest.fixture(params=[400 * DAY, -400 * DAY], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Set the clock of the computer to another year."""
    real = time.time
    return lambda: monkeypatch.setattr(time, "time", lambda: real() + request.param)


def test_the_time_goes_on_as_if_nobody_had_set_the_clock(jump) -> None:
    before = now()
    assert abs(before - time.time()) < DAY

    jump()

    assert 0 <= now() - before < DAY


def test_conversations_are_neither_forgotten_nor_kept_for_longer(jump, tmp_path: Path) -> None:
    conversations = Conversations(tmp_path / "chats.sqlite", days=30)
    asked(conversations)

    jump()
    asked(conversations, "Encore ?", id="d" * 32)

    assert [row["title"] for row in conversations.listed(MINE)] == ["Encore ?", "Combien ?"]


def test_nobody_is_shut_out_and_nobody_asks_more(jump) -> None:
    limits, tokens = Limits(visitor="2/day"), Tokens()
    token = tokens.sign(Visitor("a", "https://example.org"))
    limits.count(subject="a")

    jump()

    assert tokens.read(token).subject == "a"
    limits.count(subject="a")
    with pytest.raises(TooManyQuestions) as refused:
        limits.count(subject="a")
    assert refused.value.retry_seconds <= DAY
