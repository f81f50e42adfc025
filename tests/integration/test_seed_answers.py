"""The questions about the seed document, asked as a user asks them. The floors are a little under docs/quality.md."""

from pathlib import Path

import pytest

from tests.evaluation.measure import measure, summary

RIGHT = 0.8
DECLINED = 0.7


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return summary(list(measure(Path("seeds"), tmp_path_factory.mktemp("cache"), limit=1000)))


def test_most_questions_that_the_article_answers_are_answered_with_the_sentence_that_holds_the_answer(figures):
    assert figures["answerable"] == 38
    assert figures["right"] >= RIGHT


def test_most_questions_that_the_article_does_not_answer_are_declined(figures):
    assert figures["unanswerable"] == 24
    assert figures["declined"] >= DECLINED
