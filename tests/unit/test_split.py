import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.documents import Document
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from tokenizers.trainers import BpeTrainer, UnigramTrainer

from index.sentences import sentences
from index.split import HEADING_CHARACTERS, SentenceSplitter, TokenSpans, searched_text
from tests.fakes import word_spans

SEED = (Path(__file__).parents[2] / "seeds" / "000_04761f5e471519e2.txt").read_text(encoding="utf-8")
# fmt: off
PIECES = [
    "Il part. ", "M. Trump a dit : « Oui. Non. » ", "mot ", "un, deux; trois ", "\u00a0", "\u202f",
    "e\u0301", "\n", "\r\n", "\n\n", "👩\u200d👧\u200d👦", "🇫🇷", "他来了真的吗", "。", "\u200f", "\x01",
    "x" * 30, "...", "!", " ", "\u0301", "ﬁ…½", "\ufeff",
]
# fmt: on
NASTY = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=60)


@cache
def unigram() -> Tokenizer:
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.train_from_iterator([SEED], UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"]))
    return tokenizer


@cache
def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    alphabet = ByteLevel.alphabet()
    tokenizer.train_from_iterator([SEED], BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def unigram_spans(text: str) -> list[tuple[int, int]]:
    return list(unigram().encode(text, add_special_tokens=False).offsets)


def byte_level_spans(text: str) -> list[tuple[int, int]]:
    return list(byte_level().encode(text, add_special_tokens=False).offsets)


TOKENIZERS = pytest.mark.parametrize("token_spans", [word_spans, unigram_spans, byte_level_spans])


@TOKENIZERS
@given(text=NASTY, chunk_tokens=st.integers(8, 40), overlap_tokens=st.integers(0, 8))
@example(text="Encore. " * 200, chunk_tokens=10, overlap_tokens=4)
@example(text="e\u0301" * 300, chunk_tokens=9, overlap_tokens=0)
@example(text="\x01 " * 100, chunk_tokens=8, overlap_tokens=8)
def test_chunks_cover_the_text_in_order_and_keep_to_the_limits(
    token_spans: TokenSpans, text: str, chunk_tokens: int, overlap_tokens: int
) -> None:
    spans = SentenceSplitter(token_spans, chunk_tokens, overlap_tokens).split_spans(text, "fr")

    covered = 0
    for start, end in spans:
        assert not text[covered:start].strip()
        assert len(token_spans(text[start:end])) <= chunk_tokens
        covered = end
    assert not text[covered:].strip()
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start
        assert end < next_end
        assert len(token_spans(text[next_start:end])) <= overlap_tokens


def test_a_chunk_stands_where_its_start_index_says_though_the_text_repeats_itself() -> None:
    text = "Il part. Il part. Elle reste.\r\n" * 100
    documents = SentenceSplitter(word_spans, 12, 6).create_documents([text])

    starts = [document.metadata["start_index"] for document in documents]
    assert all(
        text[start : start + len(document.page_content)] == document.page_content
        for start, document in zip(starts, documents, strict=True)
    )
    assert starts == sorted(set(starts))
    assert starts[-1] > len(text) - 100


def test_documents_keep_their_metadata_and_their_language_parts_the_sentences() -> None:
    document = Document("Mme. Roy part. Elle rit.", metadata={"title": "T", "language": "fr"})

    chunks = SentenceSplitter(word_spans, 5, 0).split_documents([document, document])

    assert [chunk.page_content for chunk in chunks] == ["Mme. Roy part.", "Elle rit."] * 2
    assert [chunk.metadata["start_index"] for chunk in chunks] == [0, 15, 0, 15]
    assert all(chunk.metadata["title"] == "T" for chunk in chunks)
    assert document.metadata == {"title": "T", "language": "fr"}


def test_chunks_are_whole_sentences() -> None:
    starts = {start for start, _ in sentences(SEED, "fr")}
    ends = {end for _, end in sentences(SEED, "fr")}

    spans = SentenceSplitter(word_spans, 100, 30).split_spans(SEED, "fr")

    assert {start for start, _ in spans} <= starts
    assert {end for _, end in spans} <= ends


def test_a_chunk_begins_at_a_paragraph_when_the_one_before_is_well_filled() -> None:
    text = "Un deux trois. Un deux trois.\nQuatre cinq six. Sept huit neuf."

    assert SentenceSplitter(word_spans, 13, 4).split_text(text) == text.split("\n")


def test_a_chunk_that_is_hardly_filled_goes_on_over_a_paragraph() -> None:
    text = "Un titre\nUn deux trois. Quatre cinq six. Sept huit neuf. Dix onze douze."

    assert SentenceSplitter(word_spans, 12, 0).split_text(text)[0] == "Un titre\nUn deux trois. Quatre cinq six."


def test_a_chunk_repeats_the_last_sentences_of_the_one_before() -> None:
    text = "Un deux trois. Quatre cinq six. Sept huit neuf. Dix onze douze. Encore un peu."

    first, second, *_ = SentenceSplitter(word_spans, 12, 4).split_text(text)

    assert first.endswith("Sept huit neuf.")
    assert second.startswith("Sept huit neuf.")


def test_what_is_repeated_is_counted_with_the_space_in_it() -> None:
    text = ("Un." + " " * 12) * 40
    spans = SentenceSplitter(byte_level_spans, 60, 12).split_spans(text, "fr")

    assert all(len(byte_level_spans(text[start:end])) <= 12 for (_, end), (start, _) in pairwise(spans))
    assert len(spans) > 5


def test_a_short_tail_joins_the_chunk_before_when_it_fits() -> None:
    text = "Un deux trois. Quatre cinq six. Sept huit neuf.\nFin."

    assert SentenceSplitter(word_spans, 14, 0).split_text(text) == [text]


def test_a_short_tail_that_does_not_fit_takes_sentences_from_the_chunk_before() -> None:
    text = "Un deux trois. " * 5 + "Fin."

    chunks = SentenceSplitter(word_spans, 20, 0).split_text(text)

    assert [len(word_spans(chunk)) for chunk in chunks] == [16, 6]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("un deux trois quatre cinq six, sept huit neuf dix onze", "un deux trois quatre cinq six,"),
        ("un deux trois quatre cinq six sept huit neuf dix onze", "un deux trois quatre cinq six sept huit"),
    ],
    ids=["clause mark", "white space"],
)
def test_a_sentence_longer_than_a_chunk_is_cut_where_it_hurts_least(text: str, first: str) -> None:
    assert SentenceSplitter(word_spans, 8, 0).split_text(text)[0] == first


def test_a_long_word_is_cut_between_tokens_and_never_inside_a_character() -> None:
    family = "👩\u200d👧\u200d👦"

    chunks = SentenceSplitter(word_spans, 8, 0).split_text(family * 40)

    assert len(chunks) > 1
    assert all(set(re.split(f"({family})", chunk)) == {"", family} for chunk in chunks)


def test_a_token_without_end_is_not_a_chunk_without_end() -> None:
    chunks = SentenceSplitter(word_spans, 10, 0).split_text("x" * 10_000)

    assert max(map(len, chunks)) <= 640


@pytest.mark.timeout(60)
@TOKENIZERS
@pytest.mark.parametrize("part", ["mot ", "x", "。", "Il part. ", "e\u0301", "\x01\n", "\u200b"])
def test_a_text_of_100_000_characters_does_not_hang(token_spans: TokenSpans, part: str) -> None:
    text = part * (100_000 // len(part))

    spans = SentenceSplitter(token_spans, 200, 40).split_spans(text, "fr")

    assert spans[-1][1] == len(text.rstrip())


@pytest.mark.parametrize("text", ["", " \n\u00a0"])
def test_white_space_gives_no_chunk(text: str) -> None:
    assert SentenceSplitter(word_spans, 10, 0).create_documents([text]) == []


def test_an_overlap_above_the_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        SentenceSplitter(word_spans, 10, 11)


def test_a_chunk_is_searched_under_its_title_and_headings_which_are_cut_where_they_are_long() -> None:
    assert searched_text("rapport_annuel", None, "Le texte.") == "rapport annuel\n\nLe texte."
    assert searched_text("Rapport", "Chapitre 2", "Le_texte.") == "Rapport › Chapitre 2\n\nLe_texte."
    assert len(searched_text("x" * 9999, "y" * 9999, "z")) == HEADING_CHARACTERS + 3
