"""What is removed is gone from the disk: every file below the index is searched for its bytes."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import chromadb
import pytest
import tantivy

from index import IndexSettings
from index.build import Index, open_or_create, own
from index.catalog import Catalog, document_id
from index.sync import plan, removal
from index.types import SyncReport
from tests.fakes import paragraph_recipe

SECRET = "Le mot de passe secret est wolkenkuckucksheim."
NAME = "denonciation"
recipe = paragraph_recipe("hashing", dimension=32)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Make a document with a secret among twenty others."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(20):
        paragraphs = (f"Le paragraphe {n} du document {number} ne dit rien de particulier." for n in range(40))
        (docs / f"{number:02}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    (docs / f"{NAME}.txt").write_text(f"Un début.\n\n{SECRET}\n\nUne fin.", encoding="utf-8")
    return docs


@pytest.fixture
def index(tmp_path: Path, docs: Path) -> Iterator[Index]:
    with own(IndexSettings(path=tmp_path / "index"), recipe, open_or_create) as index:
        synced(index, docs)
        yield index


def synced(index: Index, *paths: Path) -> SyncReport:
    return index.sync(plan(paths, index.catalog), lambda _: None)


def holding(folder: Path, words: str) -> list[str]:
    """Give the files that hold these words, in any of the ways text is written."""
    patterns = [words.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
    files = (file for file in folder.rglob("*") if file.is_file())
    return [str(file.relative_to(folder)) for file in files if any(p in file.read_bytes() for p in patterns)]


def id_of(index: Index) -> str:
    [id] = [source.id for source in index.sources() if NAME in source.path]
    return id


def forget(index: Index, docs: Path) -> str:
    index.remove(removal([str(docs / f"{NAME}.txt")], index.catalog))
    return "removed"


def delete(index: Index, docs: Path) -> str:
    (docs / f"{NAME}.txt").unlink()
    return str(synced(index, docs))


def edit(index: Index, docs: Path) -> str:
    (docs / f"{NAME}.txt").write_text("Un début.\n\nUne fin.", encoding="utf-8")
    return str(synced(index, docs))


@pytest.mark.parametrize(
    ("act", "done"),
    [(forget, "removed"), (delete, "+0 ~0 -1 =20"), (edit, "+0 ~1 -0 =20")],
    ids=["forget", "delete", "edit"],
)
def test_text_is_gone_from_every_file_while_the_index_is_open_and_after(
    index: Index, docs: Path, tmp_path: Path, act: Callable[[Index, Path], str], done: str
) -> None:
    assert any(name.startswith("catalog.sqlite") for name in holding(tmp_path / "index", SECRET))
    rare = "wolkenkuckucksheim"

    assert act(index, docs) == done

    assert holding(tmp_path / "index", SECRET) == holding(tmp_path / "index", rare) == []
    assert not any(rare in passage.text for passage in index.retriever(50).search(rare))
    index.close()
    assert holding(tmp_path / "index", rare) == []


def test_the_text_stands_in_the_catalog_only(index: Index, tmp_path: Path) -> None:
    index.close()
    assert holding(tmp_path / "index", SECRET) == ["catalog.sqlite"]


def test_of_what_was_forgotten_no_id_vector_or_name_is_left_anywhere(index: Index, docs: Path, tmp_path: Path) -> None:
    id = id_of(index)
    folder = tmp_path / "index"
    [vector, *_] = [
        c.vector for change in index.catalog.changes(0) if change.source == id for c in change.document.chunks
    ]
    assert {Path(name).name.removesuffix("-wal") for name in holding(folder, id)} >= {
        "catalog.sqlite",
        "chroma.sqlite3",
    }
    assert any(vector.tobytes() in file.read_bytes() for file in (folder / "vectors").rglob("*") if file.is_file())

    forget(index, docs)
    index.close()

    assert holding(folder, id) == []
    assert holding(folder, NAME) == []
    assert not any(vector.tobytes() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    searcher = tantivy.Index.open(str(folder / "lexical")).searcher()
    assert searcher.terms_with_prefix("source", id) == []
    assert searcher.terms_with_prefix("id", id) == []
    rows = chromadb.PersistentClient(str(folder / "vectors")).get_collection("chunks", embedding_function=None)
    assert rows.count() == len(rows.get(where={"source": {"$ne": id}})["ids"]) == 20 * 40


def test_memory_that_chroma_gets_holds_nothing_of_what_was_forgotten(index: Index, docs: Path) -> None:
    forget(index, docs)
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    secret = SECRET.encode() * 50
    place = libc.malloc(len(secret))
    ctypes.memmove(place, secret, len(secret))
    libc.free(place)

    again = libc.malloc(len(secret))

    assert SECRET.encode() not in ctypes.string_at(again, len(secret))
    libc.free(again)


def test_a_kill_before_the_text_was_taken_off_the_disk_leaves_that_to_the_next_sync(
    index: Index, docs: Path, tmp_path: Path
) -> None:
    (docs / f"{NAME}.txt").unlink()
    # All that a sync does, but for its last step.
    index.catalog.remove([str(docs / f"{NAME}.txt")])
    assert index.catalog.has_traces

    assert str(synced(index, docs)) == "+0 ~0 -0 =20"

    assert not index.catalog.has_traces
    assert holding(tmp_path / "index", SECRET) == []


def test_what_was_forgotten_but_still_lies_in_its_folder_comes_back_with_the_next_sync(
    index: Index, docs: Path
) -> None:
    id = id_of(index)
    forget(index, docs)
    assert id not in {source.id for source in index.sources()}

    assert str(synced(index, docs)) == "+1 ~0 -0 =20"

    best, *_ = index.retriever(3).search(SECRET)
    assert best.source == id
    assert SECRET in best.text


def test_an_index_of_another_model_forgets_too(index: Index, docs: Path, tmp_path: Path) -> None:
    index.close()
    other = paragraph_recipe("another", dimension=64)

    with own(IndexSettings(path=tmp_path / "index"), other, lambda path, _: Catalog.open(path)) as opened:
        forget(opened, docs)
        assert len(opened.sources()) == 20

    assert holding(tmp_path / "index", SECRET) == []


def test_an_index_can_forget_all_it_holds(index: Index, docs: Path, tmp_path: Path) -> None:
    hashes = set(index.catalog.hashes().values())

    report = index.remove(removal([str(docs)], index.catalog))

    assert report.deleted == 21
    assert (index.sources(), index.catalog.roots()) == ([], [])
    assert [hash for hash in hashes if holding(tmp_path / "index", document_id(hash))] == []
