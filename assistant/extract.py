"""The embedded reader at work: answers with sentences of the passages, word for word, or not at all.

It needs no language model. Each token of the question looks for the nearest token of a sentence, and of the sentence's
passage (late interaction: Khattab and Zaharia, ColBERT, SIGIR 2020); the sentences that fit best are then read by a
small trained network, beside the possibility that none of them answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from langchain_core.runnables import Runnable, RunnableGenerator

from assistant.reader.everyday import EVERYDAY
from assistant.reader.model import load_reader, read_pairs
from assistant.types import Claim, Confidence, Said, Task
from index import Passage, TokenVectors
from index.copies import words
from index.sentences import sentences

PASSAGE_WEIGHT = 0.5
"""What a sentence's passage adds to its fit: "Il a repris le contact" says little by itself."""
READ_SENTENCES = 8
"""How many of the best fitting sentences are read."""
SHOWN_SENTENCES = 3
SHARE = 0.3
"""A further sentence is shown where its probability is at least this share of the best one's."""
ANSWERS_FROM = 0.4
"""The confidence from which the documents are said to answer; under one half, for in training fewer questions had an
answer than people ask. docs/quality.md has what other values would give."""


class TokenEmbeddings(Protocol):
    """What the reader asks of an embedding model."""

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed each token of a question."""

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A sentence of a passage, and how it fits the question."""

    text: str
    passage: int
    """Number of the passage, counted from 1."""
    place: tuple[int, int]
    """Passage and first character in it, both counted from 0: the order of reading."""
    tokens: TokenVectors
    fit: float
    """By late interaction; higher is better."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was read: sentences in the order of reading, and whether they answer."""

    sentences: tuple[Sentence, ...]
    confidence: float
    """Probability that one of the sentences answers, from 0 to 1."""

    @property
    def answers(self) -> bool:
        """Say whether the passages answer the question."""
        return self.confidence >= ANSWERS_FROM


def extractor(embeddings: TokenEmbeddings) -> Runnable[Task, Said]:
    """Return the runnable that answers a Task with its Confidence, then sentences of the passages as Claims.

    embeddings: the packaged model, for whose token vectors the reader was trained.
    """
    reader = Reader(embeddings)

    def answer(tasks: Iterator[Task]) -> Iterator[Said]:
        for task in tasks:
            reading = reader.read(task["query"], task["passages"])
            yield Confidence(reading.confidence)
            if reading.answers:
                yield from (Claim(sentence.text, (sentence.passage,)) for sentence in reading.sentences)

    return RunnableGenerator(answer)


class Reader:
    """Reads passages with the token vectors of an embedding model and the trained network."""

    def __init__(self, embeddings: TokenEmbeddings) -> None:
        self._embeddings = embeddings
        self._everyday = cache(self._embed_everyday)

    def read(self, question: str, passages: Sequence[Passage]) -> Reading:
        """Find the sentences that answer, one to three, and the confidence that they do."""
        asked = self._embeddings.embed_query_tokens(question)
        candidates = best_fitting(asked, passages, self._embeddings)[:READ_SENTENCES]
        if not candidates:
            return Reading((), 0.0)
        usual = [self.usual(asked, passages[sentence.passage - 1].language) for sentence in candidates]
        logits = read_pairs(load_reader(), asked.vectors, usual, [sentence.tokens.vectors for sentence in candidates])
        probabilities, confidence = against_none(logits)
        chosen = [
            candidates[i]
            for i in np.argsort(-probabilities)[:SHOWN_SENTENCES]
            if probabilities[i] >= SHARE * probabilities.max()
        ]
        return Reading(tuple(sorted(chosen, key=lambda sentence: sentence.place)), confidence)

    def usual(self, asked: TokenVectors, language: str | None) -> np.ndarray:
        """Return each question token's mean cosine with its nearest token of everyday sentences in the language.

        Of all languages together where it is not one of them. Shape (n_question_tokens,).
        """
        known = language if language in EVERYDAY else None
        return np.asarray(np.mean([nearest(asked, sentence) for sentence in self._everyday(known)], axis=0))

    def _embed_everyday(self, language: str | None) -> list[TokenVectors]:
        chosen = [EVERYDAY[language]] if language else EVERYDAY.values()
        return self._embeddings.embed_document_tokens([text for texts in chosen for text in texts])


def best_fitting(asked: TokenVectors, passages: Sequence[Passage], embeddings: TokenEmbeddings) -> list[Sentence]:
    """Return the sentences of the passages, each once, those that fit the question best first."""
    found = list(_sentences(passages))
    if not found or not len(asked.vectors):
        return []
    tokens = embeddings.embed_document_tokens([text for text, _ in found])
    cosines = np.stack([nearest(asked, sentence) for sentence in tokens])
    of_passage = np.array([place[0] for _, place in found])
    fits = cosines.mean(1)
    for number in set(of_passage):
        own = of_passage == number
        fits[own] += PASSAGE_WEIGHT * cosines[own].max(0).mean()
    return [
        Sentence(found[i][0], found[i][1][0] + 1, found[i][1], tokens[i], float(fits[i]))
        for i in np.argsort(-fits, kind="stable")
    ]


def nearest(asked: TokenVectors, sentence: TokenVectors) -> np.ndarray:
    """Return each question token's cosine with the nearest token of the sentence, shape (n_question_tokens,)."""
    if not len(sentence.vectors):
        return np.full(len(asked.vectors), -1.0)
    return np.asarray((asked.vectors @ sentence.vectors.T).max(1), np.float64)


def against_none(logits: np.ndarray) -> tuple[np.ndarray, float]:
    """Turn logits into probabilities beside "none of them", whose logit is 0, and the probability that one does.

    logits: shape (n_sentences,). Returns shape (n_sentences,), and a number from 0 to 1.
    """
    highest = max(float(logits.max()), 0.0)
    weights = np.exp(logits - highest)
    whole = weights.sum() + np.exp(-highest)
    return weights / whole, float(weights.sum() / whole)


def _sentences(passages: Sequence[Passage]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Give text and place of each sentence; one that overlapping passages or two papers share is the first one's."""
    seen: set[tuple[object, ...]] = set()
    for number, passage in enumerate(passages):
        for start, end in sentences(passage.text, passage.language):
            keys = {(passage.source, passage.start + end), words(passage.text[start:end])}
            if seen.isdisjoint(keys):
                yield passage.text[start:end], (number, start)
            seen |= keys
