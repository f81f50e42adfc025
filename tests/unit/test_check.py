"""Catalog, vectors and words are compared chunk by chunk."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index import Index, IndexSettings, plan
from index.build import check_index, open_or_create, own
from index.lexical import LexicalIndex
from index.vectors import VectorIndex
from tests.fakes import paragraph_recipe

RECIPE = paragraph_recipe("hashing", dimension=32)


@pytest.fixture
def settings(tmp_path: Path) -> IndexSettings:
    return IndexSettings(path=tmp_path / "index")


@pytest.fixture
def index(settings: IndexSettings, tmp_path: Path) -> Iterator[Index]:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("avoine", "orge"):
        (docs / f"{name}.txt").write_text(
            "\n\n".join(f"L'{name} a {i} grains, et chacun de ces grains est mûr cet été-là." for i in range(4)),
            "utf-8",
        )
    with own(settings, RECIPE, open_or_create) as index:
        index.sync(plan([docs], index.catalog), lambda _: None)
        yield index


def followers(index: Index) -> tuple[VectorIndex, LexicalIndex]:
    return index._followers


def change(index: Index, statement: str) -> None:
    with closing(sqlite3.connect(index.folder / "catalog.sqlite")) as database, database:
        database.execute("pragma foreign_keys = off")
        database.execute(statement)


def test_an_index_that_is_as_it_was_left_has_no_fault(index: Index, settings: IndexSettings) -> None:
    assert index.check() == []
    index.close()
    assert check_index(settings) == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update chunks set end = 10000 where id = (select max(id) from chunks)", "1 chunks do not lie in the text"),
        ("update chunks set end = start where start = 0", "2 chunks do not lie in the text"),
        ("update chunks set start = start + 1, end = end + 1 where start = 0", "2 chunks have another id"),
        ("update chunks set vector = x'0000' where id = (select max(id) from chunks)", "vectors of another length"),
        ("delete from documents where id = (select min(id) from documents)", "chunks are of no document"),
        ("delete from paths where path like '%orge%'", "1 documents have no chunk, or no file"),
    ],
)
def test_faults_of_the_catalog_are_found(index: Index, statement: str, says: str) -> None:
    change(index, statement)

    assert any(says in fault for fault in index.catalog.faults())


def lose_a_vector(index: Index) -> None:
    vectors, _ = followers(index)
    vectors._collection.delete(ids=[min(vectors.ids())])


def change_a_vector(index: Index) -> None:
    vectors, _ = followers(index)
    vectors._collection.update(ids=[min(vectors.ids())], embeddings=np.ones((1, 32), np.float32))


def lose_words(index: Index) -> None:
    _, lexical = followers(index)
    with lexical._writing() as writer:
        writer.delete_documents_by_term("id", min(lexical.ids()))


def keep_what_is_gone(index: Index) -> None:
    change(index, "delete from chunks where id = (select max(id) from chunks)")


@pytest.mark.parametrize(
    ("damage", "parts", "says"),
    [
        (lose_a_vector, {"vectors"}, "1 chunks are missing"),
        (change_a_vector, {"vectors"}, "1 of 8 vectors"),
        (lose_words, {"lexical"}, "1 chunks are missing"),
        (keep_what_is_gone, {"vectors", "lexical"}, "1 chunks are not in the catalog"),
    ],
)
def test_differences_between_catalog_and_indexes_are_found(
    index: Index, damage: Callable[[Index], None], parts: set[str], says: str
) -> None:
    damage(index)

    found = index.check()
    assert {fault.part for fault in found} == parts
    assert all(says in fault.says for fault in found)


def test_what_is_still_to_be_followed_is_no_fault(index: Index, tmp_path: Path) -> None:
    _ = followers(index)
    index.catalog.remove([str(tmp_path / "docs" / "orge.txt")])

    assert index.check() == []


def test_folders_that_are_gone_or_of_another_catalog_are_named_and_left_as_they_are(
    index: Index, settings: IndexSettings
) -> None:
    index.close()
    shutil.rmtree(settings.path / "vectors")
    with closing(sqlite3.connect(settings.path / "catalog.sqlite")) as database, database:
        database.execute("update meta set value = 'another' where key = 'catalog'")

    found = {fault.part: fault.says for fault in check_index(settings)}

    assert found == {"vectors": "it is not there", "lexical": "it was not made from this catalog"}
    assert not (settings.path / "vectors").exists()
