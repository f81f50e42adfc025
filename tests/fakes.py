"""Stand-ins with the behaviour of the real parts and none of their weight."""

import re
import zlib

import numpy as np
from langchain_core.embeddings import Embeddings

from index import Passage


class HashingEmbeddings(Embeddings):
    """Bag of words hashed into a unit vector: texts that share words are near, nothing is learnt."""

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self.texts_embedded = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts_embedded += len(texts)
        return [self._embed(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._embed(text)

    def _embed(self, text: str) -> list[float]:
        vector = np.full(self.dimension, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return (vector / np.linalg.norm(vector)).tolist()


def word_spans(text: str) -> list[tuple[int, int]]:
    """Take each word and each other mark for one token, as an embedder's `token_spans` does for its own."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def passage(
    text: str,
    start: int = 0,
    source: str = "source",
    title: str = "Title",
    *,
    language: str = "fr",
    page: int | None = None,
    section: str | None = None,
) -> Passage:
    """Make a passage as a retriever would find it."""
    return Passage(f"{source}-{start}", text, source, title, page, start, 1.0, language, section)
