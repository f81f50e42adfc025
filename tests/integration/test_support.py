import pytest

from assistant.support import SupportCheck
from tests.evaluation.support import judged, precision, read_pairs, recall
from tests.fakes import passage

PAIRS = read_pairs()
BUDGET = passage("Le budget de la ville a été réduit de 10 milliards.", title="Budget")


def test_the_pairs_are_many_in_two_languages_and_in_halves_that_share_no_passage():
    halves = [{pair.passage.text for pair in PAIRS if pair.half == half} for half in ("tuned", "held back")]

    assert len({(pair.sentence, pair.passage.text) for pair in PAIRS}) == len(PAIRS) >= 200
    assert halves[0].isdisjoint(halves[1])
    for language in ("fr", "en"):
        assert sum(pair.language == language for pair in PAIRS) >= 100
    assert 0.4 <= sum(pair.supported for pair in PAIRS) / len(PAIRS) <= 0.6


def test_of_the_pairs_held_back_most_are_judged_right(embeddings):
    some = [pair for pair in PAIRS if pair.half == "held back"][::3]
    found = list(judged(some, SupportCheck(embeddings)))

    # docs/quality.md has what all of them give; this is the least that a change must keep.
    assert precision(found) >= 0.75
    assert recall(found) >= 0.7
    numbers = [one for one in found if one.pair.kind == "number"]
    assert sum(one.accepted for one in numbers) <= 0.1 * len(numbers)


@pytest.mark.parametrize(
    ("sentence", "doubt"),
    [
        ("Le budget de la ville a été réduit de 10 milliards.", None),
        ("La ville a diminué son budget de dix milliards.", None),
        ("Le budget de la ville a augmenté de 50 milliards.", "number"),
        ("Le budget de la ville a augmenté de 10 milliards.", "direction"),
        ("Le budget de la ville n'a pas été réduit de 10 milliards.", "negation"),
        ("Le budget de la ville de Nice a été réduit de 10 milliards.", "name"),
        ("Le concert de jazz attire des touristes japonais.", "meaning"),
    ],
)
def test_what_stands_in_the_way_of_support_is_named(embeddings, sentence, doubt):
    assert SupportCheck(embeddings).check(sentence, "fr", BUDGET).doubt == doubt
