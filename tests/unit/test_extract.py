import pytest

from assistant import Confidence
from assistant.extract import chosen, extractor, ranked, rereader
from assistant.reader.reading import Reading, ReadSentence, sigmoid
from assistant.types import Task
from tests.fakes import passage

BREAD = passage("Le train part demain. Le pain coûte un euro.")
AGAIN = passage("Le pain coûte un euro. Il pleut sur Berlin.", start=22)
FIRST, SECOND = (0, 21), (22, 44)


def reading(answers, *shares, spans=(FIRST, SECOND), words=None):
    return Reading(answers, tuple(ReadSentence(span, share, words) for span, share in zip(spans, shares, strict=False)))


class ScriptedReader:
    """Reads a passage as it was told."""

    def __init__(self, by_text):
        self._by_text = by_text
        self.seen = []

    def read(self, question, passages):
        self.seen += [passage.text for passage in passages]
        return [self._by_text[passage.text] for passage in passages]

    def probability(self, answers, language):
        return probability(answers, language)


def task(passages, readings=None):
    asked = Task(question="Que coûte le pain ?", history=[], query="Que coûte le pain ?", passages=passages)
    return asked if readings is None else Task(**asked, readings=readings)


def probability(answers, language):
    return sigmoid(answers if language == "fr" else -answers)


def said(readings, passages=(BREAD,), caution=0.5):
    return list(extractor(probability, caution).stream(task(passages, readings)))


def test_the_passage_that_answers_comes_before_those_that_were_found_earlier():
    other = passage("Il pleut.", source="b")
    reader = ScriptedReader({BREAD.text: reading(2.0, 0.1, 0.9), other.text: reading(-3.0, 1.0, spans=((0, 9),))})

    read = rereader(reader, 0.5).invoke(task([other, BREAD]))

    assert read["passages"] == [BREAD, other]
    assert [one.answers for one in read["readings"]] == [2.0, -3.0]
    assert read["question"] == "Que coûte le pain ?"


@pytest.mark.parametrize(("answers", "caution", "seen"), [(2.0, 0.1, 4), (2.0, 0.95, 5), (-0.1, 0.1, 5)])
def test_it_reads_no_further_than_a_passage_that_surely_answers(answers, caution, seen):
    texts = ["Un.", "Deux.", "Trois.", "Quatre.", "Cinq."]
    reader = ScriptedReader({text: reading(answers if text == "Quatre." else -3.0, 1.0) for text in texts})

    read = rereader(reader, caution).invoke(task([passage(text, source=text) for text in texts]))

    assert reader.seen == texts[:seen]
    assert [one.text for one in read["passages"]] == ["Quatre.", "Un.", "Deux.", "Trois.", "Cinq."]
    assert len(read["readings"]) == seen


def test_passages_that_were_not_read_are_not_shown():
    unread = passage("Il vend aussi du vin.", source="b")

    assert [found.passage for found in chosen([BREAD, unread], [reading(3.0, 0.45, 0.55)])] == [0, 0]


def test_between_passages_that_answer_alike_the_one_found_first_stays_first():
    assert ranked([reading(1.0), reading(1.01), reading(0.99)]) == [0, 1, 2]


def test_the_sentence_that_answers_is_claimed_with_the_words_in_it():
    _, claim = said([reading(3.0, 0.05, 0.95, words=(36, 43))])

    assert claim.text == "Le pain coûte un euro."
    assert claim.text[slice(*claim.answer)] == "un euro"
    assert claim.passages == (1,)


def test_the_confidence_is_said_first_and_alone_where_nothing_answers():
    readings = [reading(-2.0, 0.5, 0.5)]

    assert said(readings) == [Confidence(sigmoid(-2.0))]
    assert said([], passages=()) == [Confidence(0.0)]


def test_the_less_caution_the_more_is_answered():
    readings = [reading(-1.0, 0.1, 0.9)]

    assert [len(said(readings, caution=caution)) for caution in (0.9, 0.5, 0.1)] == [1, 1, 2]


def test_further_sentences_are_shown_best_first_where_they_are_nearly_as_likely():
    assert [found.span for found in chosen([BREAD], [reading(3.0, 0.45, 0.55)])] == [SECOND, FIRST]
    assert [found.span for found in chosen([BREAD], [reading(3.0, 0.02, 0.98)])] == [SECOND]


def test_a_further_sentence_that_makes_the_answer_long_is_left_out():
    long = passage("Un. " + "mot " * 60 + "fin.")
    spans = ((0, 3), (4, len(long.text)))

    assert [found.span for found in chosen([long], [reading(3.0, 0.6, 0.4, spans=spans)])] == [(0, 3)]
    assert [found.span for found in chosen([long], [reading(3.0, 0.4, 0.6, spans=spans)])] == [spans[1]]


@pytest.mark.parametrize("source", ["source", "other"])
def test_a_sentence_that_two_passages_share_is_shown_once_as_the_first_ones(source):
    again = passage(AGAIN.text, start=22, source=source)
    readings = [reading(2.0, 0.1, 0.9), reading(2.5, 0.9, 0.1, spans=((0, 22), (23, 43)))]

    shown = [(found.passage, found.span) for found in chosen([BREAD, again], readings)]

    assert shown[0] == (0, SECOND)
    assert (1, (0, 22)) not in shown


def test_the_passage_that_answers_best_decides_the_confidence():
    assert said([], passages=()) == [Confidence(0.0)]
    assert said([reading(-5.0), reading(3.0, 0.1, 0.9), reading(1.0)], [BREAD] * 3)[0] == Confidence(sigmoid(3.0))
