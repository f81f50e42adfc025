"""The reader without training: how near each sentence is to the question, token by token.

Each token of the question looks for the nearest token of a sentence, and of the sentence's passage (late interaction:
Khattab and Zaharia, ColBERT, SIGIR 2020).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from assistant.reader.reading import Reading, ReadSentence, sigmoid
from assistant.statements import statement_spans
from index import Passage, TokenVectors

PASSAGE_WEIGHT = 0.5
"""What a sentence's passage adds to its fit: "Il a repris le contact" says little by itself."""
USUAL, STEEPNESS = 1.26, 40.0
"""The fit at which a passage answers as often as not, and how fast that changes with it."""


class TokenEmbeddings(Protocol):
    """What this reader asks of an embedding model."""

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed each token of a question."""

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts."""


class FitReader:
    """Reads by the token vectors of an embedding model alone."""

    def __init__(self, embeddings: TokenEmbeddings) -> None:
        self._embeddings = embeddings

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """Read passages; a sentence has the greater a share the nearer it is."""
        asked = self._embeddings.embed_query_tokens(question)
        spans = [statement_spans(passage.text, passage.language) for passage in passages]
        texts = [p.text[a:b] for p, own in zip(passages, spans, strict=True) for a, b in own]
        tokens = iter(self._embeddings.embed_document_tokens(texts) if texts else [])
        return [
            _reading(own, np.stack([_nearest(asked, next(tokens)) for _ in own])) if own else Reading(-10.0, ())
            for own in spans
        ]

    def probability(self, answers: float, language: str | None) -> float:
        """Return the probability that the documents answer."""
        return sigmoid(answers)


def _reading(spans: Sequence[tuple[int, int]], cosines: np.ndarray) -> Reading:
    """cosines: of each question token with its nearest of each sentence, shape (n_sentences, n_question_tokens)."""
    fits = cosines.mean(1) + PASSAGE_WEIGHT * cosines.max(0).mean()
    weights = np.exp(STEEPNESS * (fits - fits.max()))
    shares = weights / weights.sum()
    return Reading(
        float(STEEPNESS * (fits.max() - USUAL)),
        tuple(ReadSentence(span, float(share), None) for span, share in zip(spans, shares, strict=True)),
    )


def _nearest(asked: TokenVectors, sentence: TokenVectors) -> np.ndarray:
    """Return each question token's cosine with the nearest token of the sentence, shape (n_question_tokens,)."""
    if not len(sentence.vectors) or not len(asked.vectors):
        return np.full(max(1, len(asked.vectors)), -1.0)
    return np.asarray((asked.vectors @ sentence.vectors.T).max(1), np.float64)
