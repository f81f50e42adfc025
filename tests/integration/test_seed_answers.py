"""The questions about the seed document, asked as a user asks them. The floors are a little under docs/quality.md."""

from pathlib import Path

import pytest

from assistant import AssistantSettings
from assistant.evaluation.ask import ask_all
from assistant.evaluation.data import Selection, read_data_set
from assistant.evaluation.report import Report, report

ALL = Selection()
QUESTIONS = Path("tests/evaluation/seed_questions.jsonl")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Report:
    data = read_data_set(Path("seeds"), ALL, QUESTIONS)
    settings = AssistantSettings()
    asking = ask_all(data, tmp_path_factory.mktemp("cache"), settings, lambda *_: None)
    return report(data, ALL, settings, asking)


def figure(found, section, name):
    return found.figures["all"][section][name].value


def test_all_questions_are_asked_in_four_languages(found):
    assert found.questions["all"] == {"searched": 62, "with_answer": 38, "without_answer": 24}
    assert found.figures.keys() == {"all", "de→fr", "en→fr", "es→fr", "fr→fr"}


def test_most_questions_that_the_article_answers_are_answered_with_the_sentence_that_holds_the_answer(found):
    assert figure(found, "citations", "recall") >= 0.7


def test_most_questions_that_the_article_does_not_answer_are_declined(found):
    assert figure(found, "refusal", "recall") >= 0.7


def test_every_quote_stands_in_the_document(found):
    assert figure(found, "citations", "verbatim") == 1


def test_confidence_tells_what_can_be_answered(found):
    assert figure(found, "refusal", "auroc") >= 0.8
