from collections.abc import Callable
from contextlib import closing
from time import monotonic

import pytest
from sqlalchemy import URL, text

from assistant.errors import TooManyQuestions
from assistant.web.limits import InMemory, Limits, Windows
from assistant.web.shared import Shared
from assistant.web.texts import ENGLISH, FRENCH
from index.database import database_at


@pytest.fixture(params=["memory", "database"])
def limited(request: pytest.FixtureRequest) -> Callable[..., Limits]:
    """Make limits that are counted in memory, or in PostgreSQL."""
    memory = request.param == "memory"
    windows: Windows = InMemory() if memory else Shared(request.getfixturevalue("database"))
    return lambda **most: Limits(**most, windows=windows)


def counts(limits: Limits, times: int, **who: str) -> None:
    for _ in range(times):
        limits.count(**who)


def test_a_visitor_reaches_their_limit_and_nobody_elses(limited: Callable[..., Limits]) -> None:
    limits = limited(visitor="2/minute")
    counts(limits, 2, subject="a", address="192.0.2.1")

    with pytest.raises(TooManyQuestions) as refused:
        limits.count(subject="a", address="192.0.2.1")

    assert 1 <= refused.value.retry_seconds <= 60
    limits.count(subject="b", address="192.0.2.1")


def test_new_tokens_do_not_help_an_address(limited: Callable[..., Limits]) -> None:
    limits = limited(address="3/minute")
    for subject in "abc":
        limits.count(subject=subject, address="192.0.2.1")

    with pytest.raises(TooManyQuestions):
        limits.count(subject="d", address="192.0.2.1")
    limits.count(subject="d", address="192.0.2.2")


def test_one_line_has_many_addresses_of_ipv6(limited: Callable[..., Limits]) -> None:
    limits = limited(address="1/minute")
    limits.count(address="2001:db8:1:2::1")
    limits.count(address="::ffff:192.0.2.1")

    for same in ("2001:db8:1:2:ffff::9", "192.0.2.1"):
        with pytest.raises(TooManyQuestions):
            limits.count(address=same)
    limits.count(address="2001:db8:1:3::1")


@pytest.mark.parametrize("named", ["unknown", "_hidden", "1.2.3.4:555", "[::1]:9"])
def test_what_a_proxy_names_and_is_no_address_is_counted_all_the_same(
    limited: Callable[..., Limits], named: str
) -> None:
    limits = limited(address="1/minute")
    limits.count(address=named)

    with pytest.raises(TooManyQuestions):
        limits.count(address="unknown")


def test_all_together_reach_the_limit_of_the_service(limited: Callable[..., Limits]) -> None:
    limits = limited(service="2/day")
    limits.count(subject="a", address="192.0.2.1")
    limits.count()

    with pytest.raises(TooManyQuestions):
        limits.count(subject="b", address="192.0.2.2")


def test_a_refused_question_counts_nowhere(limited: Callable[..., Limits]) -> None:
    limits = limited(visitor="1/minute", address="2/minute")
    limits.count(subject="a", address="192.0.2.1")
    for _ in range(5):
        with pytest.raises(TooManyQuestions):
            limits.count(subject="a", address="192.0.2.1")

    limits.count(subject="b", address="192.0.2.1")


def test_a_window_moves(limited: Callable[..., Limits]) -> None:
    limits = limited(visitor="2/second")
    counts(limits, 2, subject="a")
    with pytest.raises(TooManyQuestions) as refused:
        limits.count(subject="a")
    assert refused.value.retry_seconds == 1

    deadline = monotonic() + 30
    while True:
        try:
            limits.count(subject="a")
            break
        except TooManyQuestions:
            assert monotonic() < deadline


def test_what_servers_of_one_database_count_adds_up_and_names_nobody(database: URL) -> None:
    one, other = (Limits(visitor="3/day", windows=Shared(database)) for _ in range(2))
    counts(one, 2, subject="user:ada", address="192.0.2.1")
    other.count(subject="user:ada", address="192.0.2.2")

    for limits in (one, other):
        with pytest.raises(TooManyQuestions) as refused:
            limits.count(subject="user:ada", address="192.0.2.1")
        assert 23 * 3600 < refused.value.retry_seconds <= 24 * 3600
    with closing(database_at(database)) as opened, opened.reading() as connection:
        names = {row.name for row in connection.execute(text("SELECT name FROM questions"))}
    assert len(names) == 4
    assert not any("ada" in name or "192.0" in name for name in names)


@pytest.mark.parametrize(
    ("seconds", "french", "english"),
    [
        (1, "1 secondes", "1 seconds"),
        (40, "40 secondes", "40 seconds"),
        (100, "2 minutes", "2 minutes"),
        (7000, "2 heures", "2 hours"),
    ],
)
def test_the_text_says_how_long_to_wait(seconds: int, french: str, english: str) -> None:
    error = TooManyQuestions(seconds)

    assert FRENCH.error(error) == f"Vous avez posé beaucoup de questions. Revenez dans {french}."
    assert ENGLISH.error(error) == f"You have asked many questions. Come back in {english}."


def test_what_is_over_is_forgotten() -> None:
    time = 0.0
    windows = InMemory(clock=lambda: time)
    limits = Limits(visitor="2/minute", address="2/minute", service="2/minute", windows=windows)
    counts(limits, 2, subject="a", address="192.0.2.1")
    with pytest.raises(TooManyQuestions) as refused:
        limits.count()
    assert refused.value.retry_seconds == 60

    time = 61.0
    limits.count(subject="b")

    assert {name for _, name in windows._asked} == {"service", "visitor b"}
