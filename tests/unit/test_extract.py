import numpy as np
import pytest

from assistant import Confidence
from assistant.extract import Reader, against_none, best_fitting, extractor
from assistant.types import Task
from index import TokenVectors
from tests.fakes import HashingEmbeddings, passage, word_spans


class WordEmbeddings:
    """A vector for each word: equal words are one, others are unrelated."""

    def __init__(self):
        self._words = HashingEmbeddings(384)

    def embed_query_tokens(self, text):
        return self.embed_document_tokens([text])[0]

    def embed_document_tokens(self, texts):
        return [self._tokens(text) for text in texts]

    def _tokens(self, text):
        spans = [(start, end) for start, end in word_spans(text) if text[start].isalnum()]
        words = self._words.embed_documents([text[start:end] for start, end in spans])
        return TokenVectors(np.array(words, np.float32).reshape(len(spans), 384), spans)


EMBEDDINGS = WordEmbeddings()
READER = Reader(EMBEDDINGS)
PASSAGES = [
    passage("Le train part demain. Le pain coûte un euro."),
    passage("Le pain coûte un euro. Il pleut sur Berlin.", start=22),
]


def fitting(question, passages=PASSAGES):
    return best_fitting(EMBEDDINGS.embed_query_tokens(question), passages, EMBEDDINGS)


def test_the_sentence_that_shares_most_words_with_the_question_fits_best():
    assert fitting("Que coûte le pain")[0].text == "Le pain coûte un euro."


def test_a_sentence_that_two_passages_share_is_read_once_as_the_first_ones():
    found = [sentence for sentence in fitting("Que coûte le pain") if sentence.text == "Le pain coûte un euro."]

    assert [sentence.passage for sentence in found] == [1]


def test_a_sentence_that_two_papers_print_is_read_once_as_the_better_ones():
    passages = [
        passage("Le pain, dit-on : « un euro ».", source="a"),
        passage("Le pain, dit-on : “un euro”.", source="b"),
    ]

    assert [sentence.passage for sentence in fitting("Le pain", passages)] == [1]


def test_every_sentence_stands_in_its_passage_at_its_place():
    for sentence in fitting("Berlin"):
        number, start = sentence.place
        assert PASSAGES[number].text[start:].startswith(sentence.text)


@pytest.mark.parametrize("passages", [[], [passage(" \n ")]])
def test_nothing_to_read_is_no_answer(passages):
    reading = READER.read("Combien ?", passages)

    assert not reading.answers
    assert reading.sentences == ()


def test_a_question_without_a_token_is_no_answer():
    assert not READER.read("…", PASSAGES).answers


def test_one_to_three_sentences_come_in_the_order_of_reading():
    reading = READER.read("Que coûte le pain à Berlin demain", PASSAGES)

    places = [sentence.place for sentence in reading.sentences]
    assert 1 <= len(places) <= 3
    assert places == sorted(places)


def test_the_confidence_is_said_first_also_where_nothing_answers():
    for passages in ([], PASSAGES):
        task = Task(question="Que coûte le pain", history=[], query="Que coûte le pain", passages=passages)
        confidence, *claims = extractor(EMBEDDINGS).stream(task)

        assert confidence == Confidence(READER.read("Que coûte le pain", passages).confidence)
        assert len(claims) <= 3


def test_probabilities_stand_beside_none_of_them_whose_logit_is_zero():
    probabilities, confidence = against_none(np.log([2.0, 1.0]))

    np.testing.assert_allclose(probabilities, [0.5, 0.25])
    assert confidence == pytest.approx(0.75)


def test_large_logits_do_not_overflow():
    probabilities, confidence = against_none(np.array([1000.0, -1000.0]))

    np.testing.assert_allclose(probabilities, [1.0, 0.0])
    assert confidence == 1.0


def test_a_language_without_everyday_sentences_of_its_own_is_compared_with_all():
    asked = EMBEDDINGS.embed_query_tokens("Le prix du pain")

    in_french, in_polish, in_english = (READER.usual(asked, language) for language in ("fr", "pl", "en"))

    assert in_french.shape == (4,)
    assert in_french[3] > in_english[3]
    assert in_english[3] < in_polish[3] < in_french[3]
