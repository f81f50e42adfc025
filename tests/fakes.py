"""Stand-ins with the behaviour of the real parts and none of their weight."""

import re
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_text_splitters import CharacterTextSplitter

from index import Passage, Stop, TokenVectors
from index.build import Recipe
from index.load import load
from index.sync import Load


class HashingEmbeddings(Embeddings):
    """Bag of words hashed into a unit vector: texts that share words are near, nothing is learnt."""

    max_tokens = 512

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self.texts_embedded = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts_embedded += len(texts)
        return [self._embed(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._embed(text)

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Give each word a vector: equal words are one, others are unrelated."""
        return [self._tokens(text) for text in texts]

    def _tokens(self, text: str) -> TokenVectors:
        spans = [(start, end) for start, end in word_spans(text) if text[start].isalnum()]
        words = [self._embed(text[start:end]) for start, end in spans]
        return TokenVectors(np.array(words, np.float32).reshape(len(spans), self.dimension), spans)

    def _embed(self, text: str) -> list[float]:
        vector = np.full(self.dimension, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return (vector / np.linalg.norm(vector)).tolist()


class Retriever(BaseRetriever):
    """Finds the same passages for every question."""

    found: list[Passage]

    def _get_relevant_documents(self, query, *, run_manager):
        facts = ("source", "title", "start", "language")
        return [Document(one.text, metadata={name: getattr(one, name) for name in facts}) for one in self.found]


def paragraph_recipe(name: str, dimension: int) -> Recipe:
    """Make a recipe by which a paragraph is a chunk, and which takes no time."""
    splitter = CharacterTextSplitter("\n\n", chunk_size=100, chunk_overlap=0, add_start_index=True)
    return Recipe(name, lambda _: nullcontext(load), splitter, HashingEmbeddings(dimension), chunk_tokens=100)


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


class Gate:
    """A reader of files that waits until a test lets it read."""

    def __init__(self) -> None:
        self.reached = Event()
        self.open = Event()
        self.open.set()

    def close(self) -> None:
        """Let no further file be read."""
        self.reached.clear()
        self.open.clear()

    def open_when_asked(self) -> None:
        """Let files be read once somebody asked the sync that reached the gate to stop."""
        assert self.reached.wait(60)
        while not self.stop.asked:
            time.sleep(0.001)
        self.open.set()

    @contextmanager
    def reader(self, stop: Stop) -> Iterator[Load]:
        self.stop = stop
        yield self.load

    def load(self, file: Path) -> Iterable[Document]:
        self.reached.set()
        assert self.open.wait(30)
        return load(file)
