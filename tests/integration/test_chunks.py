"""The splitter with the tokens of the real model."""

from pathlib import Path

import pytest

from index import SentenceSplitter

SEED = next(Path("seeds").glob("*.txt")).read_text("utf-8")
NASTY = {
    "the seed article": SEED,
    "repeats": "Il pleut. " * 400,
    "no-break spaces": "«\u00a0L'été\u202f»\u00a0: 1\u202f000\u00a0€. " * 80,
    "combining marks": "e\u0301te\u0301 a\u0300 " * 300,
    "emoji": "👩‍👩‍👧 🇫🇷 👍🏽 fin. " * 150,
    "CRLF": "Une ligne.\r\nUne autre, plus longue.\r\n\r\n" * 100,
    "Chinese": "春天来了花开了鸟儿在歌唱。" * 150,
    "one long line": "mot" * 33_333,
}


@pytest.mark.parametrize("name", NASTY)
def test_chunks_stand_where_they_say_and_are_never_longer_than_the_model_reads(embeddings, name):
    text = NASTY[name]
    splitter = SentenceSplitter(embeddings.token_spans, 200, 40)

    documents = splitter.create_documents([text], [{"language": "fr"}])

    covered = 0
    for document in documents:
        start, chunk = document.metadata["start_index"], document.page_content
        assert text[start : start + len(chunk)] == chunk
        assert len(embeddings.token_spans(chunk)) <= 200
        assert not text[covered:start].strip()
        covered = start + len(chunk)
    assert not text[covered:].strip()
