import pytest

from assistant.errors import TooManyQuestions
from assistant.web.limits import Limits
from assistant.web.texts import ENGLISH, FRENCH


def counts(limits: Limits, times: int, **who: str) -> None:
    for _ in range(times):
        limits.count(**who)


def test_a_visitor_reaches_their_limit_and_nobody_elses() -> None:
    limits = Limits(visitor="2/minute")
    counts(limits, 2, subject="a", address="192.0.2.1")

    with pytest.raises(TooManyQuestions) as refused:
        limits.count(subject="a", address="192.0.2.1")

    assert 1 <= refused.value.retry_seconds <= 60
    limits.count(subject="b", address="192.0.2.1")


def test_new_tokens_do_not_help_an_address() -> None:
    limits = Limits(address="3/minute")
    for subject in "abc":
        limits.count(subject=subject, address="192.0.2.1")

    with pytest.raises(TooManyQuestions):
        limits.count(subject="d", address="192.0.2.1")
    limits.count(subject="d", address="192.0.2.2")


def test_one_line_has_many_addresses_of_ipv6() -> None:
    limits = Limits(address="1/minute")
    limits.count(address="2001:db8:1:2::1")
    limits.count(address="::ffff:192.0.2.1")

    for same in ("2001:db8:1:2:ffff::9", "192.0.2.1"):
        with pytest.raises(TooManyQuestions):
            limits.count(address=same)
    limits.count(address="2001:db8:1:3::1")


def test_all_together_reach_the_limit_of_the_service() -> None:
    limits = Limits(service="2/day")
    limits.count(subject="a", address="192.0.2.1")
    limits.count()

    with pytest.raises(TooManyQuestions):
        limits.count(subject="b", address="192.0.2.2")


def test_a_refused_question_counts_nowhere() -> None:
    limits = Limits(visitor="1/minute", address="2/minute")
    limits.count(subject="a", address="192.0.2.1")
    for _ in range(5):
        with pytest.raises(TooManyQuestions):
            limits.count(subject="a", address="192.0.2.1")

    limits.count(subject="b", address="192.0.2.1")


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
