import pytest

from assistant import Message
from assistant.condense import standalone_query

HISTORY = [
    Message(role="user", content="Que demande la Russie à l'Ukraine ?"),
    Message(role="assistant", content="Sa neutralité. [1]"),
]


@pytest.mark.parametrize("question", ["Et pourquoi ?", "What about Kiev?", "¿Y por qué?", "Und warum?"])
def test_a_question_that_says_too_little_is_searched_with_the_one_before(question):
    assert standalone_query(question, HISTORY) == f"Que demande la Russie à l'Ukraine ? {question}"


def test_a_question_that_stands_alone_is_searched_as_it_is():
    question = "Combien de temps a duré l'entretien téléphonique ?"

    assert standalone_query(question, HISTORY) == question


def test_without_history_a_question_is_searched_as_it_is():
    assert standalone_query("Et pourquoi ?") == "Et pourquoi ?"
