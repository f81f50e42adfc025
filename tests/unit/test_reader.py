import numpy as np
import pytest
import torch

from assistant.errors import ReaderUnavailable
from assistant.reader.fit import FitReader
from assistant.reader.model import WEIGHTS, TrainedReader, best_span, pack, read_sentences, stored_weights, unpack
from assistant.reader.network import Encoded
from index import TokenVectors
from tests.fakes import HashingEmbeddings, passage, word_spans

TEXT = "Il pleut à Paris. Le pain coûte « un euro » ici."


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


def logits_for(pair, first, last):
    """Logits that point at the tokens of these words."""
    logits = torch.zeros(pair.first + len(pair.spans) + 1, 2)
    for side, word in enumerate((first, last)):
        token = next(i for i, (a, b) in enumerate(pair.spans) if TEXT[a:b] == word)
        logits[pair.first + token, side] = 10.0
    return logits


def pair():
    return Encoded([0] * (3 + len(word_spans(TEXT)) + 1), 3, word_spans(TEXT))


def test_the_sentence_where_the_answer_begins_has_the_greatest_share_and_the_words_in_it():
    read = read_sentences(passage(TEXT), pair(), logits_for(pair(), "un", "euro"))

    assert [TEXT[slice(*sentence.span)] for sentence in read] == ["Il pleut à Paris.", "Le pain coûte « un euro » ici."]
    assert read[1].share > 0.99
    assert TEXT[slice(*read[1].answer)] == "un euro"
    assert abs(sum(sentence.share for sentence in read) - 1) < 1e-5


def test_a_yes_is_read_together_with_the_sentence_behind_it():
    text = "Il pleut. Oui. Le pain coûte un euro."
    whole = Encoded([0] * (3 + len(word_spans(text)) + 1), 3, word_spans(text))

    trained = read_sentences(passage(text), whole, torch.zeros(len(whole.ids), 2))
    [by_fit] = FitReader(WordEmbeddings()).read("Que coûte le pain ?", [passage(text)])

    for read in (trained, by_fit.sentences):
        assert [text[slice(*sentence.span)] for sentence in read] == ["Il pleut.", "Oui. Le pain coûte un euro."]


def test_the_words_that_answer_stay_within_their_sentence():
    read = read_sentences(passage(TEXT), pair(), logits_for(pair(), "Paris", "pain"))

    for sentence in read:
        assert sentence.span[0] <= sentence.answer[0] < sentence.answer[1] <= sentence.span[1]


def test_a_passage_that_was_cut_before_its_end_is_read_as_far_as_it_goes():
    cut = Encoded([0] * 7, 3, word_spans(TEXT)[:3])

    read = read_sentences(passage(TEXT), cut, torch.zeros(7, 2))

    assert [sentence.span for sentence in read] == [(0, 17)]
    assert read_sentences(passage(TEXT), Encoded([0] * 4, 3, []), torch.zeros(4, 2)) == []


def test_a_span_never_ends_before_it_begins():
    logits = np.zeros((4, 2))
    logits[3, 0] = logits[0, 1] = 5.0

    first, last = best_span(logits)

    assert first <= last


def test_packed_weights_take_a_quarter_of_the_room_and_are_nearly_the_same():
    chance = torch.Generator().manual_seed(0)
    weights = {
        "a.weight": torch.rand(384, 1536, generator=chance) - 0.5,
        "a.bias": torch.rand(384, generator=chance),
        "b.weight": torch.zeros(4, 8),
    }

    packed = pack(weights)
    restored = unpack(packed)

    assert sum(t.numel() * t.element_size() for t in packed.values()) < 0.26 * 4 * 384 * 1536
    assert restored.keys() == weights.keys()
    for name, weight in weights.items():
        assert restored[name].dtype == torch.float32
        # Half a step of 254 that part the range; the scale and the rest have eleven bits.
        torch.testing.assert_close(restored[name], weight, atol=0.5 / 254 + 0.001, rtol=0)


def test_without_training_the_sentence_nearest_to_the_question_has_the_greatest_share():
    found = passage("Le train part demain. Le pain coûte un euro.")

    near, far = FitReader(WordEmbeddings()).read("Que coûte le pain", [found, passage("Il pleut sur Berlin.")])

    assert near.answers > far.answers
    assert near.sentences[1].share > near.sentences[0].share
    assert [sentence.answer for sentence in near.sentences] == [None, None]


def test_the_probability_grows_with_the_logit_and_is_fitted_by_language():
    reader = TrainedReader(None)

    assert reader.probability(3.0, "fr") > reader.probability(1.0, "fr") > reader.probability(-1.0, "fr")
    # In French, of which it was taught more, it is surer than it is right; in English less so.
    assert reader.probability(0.0, "fr") < reader.probability(0.0, "xx") < reader.probability(0.0, "en")
    assert reader.probability(0.0, None) == reader.probability(0.0, "xx")


def test_nothing_to_read_is_no_answer():
    reader = FitReader(WordEmbeddings())

    assert reader.read("Combien ?", []) == []
    blank = reader.read("Combien ?", [passage(" \n ")])[0]
    assert blank.sentences == ()
    assert blank.answers < 0
    assert reader.read("…", [passage("Il pleut.")])[0].answers < 0


@pytest.mark.parametrize("content", [None, b"", WEIGHTS.read_bytes()[:1000]], ids=["gone", "empty", "cut"])
def test_damaged_weights_are_refused_with_what_to_do(content, tmp_path):
    file = tmp_path / "weights.safetensors"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ReaderUnavailable, match="Install sourcier again"):
        stored_weights(file)
