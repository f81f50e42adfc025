"""Searches by meaning and by words at once, and merges the two rankings."""

from collections.abc import Callable, Sequence, Set
from dataclasses import asdict
from operator import itemgetter
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import ConfigDict

from index.copies import fold_copies
from index.types import EVERYTHING, ChunkMetadata, Filter, Passage

Ranking = Sequence[tuple[str, float]]
"""Chunk ids with scores, best first."""

DEPTHS = (50, 200, 800)
"""How many chunks each arm brings to the fusion; more than the first only where too few differ."""
LEXICAL_WEIGHT = 7.0
"""What it counts that a chunk has all words of a question, in standard deviations; docs/quality.md has other values."""
BY_CHANCE = 256
"""How many chunks stand for all others. Their spread is then known to 5 in 100."""
READ_AT_ONCE = 4
"""How many times k passages are read to find k that differ, and the copies of these."""


class HybridRetriever(BaseRetriever):
    """Dense and lexical retrieval, fused by score; a LangChain retriever, for chains of any kind."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    dense: Callable[[Sequence[float], int, Set[str] | None], Ranking]
    """Vector, count and the documents to search, None for all, to chunk ids and scores, see `standardised`."""
    lexical: Callable[[str, int, Set[str] | None], Ranking]
    """Question, count and the documents to search, None for all, to chunk ids and shares of the question, 0 to 1."""
    chosen: Callable[[Filter], Set[str] | None]
    """Filter to the ids of the documents that meet it, None for all."""
    read: Callable[[Ranking], list[Passage]]
    """Chunk ids and scores to passages, in the same order; ids that are gone are left out."""
    k: int = 8
    """How many passages to return."""

    def search(self, query: str, where: Filter = EVERYTHING) -> list[Passage]:
        """Return the k best passages of the documents that meet the filter, best first, scored by fusion.

        No two are near copies: the files of those left out are in `also_in`. Raises InvalidFilter.
        """
        documents = self.chosen(where)
        if documents is not None and not documents:
            return []
        vector = self.embeddings.embed_query(query)
        passages: list[Passage] = []
        for depth in DEPTHS:
            dense, lexical = self.dense(vector, depth, documents), self.lexical(query, depth, documents)
            passages = self._different(fused(dense, lexical))
            if len(passages) == self.k or max(len(dense), len(lexical)) < depth:
                break
        return passages

    def _different(self, ranking: Ranking) -> list[Passage]:
        """Read down a ranking until there are k passages of which none is a copy."""
        passages: list[Passage] = []
        size = self.k * READ_AT_ONCE
        for start in range(0, len(ranking), size):
            passages = fold_copies([*passages, *self.read(ranking[start : start + size])])
            if len(passages) >= self.k:
                break
        return passages[: self.k]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, where: Filter = EVERYTHING, **_: Any
    ) -> list[Document]:
        return [_as_document(passage) for passage in self.search(query, where)]


def fused(dense: Ranking, lexical: Ranking) -> Ranking:
    """Merge a ranking by meaning and one by words: a chunk's score is what both say of it, added up.

    dense: as `standardised` gives it. lexical: shares of the question. A chunk that only one ranking holds counts in
    the other as the last one of it, or as nothing. What speaks for words is not their rank, but how much of the
    question they are: of one in another language than the documents it is nearly nothing, and then meaning decides.

    References: Bruch, Gai and Ingber, An analysis of fusion functions for hybrid retrieval, ACM TOIS 42, 2023.
    """
    scores = dict(dense)
    unseen = dense[-1][1] if dense else 0.0
    for chunk, share in lexical:
        scores[chunk] = scores.get(chunk, unseen) + LEXICAL_WEIGHT * share
    return sorted(scores.items(), key=itemgetter(1), reverse=True)


def standardised(dense: Ranking, by_chance: NDArray[np.float32]) -> Ranking:
    """Say how much nearer to a question chunks are than any: in standard deviations of the others' cosines.

    Models differ in what range their cosines are, and questions too; in a small corpus and a large one, with a filter
    and without, the same chunk has the same score.

    by_chance: cosines of the question with chunks of all documents, shape (n_chunks,).
    """
    usual, spread = by_chance.mean(), by_chance.std() or 1.0
    return [(chunk, float((cosine - usual) / spread)) for chunk, cosine in dense]


def _as_document(passage: Passage) -> Document:
    metadata = ChunkMetadata(
        source=passage.source,
        title=passage.title,
        start=passage.start,
        file=passage.file,
        score=passage.score,
        also_in=[asdict(file) for file in passage.also_in],
    )
    if passage.page is not None:
        metadata["page"] = passage.page
    if passage.section is not None:
        metadata["section"] = passage.section
    if passage.language is not None:
        metadata["language"] = passage.language
    if passage.date is not None:
        metadata["date"] = passage.date
    return Document(id=passage.id, page_content=passage.text, metadata=dict(metadata))
