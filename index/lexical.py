"""The lexical index: terms of the catalog in tantivy, ranked by BM25. The only file that knows tantivy.

Of each term only a hash is stored, keyed with the id of the catalog. tantivy keeps terms of deleted rows until it
merges their segment, which may be never: so words of documents that are gone do not stay on the disk.
"""

import hashlib
import json
import logging
import math
import shutil
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Self

import tantivy

from index.catalog import Change, Chunk, Position, StoredDocument
from index.errors import StoreLost, usable
from index.split import searched_text
from index.swap import beside, put
from index.terms import terms

logger = logging.getLogger(__name__)

WRITER_BYTES = 50_000_000


class LexicalIndex:
    """The terms of the catalog's chunks; a Follower of the catalog.

    One process at a time may have the folder open (see lock.py); its threads may search while one writes.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder that is sound or empty; use `open` for one of unknown health."""
        self.folder = folder
        with usable("lexical index", folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._reach()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the folder; what is broken is thrown away, and the index starts empty.

        Raises:
            StoreUnavailable: the folder cannot be written to.
        """
        if folder.exists() and (found := fault(folder)):
            logger.warning("The lexical index at %s is made again: %s", folder, found)
            with usable("lexical index", folder):
                shutil.rmtree(folder)
        return cls(folder)

    @property
    def position(self) -> Position | None:
        """The position of the last `apply`; None where the files are not as that left them."""
        if said := self._changed() or self._missing() or self._relisted():
            logger.warning("The lexical index at %s is made again: %s", self.folder, said)
            return None
        with usable("lexical index", self.folder):
            return _position(self._index.searcher())

    def fault(self) -> str | None:
        """Say what is wrong with the files as they are now."""
        return fault(self.folder)

    def ids(self) -> set[str]:
        """Give the ids of the chunks that are held."""
        with usable("lexical index", self.folder):
            searcher = self._index.searcher()
            hits = searcher.search(tantivy.Query.all_query(), max(1, searcher.num_docs)).hits
            return {searcher.doc(address)["id"][0] for _, address in hits} - {POSITION}

    def apply(self, changes: Sequence[Change], position: Position) -> None:
        """Put the terms of the documents that changed, take out those that are gone; all in one commit.

        Raises:
            StoreUnavailable: the disk is full or the folder cannot be written to.
        """
        with usable("lexical index", self.folder), self._writing() as writer:
            for change in changes:
                writer.delete_documents_by_term("source", change.source)
                if change.document:
                    for id, chunk in change.document.chunks_by_id():
                        words = " ".join(_words(change.document, chunk, position.catalog))
                        writer.add_document(tantivy.Document(id=id, source=change.source, terms=words))
            # The position is a row among the others, and so is written with them or not at all.
            writer.delete_documents_by_term("id", POSITION)
            number = json.dumps({"catalog": position.catalog, "number": position.number})
            writer.add_document(tantivy.Document(id=POSITION, position=number))

    @contextmanager
    def anew(self) -> Iterator["LexicalIndex"]:
        """Give an empty one beside this one, which takes its place at the end."""
        with usable("lexical index", self.folder), beside(self.folder) as new:
            yield LexicalIndex(new)
            put(new, self.folder)
            self._reach()

    def search(
        self, terms: Mapping[str | None, Sequence[str]], k: int, documents: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Find the chunks that hold any of the terms of their language, as `index.terms.query_terms` makes them.

        Args:
            terms: by language, in any order.
            k: how many, at most.
            documents: ids; only chunks of these are found, and score as they would among all. None: of all.

        Returns:
            Chunk ids and scores, best first: which share of a question a chunk has, from 0 to 1. It is BM25, divided
            by the most that the terms of that language could give; a term that no chunk has counts as a rare one. So
            a question in another language than the documents, of which a name or a chance word is found, scores low.

        Raises:
            StoreLost: a file is not as it was written. To read on could crash this process.
            StoreUnavailable: the folder cannot be read.
        """
        if said := self._changed():
            raise StoreLost(f"The lexical index {self.folder} is damaged: {said}. Index again: it is made again.")
        with usable("lexical index", self.folder):
            searcher = self._index.searcher()
            position = _position(searcher)
            if not position:
                return []
            shares = [
                _share(searcher, [_hash(term, language, position.catalog) for term in sought])
                for language, sought in terms.items()
            ]
            query = tantivy.Query.boolean_query([(tantivy.Occur.Should, share) for share in shares if share])
            if documents is not None:
                query = _within(query, documents)
            hits = searcher.search(query, k).hits
            return [(searcher.doc(address)["id"][0], score) for score, address in hits]

    @contextmanager
    def _writing(self) -> Iterator[tantivy.IndexWriter]:
        """Commit at the end, and not at all on an error: the writer's own `with` would commit half of it."""
        writer = self._index.writer(WRITER_BYTES, num_threads=1)
        try:
            yield writer
            writer.commit()
        finally:
            writer.wait_merging_threads()
        self._index.reload()
        self._note()

    def _reach(self) -> None:
        index = tantivy.Index(_schema, str(self.folder))
        # As tantivy comes, a thread of its own reads the files when their list changes, and a file that somebody
        # cuts short meanwhile ends the process.
        index.config_reader("manual")
        self._index = index
        self._note()

    def _note(self) -> None:
        """Note how the files look, which tantivy writes once and the list of them anew."""
        self._list = _looks(self.folder / LIST)
        self._left = {file: _looks(file) for file in _files_of_segments(self.folder)}

    def _changed(self) -> str | None:
        """Name a file that somebody wrote to; one that is gone may be merged into another, while we write ourselves."""
        for file, left in self._left.items():
            if _looks(file) not in (left, None):
                return f"{file.name} is not as it was written"
        return None

    def _relisted(self) -> str | None:
        """Say so where somebody wrote to the list of the segments."""
        return None if _looks(self.folder / LIST) == self._list else f"{LIST} is not as it was written"

    def _missing(self) -> str | None:
        """Name a file that is gone."""
        return next((f"{file.name} is gone" for file in self._left if not file.exists()), None)


BM25_K1 = 1.2
"""How soon tantivy takes a term for repeated often enough: however often, it scores less than K1 + 1 times its weight.

References: Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009.
"""
TERM_BYTES = 8
REMEMBERED_TERMS = 100_000
POSITION = "position"
"""Id of the row that holds the position; chunk ids have a hyphen."""
LIST = "meta.json"
"""File that lists the segments."""
FOOTER = struct.Struct("<II")
"""What ends a file of tantivy: the length of the JSON before it, which holds the checksum, and a mark."""
FOOTER_MARK = 1337


def _words(document: StoredDocument, chunk: Chunk, catalog: str) -> Iterator[str]:
    """Give the hashes of a chunk's terms, in order, those of its title and headings first."""
    language = document.language
    text = searched_text(document.title, chunk.section, chunk.text)
    return (_hash(term, language, catalog) for term in terms(text, language))


@lru_cache(REMEMBERED_TERMS)
def _hash(term: str, language: str | None, catalog: str) -> str:
    """Hash a term of a language: what the stem of another one would mean there, nobody asks for."""
    return hashlib.blake2b(f"{language} {term}".encode(), digest_size=TERM_BYTES, key=catalog.encode()).hexdigest()


def _make_schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("source", tokenizer_name="raw", index_option="basic")
    # The terms are made by index.terms already; positions would serve phrases, which nobody asks for.
    builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("position", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


_schema = _make_schema()


def _share(searcher: tantivy.Searcher, words: Sequence[str]) -> tantivy.Query | None:
    """Build a query of the terms of one language that scores from 0 to 1; None where no chunk has any of them."""
    holders = {word: searcher.doc_freq("terms", word) for word in words}
    known = [word for word, number in holders.items() if number]
    if not known:
        return None
    # Rows that are gone are counted among the holders until tantivy merges them away, and not among all.
    chunks = max(searcher.num_docs, *holders.values())
    weights = (math.log(1 + (chunks - number + 0.5) / (number + 0.5)) for number in holders.values())
    return tantivy.Query.boost_query(_any_of("terms", known), 1 / ((BM25_K1 + 1) * sum(weights)))


def _any_of(field: str, values: Sequence[str]) -> tantivy.Query:
    """Build a query of terms as they are: what a user writes is never read as query syntax."""
    option = "freq" if field == "terms" else "basic"
    queries = [tantivy.Query.term_query(_schema, field, value, index_option=option) for value in values]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def _within(query: tantivy.Query, documents: Collection[str]) -> tantivy.Query:
    """Keep to some documents, which adds nothing to a score."""
    chosen = tantivy.Query.const_score_query(tantivy.Query.term_set_query(_schema, "source", [*documents]), 0.0)
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, chosen)])


def fault(folder: Path) -> str | None:
    """Say what is wrong with the files; tantivy itself does not compare its checksums when it opens."""
    try:
        for file in _files_of_segments(folder):
            _verify(file)
        index = tantivy.Index(_schema, str(folder))
        index.searcher().search(_any_of("id", [POSITION]), 1)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  A panic of the Rust side is no Exception.
        return str(error) or type(error).__name__
    return None


def _position(searcher: tantivy.Searcher) -> Position | None:
    for _, address in searcher.search(_any_of("id", [POSITION]), 1).hits:
        return Position(**json.loads(searcher.doc(address)["position"][0]))
    return None


def _looks(file: Path) -> tuple[int, int, int] | None:
    """Give what changes with a file; None where there is none."""
    with suppress(OSError):
        status = file.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _files_of_segments(folder: Path) -> list[Path]:
    """List the files that hold rows; others may be left of a commit that did not end."""
    meta = json.loads((folder / LIST).read_text(encoding="utf-8"))
    segments = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    return [file for file in folder.iterdir() if file.name.partition(".")[0] in segments]


def _verify(file: Path) -> None:
    content = file.read_bytes()
    length, mark = FOOTER.unpack(content[-FOOTER.size :])
    body = content[: -FOOTER.size - length]
    footer = json.loads(content[len(body) : -FOOTER.size])
    if mark != FOOTER_MARK or footer["crc"] != zlib.crc32(body):
        raise ValueError(f"{file.name} is damaged")
