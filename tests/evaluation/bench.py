"""Measures how fast indexing is and how big an index, as ratios and medians within one run.

    python -m tests.evaluation.bench FOLDER … [--passages 2000] [--times 5] [--chunks 10000 100000]

FOLDER holds a corpus.jsonl. Printed are, one JSON object a line:

- indexing: the whole of it, from files to both indexes, against a bare SentenceTransformer.encode over the same chunks
  sorted by length, in the same batches and the same type; each time both, one after the other;
- again: a second sync of the same files, and one of a single changed file among them;
- growth: memory and disk of an index of so many chunks with random vectors, and how long a search takes in it.

Whatever else the machine does falsifies it: run it alone.
"""

import argparse
import json
import logging
import random
import resource
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import chain, zip_longest
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import CharacterTextSplitter
from numpy.typing import NDArray

from assistant.evaluation.data import Record, read_records
from index import Index, IndexSettings, SyncReport, plan
from index.build import Recipe, open_or_create, own, recipe
from index.embed import BATCH_TEXTS
from index.load import load
from index.split import searched_text
from tests.processes import Tell, run

DIMENSION = 384
PARAGRAPHS = 100
"""Of each document of an index of random vectors; one is a chunk."""
SEARCHES = 200
PIECES = ("catalog.sqlite", "vectors", "lexical")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--passages", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--chunks", type=int, nargs="*", default=[10_000, 100_000])
    asked = parser.parse_args()
    texts = list(dict.fromkeys(record.text for record in by_turns(asked.folders)))[: asked.passages]
    with TemporaryDirectory() as folder:
        tell({"measured": "indexing"} | indexing(texts, Path(folder), asked.times))
    for chunks in asked.chunks:
        with TemporaryDirectory() as folder:
            # In a process of its own: the most memory that one took is that of all it ever did.
            [figures] = run(growth, Path(folder), chunks, words_of(texts))
            tell({"measured": "growth"} | figures)


def tell(figures: dict[str, object]) -> None:
    print(json.dumps(figures, ensure_ascii=False), flush=True)


def by_turns(folders: Sequence[Path]) -> list[Record]:
    """Give the documents of all corpora by turns, so that each language has its share."""
    rows = zip_longest(*(read_records(folder) for folder in folders))
    return [record for record in chain.from_iterable(rows) if record is not None]


def words_of(texts: Sequence[str]) -> list[str]:
    return sorted({word for text in texts for word in text.split()})


def indexing(texts: Sequence[str], folder: Path, times: int) -> dict[str, object]:
    """Index each text as a file; what is loaded once, model and libraries, is loaded before."""
    docs = folder / "docs"
    docs.mkdir()
    for number, text in enumerate(texts):
        (docs / f"{number:05}.txt").write_text(text, encoding="utf-8")
    made_with = recipe(IndexSettings())
    made_with.embeddings.load()
    whole, bare, again, changed = [], [], [], []
    for turn in range(times):
        with opened(folder / f"index{turn}", made_with) as index:
            whole.append(seconds(lambda: synced(index, docs)))
            bare.append(seconds(lambda: encode(made_with, chunk_texts(index))))
            again.append(seconds(lambda: synced(index, docs)))
            (docs / "00000.txt").write_text(f"{texts[0]}\n\nVersion {turn}.", encoding="utf-8")
            changed.append(seconds(lambda: synced(index, docs)))
            documents, chunks = index.catalog.counts()
    return {
        "documents": documents,
        "chunks": chunks,
        "whole_seconds": median(whole),
        "bare_seconds": median(bare),
        "speed_of_bare": median(b / w for b, w in zip(bare, whole, strict=True)),
        "second_sync_seconds": median(again),
        "second_sync_of_first": median(a / w for a, w in zip(again, whole, strict=True)),
        "one_changed_seconds": median(changed),
        "one_changed_beyond_second_sync_seconds": median(c - a for c, a in zip(changed, again, strict=True)),
    }


def opened(folder: Path, made_with: Recipe) -> Index:
    """Open an empty index with both stores ready."""
    index = own(IndexSettings(path=folder), made_with, open_or_create)
    index.retriever(1).search("…")
    return index


def synced(index: Index, docs: Path) -> SyncReport:
    report = index.sync(plan([docs], index.catalog), lambda _: None)
    assert not report.unreadable
    return report


def chunk_texts(index: Index) -> list[str]:
    """Give what was embedded of each chunk, by length."""
    documents = (change.document for change in index.catalog.changes(0))
    texts = (
        searched_text(document.title, chunk.section, chunk.text)
        for document in documents
        if document
        for chunk in document.chunks
    )
    return sorted(texts, key=len)


def encode(made_with: Recipe, texts: list[str]) -> None:
    made_with.embeddings._transformer.encode_document(texts, batch_size=BATCH_TEXTS, show_progress_bar=False)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def growth(tell: Tell, folder: Path, chunks: int, words: list[str]) -> None:
    """Index so many paragraphs of random words, search for random words, and tell what it took."""
    docs = folder / "docs"
    write_random(docs, chunks, words)
    chance = random.Random(1)
    with opened(folder / "index", random_recipe("random", RandomEmbeddings())) as index:
        before = memory_megabytes()
        took = seconds(lambda: synced(index, docs))
        synced_megabytes = memory_megabytes()
        retriever = index.retriever(8)
        questions = [" ".join(chance.choices(words, k=8)) for _ in range(SEARCHES)]
        searches = [1000 * seconds(lambda question=question: retriever.search(question)) for question in questions]
        _, counted = index.catalog.counts()
    p50, p95 = np.percentile(searches, [50, 95])
    tell(
        {
            "chunks": counted,
            "sync_seconds": took,
            "megabytes_before": before,
            "megabytes_most_in_sync": synced_megabytes,
            "megabytes_most_in_all": memory_megabytes(),
            "megabytes_on_disk": {piece: disk_megabytes(folder / "index" / piece) for piece in PIECES},
            "search_p50_milliseconds": float(p50),
            "search_p95_milliseconds": float(p95),
        }
    )


def write_random(docs: Path, chunks: int, words: Sequence[str]) -> None:
    """Write documents of so many paragraphs of random words, rounded up to whole documents."""
    docs.mkdir()
    chance = random.Random(0)
    for number in range(-(-chunks // PARAGRAPHS)):
        paragraphs = (" ".join(chance.choices(words, k=60)) for _ in range(PARAGRAPHS))
        (docs / f"{number:05}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")


def random_recipe(name: str, embeddings: "RandomEmbeddings") -> Recipe:
    """Make a recipe by which each paragraph is a chunk, and which takes no time."""
    # It warns of each paragraph that is longer than one character.
    logging.getLogger("langchain_text_splitters").setLevel(logging.ERROR)
    splitter = CharacterTextSplitter("\n\n", chunk_size=1, chunk_overlap=0, add_start_index=True)
    return Recipe(name, lambda _: nullcontext(load), splitter, embeddings, chunk_tokens=100)


class RandomEmbeddings(Embeddings):
    """A vector of chance for each text: nothing is near, which is the hardest for a search, and takes no time.

    like: vectors, float32, shape (n_vectors, dimension), among which those of chance are to lie. Those of a real model
    all have something of one direction. None: anywhere.
    """

    max_tokens = 512

    def __init__(self, like: NDArray[np.float32] | None = None) -> None:
        self._usual, self._spread = (0.0, 1.0) if like is None else (like.mean(0), like.std(0))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        chance = np.random.default_rng(zlib.crc32(text.encode()))
        vector = self._usual + self._spread * chance.standard_normal(DIMENSION)
        return list((vector / np.linalg.norm(vector)).tolist())


def memory_megabytes() -> float:
    """Give the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def disk_megabytes(place: Path) -> float:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1024**2


if __name__ == "__main__":
    main()
