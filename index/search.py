"""Searches by meaning and by words at once, and merges the two rankings."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import asdict
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from index.copies import fold_copies
from index.types import EVERYTHING, ChunkMetadata, Filter, Passage

Ranking = Sequence[tuple[str, float]]
"""Chunk ids with scores, best first."""

DEPTHS = (50, 200, 800)
"""How many chunks each arm brings to the fusion; more than the first only where too few differ."""
READ_AT_ONCE = 4
"""How many times k passages are read to find k that differ, and the copies of these."""


class HybridRetriever(BaseRetriever):
    """Dense and lexical retrieval, fused by rank; a LangChain retriever, for chains of any kind."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    dense: Callable[[Sequence[float], int, Set[str] | None], Ranking]
    """Vector, count and the documents to search, None for all, to chunk ids."""
    lexical: Callable[[str, int, Set[str] | None], Ranking]
    """Question, count and the documents to search, None for all, to chunk ids."""
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
            rankings = [self.dense(vector, depth, documents), self.lexical(query, depth, documents)]
            passages = self._different(reciprocal_rank_fusion(rankings))
            if len(passages) == self.k or all(len(ranking) < depth for ranking in rankings):
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


def reciprocal_rank_fusion(rankings: Iterable[Ranking], damping: int = 10) -> Ranking:
    """Merge rankings: a chunk's score is the sum of 1 / (damping + rank) over the rankings that hold it.

    damping: no unit; 60 in the paper, but 10 finds more on short lists of French passages. Scores are only good for
    ordering.

    References: Cormack, Clarke and Büttcher, Reciprocal rank fusion, SIGIR 2009.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (chunk, _) in enumerate(ranking, start=1):
            scores[chunk] = scores.get(chunk, 0.0) + 1 / (damping + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


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
