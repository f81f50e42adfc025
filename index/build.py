"""The only place where the parts of an index are joined; below it there are plain values, no settings."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from langchain_text_splitters import TextSplitter

from index.archive import Manifest, pack, unpack
from index.catalog import SCHEMA, Catalog, Follower, Position, Vector, document_of, follow, salvage_roots
from index.database import CATALOG, Database, Place, database_at
from index.embed import SentenceTransformerEmbeddings
from index.errors import IndexingError, IndexNotFound, NothingToIndex, StoreLost, StoreUnavailable
from index.lock import lock
from index.models import fingerprint
from index.sandbox import Limits, Sandbox
from index.settings import IndexSettings
from index.split import HEADED, SPLITTER, SentenceSplitter
from index.stop import NEVER, Stop
from index.swap import NEW, commit, settle
from index.sync import Engine, Load, Plan, plan, sync
from index.terms import query_terms
from index.types import EVERYTHING, Fault, Filter, Progress, Source, SyncReport

if TYPE_CHECKING:
    from index.lexical import LexicalIndex
    from index.probe import Probe
    from index.search import HybridRetriever, Ranking
    from index.vectors import Server, VectorIndex

logger = logging.getLogger(__name__)

LOOKED_THROUGH = 4
"""How many times the wanted chunks are looked through for those of chosen documents, before all of theirs are."""
FOLLOW_CHUNKS = 500
"""After how many chunks the indexes follow while a sync goes on: so much is left to do after a stop or a kill."""


def open_index(settings: IndexSettings) -> "Index":
    """Open the index and own its folder until it is closed. Quick: model and stores are opened when needed.

    Raises IndexNotFound, IndexLocked, EmbeddingMismatch, StoreUnavailable.
    """
    # Looked at before it is owned: a folder without an index stays as it is, no lock is left in it.
    with closing(open_catalog(settings)) as catalog:
        if catalog.counts() == (0, 0):
            raise IndexNotFound(f"No document in the index at {settings.path}. Add some: assistant index FOLDER")
    return own(settings, recipe(settings), open_matching)


def create_index(settings: IndexSettings) -> "Index":
    """Open the index, or make an empty one where there is none; raises as open_index does."""
    return own(settings, recipe(settings), open_or_create)


def open_mismatched(settings: IndexSettings) -> "Index":
    """Open the index, of whatever model and sizes, to remove documents from it; it cannot be searched.

    Raises IndexNotFound, IndexLocked, StoreUnavailable.
    """
    open_catalog(settings).close()
    return own(settings, recipe(settings), lambda place, _: Catalog.open(place))


def rebuild_index(
    settings: IndexSettings, paths: Sequence[Path], on_progress: Callable[[Progress], None], stop: Stop = NEVER
) -> SyncReport:
    """Make the index again from its files: from every root it knows, and from `paths`.

    The old one need not be sound, nor of the same model; if it cannot be read, `paths` say what to index, or
    what can still be read of its roots. It answers until the new one is whole, and stays where the new one does
    not become so: where there is nothing to read, after a stop, an error or a kill.

    Raises:
        NothingToIndex: no root is known, one is not there, or one has lost all it held; see `plan`.
        IndexLocked, StoreUnavailable, Stopped.
    """
    return rebuild(settings, recipe(settings), paths, on_progress, stop)


def export_index(settings: IndexSettings, file: Path) -> Manifest:
    """Write an index into one file; see archive.pack. Another process may own it meanwhile."""
    with closing(open_catalog(settings)) as catalog:
        return pack(catalog, file)


def import_index(settings: IndexSettings, file: Path, replace: bool = False) -> Manifest:
    """Put the index of an archive in place, whole or not at all; vectors and words are made again when it is opened.

    replace: whether it may take the place of documents that are indexed.

    Raises InvalidArchive, IndexLocked, StoreUnavailable; IndexingError where something is indexed already.
    """
    folder = settings.path
    with lock(folder), _turn(settings, NEVER) as database:
        settle(folder)
        if not replace and _holds_documents(settings.catalog):
            raise IndexingError(f"Documents are indexed at {database.index}. To put others in their place: --replace")
        obsolete = _catalog_id(settings.catalog)
        try:
            for name in ("vectors", "lexical"):
                (folder / NEW / name).mkdir(parents=True)
            manifest = unpack(file, folder / NEW)
            if manifest.schema == int(SCHEMA):
                with closing(Catalog.open(folder / NEW / CATALOG)) as catalog:
                    catalog.renew()
            _put_in_place(settings)
        finally:
            settle(folder)
        if settings.chroma_url and obsolete:
            _server(settings, obsolete).drop()
    return manifest


@contextmanager
def _turn(settings: IndexSettings, stop: Stop) -> Iterator[Database]:
    """Hold the turn to write to a catalog of which it is not known whether it is there, or sound."""
    with closing(database_at(settings.catalog)) as database, database.turn(stop):
        yield database


def _put_in_place(settings: IndexSettings) -> None:
    """Let the new index, whole and closed, take the place of the old one: of the folder, or of a catalog elsewhere."""
    if settings.catalog_url is None:
        commit(settings.path)
        return
    with closing(Catalog.open(settings.path / NEW / CATALOG)) as new:
        try:
            shared = Catalog.open(settings.catalog)
        except IndexNotFound:
            shared = Catalog.create(settings.catalog, new.fingerprint)
        with closing(shared):
            shared.take(new)


def _holds_documents(place: Place) -> bool:
    try:
        with closing(Catalog.open(place)) as catalog:
            return catalog.counts() != (0, 0)
    except IndexNotFound:
        return False
    except StoreUnavailable:
        # It cannot be read, which is why it is to be replaced.
        return True


def open_catalog(settings: IndexSettings) -> Catalog:
    """Open the catalog alone, to read it; another process may own the index meanwhile."""
    return Catalog.open(settings.catalog)


def check_index(settings: IndexSettings) -> list[Fault]:
    """Look whether an index that nobody owns is sound, as `Index.check` does, and change nothing in it.

    Vectors on a Chroma server are not looked at.

    Raises IndexNotFound, IndexLocked, StoreUnavailable.
    """
    from index.check import faults
    from index.lexical import LexicalIndex, fault
    from index.probe import Probe
    from index.vectors import Folder, VectorIndex

    open_catalog(settings).close()
    found: list[Fault] = []
    vectors: VectorIndex | None = None
    lexical: LexicalIndex | None = None
    with ExitStack() as resources:
        resources.enter_context(lock(settings.path))
        catalog = resources.enter_context(closing(open_catalog(settings)))
        # On a server, to open the collection may be to make it again.
        if settings.chroma_url:
            pass
        elif said := Probe.start(settings.path / "vectors").fault():
            found.append(Fault("vectors", said))
        else:
            vectors = VectorIndex(Folder(settings.path / "vectors"))
        if vectors:
            resources.callback(vectors.close)
        if not (settings.path / "lexical").exists():
            found.append(Fault("lexical", "it is not there"))
        elif broken := fault(settings.path / "lexical"):
            found.append(Fault("lexical", broken))
        else:
            lexical = LexicalIndex(settings.path / "lexical")
        return [*found, *faults(catalog, vectors, lexical)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How documents become chunks and vectors; an index belongs to one."""

    name: str
    reader: Callable[[Stop], AbstractContextManager[Load]]
    """Opens what reads files, for as long as a sync takes."""
    splitter: TextSplitter
    embeddings: SentenceTransformerEmbeddings
    chunk_tokens: int


def recipe(settings: IndexSettings) -> Recipe:
    """Join reader, splitter and embedder; the model is loaded when it is first used."""
    limits = Limits(
        seconds=settings.file_seconds,
        wall_seconds=2 * settings.file_seconds,
        memory_bytes=settings.file_memory_megabytes * 1024**2,
    )
    sizes = f"{settings.chunk_tokens}+{settings.overlap_tokens} tokens"
    embeddings = SentenceTransformerEmbeddings(settings.embedding_model)
    return Recipe(
        name=f"{fingerprint(settings.embedding_model)}; {SPLITTER} {sizes}; {HEADED}",
        reader=partial(_sandbox, limits),
        splitter=SentenceSplitter(embeddings.token_spans, settings.chunk_tokens, settings.overlap_tokens),
        embeddings=embeddings,
        chunk_tokens=settings.chunk_tokens,
    )


@contextmanager
def _sandbox(limits: Limits, stop: Stop) -> Iterator[Load]:
    with Sandbox(limits, check=stop.check) as sandbox:
        yield sandbox.load


OpenCatalog = Callable[[Place, str], Catalog]
"""Where a catalog is and the name of the recipe → the catalog."""


def open_matching(place: Place, made_with: str) -> Catalog:
    """Open a catalog that was made with this recipe."""
    with ExitStack() as resources:
        catalog = Catalog.open(place)
        resources.callback(catalog.close)
        catalog.expect(made_with)
        resources.pop_all()
    return catalog


def open_or_create(place: Place, made_with: str) -> Catalog:
    """Open a catalog that was made with this recipe, or make one where there is none."""
    try:
        return open_matching(place, made_with)
    except IndexNotFound:
        pass
    try:
        return Catalog.create(place, made_with)
    except StoreUnavailable:
        # In a database, another may have made one in this moment.
        with suppress(IndexNotFound):
            return open_matching(place, made_with)
        raise


def own(settings: IndexSettings, recipe: Recipe, open_catalog: OpenCatalog) -> "Index":
    """Own the folder, finish what a process that died has left in it, and open the index."""
    with ExitStack() as resources:
        resources.enter_context(lock(settings.path))
        settle(settings.path)
        catalog = open_catalog(settings.catalog, recipe.name)
        return Index(settings, recipe, catalog, resources.pop_all())


def rebuild(
    settings: IndexSettings, recipe: Recipe, paths: Sequence[Path], on_progress: Callable[[Progress], None], stop: Stop
) -> SyncReport:
    """Make the index in the folder again: see `rebuild_index`."""
    folder = settings.path
    new = settings.model_copy(update={"path": folder / NEW, "catalog_url": None})
    with lock(folder), _turn(settings, stop):
        settle(folder)
        roots = _roots(settings.catalog, paths, stop)
        old, obsolete = _catalog_id(settings.catalog), None
        try:
            with Index(new, recipe, Catalog.create(new.catalog, recipe.name), ExitStack()) as index:
                obsolete = index.catalog.id
                report = index.sync(plan(roots, index.catalog, stop), on_progress, stop)
            if report.indexed and not report.pending:
                _put_in_place(settings)
                obsolete = old
        finally:
            settle(folder)
            if settings.chroma_url and obsolete:
                _server(settings, obsolete).drop()
    return report


def _catalog_id(place: Place) -> str | None:
    try:
        with closing(Catalog.open(place)) as catalog:
            return catalog.id
    except (IndexNotFound, StoreUnavailable):
        return None


def _roots(catalog: Place, paths: Sequence[Path], stop: Stop) -> list[Path]:
    """Give the roots of an index and those that are named; all of them hold something to index."""
    roots = [*paths]
    try:
        with closing(Catalog.open(catalog)) as old:
            roots = [*map(Path, old.roots()), *paths]
            plan(roots, old, stop)
    except IndexNotFound:
        pass
    except StoreUnavailable:
        roots = roots or [*map(Path, salvage_roots(catalog))]
    if not roots:
        raise NothingToIndex("It is not known what to index again. Name it: assistant index --rebuild FOLDER")
    return roots


class Index:
    """A folder that this process owns: documents, and the two indexes by which they are found.

    Threads may share it: many search while one syncs. Where the catalog is in a database, several processes may share
    that, each with a folder of its own: one at a time syncs (see `turn`), and all follow (see `follow`).
    """

    def __init__(self, settings: IndexSettings, recipe: Recipe, catalog: Catalog, resources: ExitStack) -> None:
        self.catalog = catalog
        self.embeddings = recipe.embeddings
        self.shared = settings.catalog_url is not None
        """Whether others may write to the catalog too."""
        self._made_with = catalog.fingerprint
        self._followed: Position | None = None
        """Up to where the catalog was followed, as far as others may write to it."""
        self._sample: Vector | None = None
        """Vectors of chunks by chance, None after a change."""
        self._languages: set[str] | None = None
        """Those of the documents, None after a change: to ask for them looks at every document."""
        self._settings = settings
        self._recipe = recipe
        self._resources = resources
        self._resources.callback(catalog.close)
        self._opening = threading.Lock()
        self._applying = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where it is on the disk."""
        return self._settings.path

    def sources(self) -> list[Source]:
        """List what is indexed."""
        return self.catalog.sources()

    def counts(self) -> tuple[int, int]:
        """Count documents and chunks."""
        return self.catalog.counts()

    def changed(self) -> str | None:
        """Give the day of the last change of what is indexed, ISO 8601."""
        return self.catalog.changed()

    def text(self, source: str) -> str:
        """Return the stored text of a document; raise SourceNotFound where there is none of this id."""
        return self.catalog.text(source)

    def turn(self, stop: Stop) -> AbstractContextManager[None]:
        """Wait until no other process syncs this catalog, and let none until the block ends; may raise Stopped.

        What is planned within is planned by what the catalog will be.
        """
        return self.catalog.turn(stop)

    def follow(self) -> None:
        """Bring both indexes up to date with a catalog that others write to, unless they are.

        Vectors on a server are written by one process at a time: by whoever syncs, or if nobody does, by this one.
        """
        if self.catalog.replaced() and self._settings.chroma_url:
            # On a server, vectors are under the name of their catalog.
            with self._opening:
                self.__dict__.pop("_opened_followers", None)
        if self.catalog.position != self._followed:
            self._follow_in_turn(self._followers)

    def sync(
        self,
        plan: Plan,
        on_progress: Callable[[Progress], None],
        stop: Stop = NEVER,
        engine: Engine | None = None,
    ) -> SyncReport:
        """Carry out a plan (see sync.plan); both indexes follow meanwhile, and are up to date at the end.

        engine: reads, cuts and embeds elsewhere, as `cluster.ray_engine` does; here where there is none.

        Raises IndexingError where chunks would be longer than the model reads, what sync raises, and Stopped where
        somebody asked to stop before anything was done.
        """
        if self._settings.chroma_url or "_opened_followers" in vars(self):
            # A server is asked before the long work. What an index missed, while its server was away or its disk full,
            # it gets though no file has changed since.
            self._follow(NEVER)
        if not (plan.put or plan.point or plan.remove):
            self.catalog.remember(plan.roots)
            self._scrub()
            return plan.report
        self._begin_probe()
        if plan.put:
            with stop.interruptible():
                self._insist_that_chunks_are_read()
        self._follow(stop)
        parts = (self._recipe.splitter, self._recipe.embeddings)
        on_step = self._following(on_progress, stop)
        with self._recipe.reader(stop) as load:
            report = sync(plan, self.catalog, *parts, on_step, load=load, stop=stop, engine=engine)
        self._follow(NEVER)
        if not report.pending:
            self._scrub()
        return report

    def remove(self, plan: Plan) -> SyncReport:
        """Carry out a removal (see sync.removal), and leave nothing on the disk that was made from the documents.

        Both indexes are made again from the catalog for that: one or two milliseconds for each chunk that stays.
        """
        self._begin_probe()
        self.catalog.forget(plan.remove)
        self._follow(NEVER)
        self._scrub()
        return plan.report

    def check(self) -> list[Fault]:
        """Look whether the catalog is sound, and both indexes hold what it holds; see `check.faults`."""
        from index.check import faults

        vectors, lexical = self._followers
        with self._applying:
            return [*faults(self.catalog, vectors, lexical)]

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

    def close(self) -> None:
        """Close the stores and give the folder free."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insist_that_chunks_are_read(self) -> None:
        read, wanted = self.embeddings.max_tokens, self._recipe.chunk_tokens
        if wanted > read:
            raise IndexingError(
                f"The embedding model reads {read} tokens, chunks have {wanted}. Set INDEX_CHUNK_TOKENS={read} or less"
            )

    def _following(self, on_progress: Callable[[Progress], None], stop: Stop) -> Callable[[Progress], None]:
        """Let the indexes follow every few chunks, so that little is left to do whenever the sync ends."""
        followed = 0

        def step(progress: Progress) -> None:
            nonlocal followed
            on_progress(progress)
            if progress.chunks - followed >= FOLLOW_CHUNKS:
                followed = progress.chunks
                self._follow(stop)

        return step

    def _scrub(self) -> None:
        logger.debug("Old text is taken off the disk")
        self.catalog.scrub()

    def _chosen(self, where: Filter) -> frozenset[str] | None:
        return None if where == EVERYTHING else self.catalog.matching(where)

    def _search_vectors(self, vector: Sequence[float], k: int, documents: Set[str] | None) -> "Ranking":
        from index.search import standardised

        asked = np.asarray(vector, np.float32)
        near = self._near(asked, k, documents)
        return standardised(near, self._by_chance() @ asked) if near else near

    def _near(self, asked: Vector, k: int, documents: Set[str] | None) -> "Ranking":
        if documents is None:
            return self._nearest(asked, k)
        # Chroma's own filter takes 14 ms at 20,000 chunks for one document and 54 ms for nine in ten.
        near = _of(documents, self._nearest(asked, k * LOOKED_THROUGH))
        return near[:k] if len(near) >= k else self.catalog.nearest(asked, k, documents)

    def _by_chance(self) -> Vector:
        from index.search import BY_CHANCE

        sample = self._sample
        if sample is None:
            sample = self._sample = self.catalog.by_chance(BY_CHANCE)
        return sample

    def _known_languages(self) -> set[str]:
        languages = self._languages
        if languages is None:
            languages = self._languages = self.catalog.languages()
        return languages

    def _search_terms(self, query: str, k: int, documents: Set[str] | None) -> "Ranking":
        terms = query_terms(query, [None, *self._known_languages()])
        if documents is None:
            return self._holding(terms, k)
        near = _of(documents, self._holding(terms, k * LOOKED_THROUGH))
        return near[:k] if len(near) >= k else self._holding(terms, k, documents)

    def _nearest(self, vector: Vector, k: int) -> "Ranking":
        vectors, _ = self._followers
        return self._found(lambda: vectors.search(vector, k))

    def _holding(self, terms: Mapping[str | None, Sequence[str]], k: int, among: Set[str] | None = None) -> "Ranking":
        _, lexical = self._followers
        return self._found(lambda: lexical.search(terms, k, among))

    def _found(self, search: Callable[[], "Ranking"]) -> "Ranking":
        """Search, and once more if what is searched had to be made again."""
        try:
            return search()
        except StoreLost as error:
            logger.warning("%s", error)
            self._catch_up()
            return search()

    def _catch_up(self) -> None:
        """Bring both indexes up to date while questions wait: what was lost is made again."""
        with self._opening:
            self._follow_in_turn(self._opened_followers)

    def _follow_in_turn(self, followers: "tuple[VectorIndex, LexicalIndex]") -> None:
        """Bring both indexes up to date; one that others write to only if none of them does so now."""
        if not (self.shared and self._settings.chroma_url):
            position = self.catalog.position
            self._apply(followers, NEVER)
            self._followed = position
            return
        vectors, lexical = followers
        self._apply([lexical], NEVER)
        with self.catalog.turn_if_free() as ours:
            if ours:
                position = self.catalog.position
                self._apply(followers, NEVER)
                self._followed = position
            else:
                vectors.reach()

    def _follow(self, stop: Stop) -> None:
        """Bring both indexes up to date while questions are answered."""
        logger.debug("The indexes follow")
        self._apply(self._followers, stop)

    def _apply(self, followers: Sequence[Follower], stop: Stop) -> None:
        with self._applying:
            for follower in followers:
                try:
                    follow(self.catalog, follower, stop=stop)
                except StoreLost:
                    # Damage that was seen only now.
                    follow(self.catalog, follower, stop=stop)
            self._sample = self._languages = None

    @property
    def _followers(self) -> "tuple[VectorIndex, LexicalIndex]":
        # Others may have put another catalog in the place of the one that was opened.
        self.catalog.expect(self._made_with)
        with self._opening:
            return self._opened_followers

    @cached_property
    def _opened_followers(self) -> "tuple[VectorIndex, LexicalIndex]":
        from index.lexical import LexicalIndex

        vectors = self._open_vectors()
        self._resources.callback(vectors.close)
        lexical = LexicalIndex.open(self._settings.path / "lexical")
        self._follow_in_turn((vectors, lexical))
        return vectors, lexical

    def _open_vectors(self) -> "VectorIndex":
        from index.vectors import VectorIndex

        if self._settings.chroma_url is None:
            return VectorIndex.open(self._probe)
        return VectorIndex(_server(self._settings, self.catalog.id))

    def _begin_probe(self) -> None:
        """Let a child process look at the folder of the vectors while this one loads the model."""
        if self._settings.chroma_url is None:
            with self._opening:
                _ = self._probe

    @cached_property
    def _probe(self) -> "Probe":
        from index.probe import Probe

        return Probe.start(self._settings.path / "vectors")


def _server(settings: IndexSettings, catalog: str) -> "Server":
    from index.vectors import Address, Server

    key = settings.chroma_key.get_secret_value() if settings.chroma_key else None
    address = Address(str(settings.chroma_url).rstrip("/"), key, settings.chroma_database)
    return Server(address, catalog)


def _of(documents: Set[str], ranking: "Ranking") -> "Ranking":
    """Keep the chunks of these documents."""
    return [(chunk, score) for chunk, score in ranking if document_of(chunk) in documents]
