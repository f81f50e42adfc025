"""The only place where the parts of an index are joined; below it there are plain values, no settings."""

import threading
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from index.catalog import Catalog, Follower, Vector, document_of, follow
from index.embed import SentenceTransformerEmbeddings
from index.errors import IndexingError, IndexNotFound, StoreLost
from index.lock import lock
from index.models import fingerprint
from index.sandbox import Limits, Sandbox
from index.settings import IndexSettings
from index.split import SentenceSplitter
from index.sync import Load, Plan, sync
from index.terms import query_terms
from index.types import EVERYTHING, Filter, Progress, Source, SyncReport

if TYPE_CHECKING:
    from index.lexical import LexicalIndex
    from index.search import HybridRetriever, Ranking
    from index.vectors import Probe, VectorIndex

CATALOG = "catalog.sqlite"
LOOKED_THROUGH = 4
"""How many times the wanted chunks are looked through for those of chosen documents, before all of theirs are."""


def open_index(settings: IndexSettings) -> "Index":
    """Open the index and own its folder until it is closed. Quick: model and stores are opened when needed.

    Raises IndexNotFound, IndexLocked, EmbeddingMismatch, StoreUnavailable.
    """
    # Looked at before it is owned: a folder without an index stays as it is, no lock is left in it.
    with closing(open_catalog(settings)) as catalog:
        if not catalog.sources():
            raise IndexNotFound(f"No document in the index at {settings.path}. Add some: assistant index FOLDER")
    return _owned(settings, lambda path, _: Catalog.open(path))


def create_index(settings: IndexSettings) -> "Index":
    """Open the index, or make an empty one where there is none; raises as open_index does."""

    def open_or_create(path: Path, expected: str) -> Catalog:
        return Catalog.open(path) if path.exists() else Catalog.create(path, expected)

    return _owned(settings, open_or_create)


def open_catalog(settings: IndexSettings) -> Catalog:
    """Open the catalog alone, to read it; another process may own the index meanwhile."""
    return Catalog.open(settings.path / CATALOG)


def made_with(settings: IndexSettings) -> str:
    """Name what an index is made with: another model or other sizes of chunks make another index."""
    return f"{fingerprint(settings.embedding_model)}; {settings.chunk_tokens}+{settings.overlap_tokens} tokens"


def _owned(settings: IndexSettings, open_catalog: Callable[[Path, str], Catalog]) -> "Index":
    expected = made_with(settings)
    with ExitStack() as resources:
        resources.enter_context(lock(settings.path))
        catalog = open_catalog(settings.path / CATALOG, expected)
        resources.callback(catalog.close)
        catalog.expect(expected)
        embeddings = SentenceTransformerEmbeddings(settings.embedding_model)
        splitter = SentenceSplitter(embeddings.token_spans, settings.chunk_tokens, settings.overlap_tokens)
        return Index(settings, catalog, embeddings, splitter, resources.pop_all())


class Index:
    """A folder that this process owns: documents, and the two indexes by which they are found.

    Threads may share it: many search while one syncs.
    """

    def __init__(
        self,
        settings: IndexSettings,
        catalog: Catalog,
        embeddings: SentenceTransformerEmbeddings,
        splitter: SentenceSplitter,
        resources: ExitStack,
    ) -> None:
        self.catalog = catalog
        self.embeddings = embeddings
        self.ready = False
        self._settings = settings
        self._limits = Limits(
            seconds=settings.file_seconds,
            wall_seconds=2 * settings.file_seconds,
            memory_bytes=settings.file_memory_megabytes * 1024**2,
        )
        self._splitter = splitter
        self._resources = resources
        self._opening = threading.Lock()

    def sources(self) -> list[Source]:
        """List what is indexed."""
        return self.catalog.sources()

    def text(self, source: str) -> str:
        """Return the stored text of a document; raise SourceNotFound where there is none of this id."""
        return self.catalog.text(source)

    def sync(self, plan: Plan, on_progress: Callable[[Progress], None], load: Load | None = None) -> SyncReport:
        """Carry out a plan (see sync.plan), then bring both indexes up to date.

        load: reads a file; None for the loaders, in a child process with limits.

        Raises IndexingError where chunks would be longer than the model reads, and what sync raises.
        """
        if self._settings.chroma_url:
            # A server is asked before the long work; what it missed, it gets though no file has changed since.
            self._catch_up()
        if not (plan.put or plan.point or plan.remove):
            return plan.report
        if self._settings.chunk_tokens > self.embeddings.max_tokens:
            raise IndexingError(
                f"The embedding model reads {self.embeddings.max_tokens} tokens, "
                f"chunks have {self._settings.chunk_tokens}. "
                f"Set INDEX_CHUNK_TOKENS={self.embeddings.max_tokens} or less"
            )
        with Sandbox(self._limits) as sandbox:
            report = sync(plan, self.catalog, self._splitter, self.embeddings, on_progress, load=load or sandbox.load)
        for follower in self._followers:
            follow(self.catalog, follower)
        return report

    def retriever(self, k: int) -> "HybridRetriever":
        """Return a LangChain retriever of the k best passages."""
        from index.search import HybridRetriever

        self._begin_probe()
        return HybridRetriever(
            embeddings=self.embeddings,
            dense=self._search_vectors,
            lexical=self._search_terms,
            chosen=self._chosen,
            read=self.catalog.passages,
            k=k,
        )

    def load(self) -> None:
        """Load the model and open both indexes now, rather than at the first question."""
        self.retriever(1).search("…")
        self.ready = True

    def close(self) -> None:
        """Close the stores and give the folder free."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, where: Filter) -> frozenset[str] | None:
        return None if where == EVERYTHING else self.catalog.matching(where)

    def _search_vectors(self, vector: Sequence[float], k: int, documents: Set[str] | None) -> "Ranking":
        asked = np.asarray(vector, np.float32)
        if documents is None:
            return self._nearest(asked, k)
        # Chroma's own filter takes 14 ms at 20,000 chunks for one document and 54 ms for nine in ten.
        near = _of(documents, self._nearest(asked, k * LOOKED_THROUGH))
        return near[:k] if len(near) >= k else self.catalog.nearest(asked, k, documents)

    def _search_terms(self, query: str, k: int, documents: Set[str] | None) -> "Ranking":
        _, lexical = self._followers
        terms = query_terms(query, self.catalog.languages())
        if documents is None:
            return lexical.search(terms, k)
        near = _of(documents, lexical.search(terms, k * LOOKED_THROUGH))
        return near[:k] if len(near) >= k else lexical.search(terms, k, documents)

    def _nearest(self, vector: Vector, k: int) -> "Ranking":
        vectors, _ = self._followers
        try:
            return vectors.search(vector, k)
        except StoreLost:
            self._catch_up()
            return vectors.search(vector, k)

    def _catch_up(self) -> None:
        """Bring both indexes up to date while questions wait: what a server has lost is made again."""
        with self._opening:
            for follower in self._opened_followers:
                follow(self.catalog, follower)

    @property
    def _followers(self) -> "tuple[VectorIndex, LexicalIndex]":
        with self._opening:
            return self._opened_followers

    @cached_property
    def _opened_followers(self) -> "tuple[VectorIndex, LexicalIndex]":
        from index.lexical import LexicalIndex

        vectors = self._open_vectors()
        self._resources.callback(vectors.close)
        lexical = LexicalIndex.open(self._settings.path / "lexical")
        followers: tuple[Follower, ...] = (vectors, lexical)
        for follower in followers:
            follow(self.catalog, follower)
        return vectors, lexical

    def _open_vectors(self) -> "VectorIndex":
        from index.vectors import Address, Server, VectorIndex

        settings = self._settings
        if settings.chroma_url is None:
            return VectorIndex.open(self._probe)
        key = settings.chroma_key.get_secret_value() if settings.chroma_key else None
        address = Address(str(settings.chroma_url).rstrip("/"), key, settings.chroma_database)
        return VectorIndex(Server(address, self.catalog.id))

    def _begin_probe(self) -> None:
        """Let a child process look at the folder of the vectors while this one loads the model."""
        if self._settings.chroma_url is None:
            with self._opening:
                _ = self._probe

    @cached_property
    def _probe(self) -> "Probe":
        from index.vectors import Probe

        return Probe.start(self._settings.path / "vectors")


def _of(documents: Set[str], ranking: "Ranking") -> "Ranking":
    """Keep the chunks of these documents."""
    return [(chunk, score) for chunk, score in ranking if document_of(chunk) in documents]
