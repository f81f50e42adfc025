"""Searches by meaning and by words at once, and merges the two rankings."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from index.types import ChunkMetadata, Passage

Ranking = Sequence[tuple[str, float]]
"""Chunk ids with scores, best first."""

DEPTH = 50
"""How many chunks each arm brings to the fusion."""


class HybridRetriever(BaseRetriever):
    """Dense and lexical retrieval, fused by rank; a LangChain retriever, for chains of any kind."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    dense: Callable[[Sequence[float], int], Ranking]
    """Vector and count to chunk ids."""
    lexical: Callable[[str, int], Ranking]
    """Question and count to chunk ids."""
    read: Callable[[Ranking], list[Passage]]
    """Chunk ids and scores to passages, in the same order; ids that are gone are left out."""
    k: int = 8
    """How many passages to return."""

    def search(self, query: str) -> list[Passage]:
        """Return the k best passages for the query, best first, scored by fusion."""
        vector = self.embeddings.embed_query(query)
        rankings = [self.dense(vector, DEPTH), self.lexical(query, DEPTH)]
        return self.read(reciprocal_rank_fusion(rankings)[: self.k])

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **_: Any
    ) -> list[Document]:
        return [_as_document(passage) for passage in self.search(query)]


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
    metadata = ChunkMetadata(source=passage.source, title=passage.title, start=passage.start, score=passage.score)
    if passage.page is not None:
        metadata["page"] = passage.page
    if passage.section is not None:
        metadata["section"] = passage.section
    if passage.language is not None:
        metadata["language"] = passage.language
    return Document(id=passage.id, page_content=passage.text, metadata=dict(metadata))
