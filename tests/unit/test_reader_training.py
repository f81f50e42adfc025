import copy

import pytest
import torch
from transformers import BertConfig, BertModel

from assistant.reader.network import FROZEN_LAYERS, PairTokenizer, ReadingNetwork, share_encoder
from assistant.reader.pairs import read_folder
from assistant.reader.train import LEARNING_RATE, Run, averaged, make_batches, pairs_to_measure, train
from index import SentenceTransformerEmbeddings
from index.models import PACKAGED
from tests.unit.test_reader_pairs import folder as folder  # noqa: PLC0414 - the fixture

LAYERS = FROZEN_LAYERS + 1


@pytest.fixture(scope="module")
def tokenizer():
    return PairTokenizer(SentenceTransformerEmbeddings(PACKAGED).tokenizer)


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=250_037, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32
    )
    return ReadingNetwork(BertModel(config, add_pooling_layer=False))


def run(folder, checkpoint=None, seed=0):
    questions = read_folder(folder)
    batches = list(make_batches({"set": (questions, 8.0)}, seed))
    return Run(batches, {"set": pairs_to_measure(questions)}, LEARNING_RATE, checkpoint)


def test_a_pair_is_the_question_then_title_and_text_whose_tokens_stand_where_they_say(tokenizer):
    pair = tokenizer.encode("Que coûte le pain ?", "Prix", "Le pain coûte un euro.")

    assert len(pair.ids) == pair.first + len(pair.spans) + 1
    assert "".join("Le pain coûte un euro."[a:b] for a, b in pair.spans).replace(" ", "") == "Lepaincoûteuneuro."
    first, last = pair.tokens((14, 21))
    assert (
        "Le pain coûte un euro."[pair.spans[first - pair.first][0] : pair.spans[last - pair.first][1]].strip()
        == "un euro"
    )


def test_what_does_not_fit_is_cut_and_not_found(tokenizer):
    pair = tokenizer.encode("mot " * 500, "", "pain " * 1000)

    assert len(pair.ids) <= 512
    assert pair.tokens((4995, 4999)) is None


def test_word_vectors_and_lower_layers_stay_and_are_not_shipped(network, tokenizer, folder):
    before = copy.deepcopy(network.state_dict())

    train(network, tokenizer, run(folder))

    changed = {name for name, weight in network.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed
    assert changed <= network.trained().keys()
    assert not any(name.startswith(("encoder.embeddings", "encoder.encoder.layer.0.")) for name in network.trained())


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(network, tokenizer, folder, tmp_path):
    again = copy.deepcopy(network)
    train(network, tokenizer, run(folder, tmp_path / "checkpoint"))

    train(again, tokenizer, run(folder, tmp_path / "checkpoint"))

    for name, weight in network.trained().items():
        torch.testing.assert_close(again.trained()[name], weight)


def test_another_seed_reads_the_questions_with_other_passages(folder):
    assert run(folder).batches == run(folder).batches
    assert run(folder, seed=1).batches != run(folder).batches
    assert run(folder, seed=1).held_back == run(folder).held_back


def test_a_run_that_goes_on_from_another_writes_the_mean_of_both_ends():
    mean = averaged({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([5.0])}, {"a": torch.tensor([3.0, 3.0])})

    assert {name: weight.tolist() for name, weight in mean.items()} == {"a": [2.0, 3.0], "b": [5.0]}


def test_an_encoder_that_is_shared_has_layers_of_its_own_above_the_frozen_ones(network):
    own = share_encoder(network.encoder)

    assert own.embeddings is network.encoder.embeddings
    assert own.encoder.layer[0] is network.encoder.encoder.layer[0]
    with torch.no_grad():
        next(own.encoder.layer[FROZEN_LAYERS].parameters()).zero_()
    assert next(network.encoder.encoder.layer[FROZEN_LAYERS].parameters()).abs().sum() > 0


def test_padding_does_not_change_what_is_read(network, tokenizer):
    network.eval()
    short, long = tokenizer.encode("Qui ?", "", "Lui."), tokenizer.encode("Qui ?", "Titre", "Elle, et lui, et nous.")

    with torch.no_grad():
        alone, _ = network(*tokenizer.pad([short]))
        _, together = network(*tokenizer.pad([short, long]))
        _, one = network(*tokenizer.pad([short]))

    assert alone.shape == (1, len(short.ids), 2)
    torch.testing.assert_close(together[:1], one, atol=1e-5, rtol=1e-4)
