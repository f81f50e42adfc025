"""Folders that are followed: real changes, a real index, a model that is faked."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.watch import counts, watching
from index import Index, IndexSettings, SyncQueue
from index.build import open_or_create, own
from tests.fakes import paragraph_recipe

Said = queue.SimpleQueue[str]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with own(
        IndexSettings(path=tmp_path / "index"), paragraph_recipe("hashing", dimension=32), open_or_create
    ) as index:
        yield index


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    write(docs / "orge.txt", "L'orge mûrit.")
    return docs


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


@contextmanager
def followed(index: Index, *folders: Path) -> Iterator[Said]:
    said: Said = queue.SimpleQueue()
    with SyncQueue(index) as syncs, watching(folders, syncs, index.folder, said.put, retry_seconds=0.2):
        yield said


def until(said: Said, words: str) -> None:
    """Wait for words to be said; what is said before is passed over."""
    while words not in said.get(timeout=60):
        pass


def names(index: Index) -> set[str]:
    return {Path(source.path).name for source in index.sources()}


def test_a_folder_is_indexed_at_the_beginning_and_then_after_each_change(index: Index, docs: Path) -> None:
    with followed(index, docs) as said:
        until(said, f"{docs}: +1 ~0 -0 =0")
        write(docs / "avoine.txt", "L'avoine fleurit.")
        until(said, "+1 ~0 -0 =1")
        write(docs / "orge.txt", "L'orge est mûre.")
        until(said, "+0 ~1 -0 =1")
        (docs / "avoine.txt").unlink()
        until(said, "+0 ~0 -1 =1")

    assert names(index) == {"orge.txt"}


def test_folders_made_later_are_followed_too_and_several_side_by_side(index: Index, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with followed(index, docs, tmp_path / "notes") as said:
        until(said, f"{docs}: +1")
        write(tmp_path / "notes" / "note.md", "# Une note")
        until(said, f"{tmp_path / 'notes'}: +1")
        (docs / "deep").mkdir()
        write(docs / "deep" / "seigle.txt", "Le seigle pousse.")
        until(said, f"{docs}: +1")

    assert names(index) == {"orge.txt", "note.md", "seigle.txt"}


def test_a_folder_that_vanishes_empties_nothing_and_is_followed_again_once_it_is_back(
    index: Index, docs: Path, tmp_path: Path
) -> None:
    with followed(index, docs) as said:
        until(said, "+1 ~0 -0 =0")
        docs.rename(tmp_path / "away")
        until(said, f"{docs} is not in step: {docs} is not there, but documents are indexed from it")
        assert names(index) == {"orge.txt"}
        (tmp_path / "away").rename(docs)
        until(said, "+0 ~0 -0 =1")
        write(docs / "avoine.txt", "L'avoine fleurit.")
        until(said, "+1 ~0 -0 =1")


def test_another_folder_in_its_place_is_followed(index: Index, docs: Path, tmp_path: Path) -> None:
    with followed(index, docs) as said:
        until(said, "+1 ~0 -0 =0")
        (tmp_path / "new").mkdir()
        write(tmp_path / "new" / "seigle.txt", "Le seigle pousse.")
        docs.rename(tmp_path / "away")
        (tmp_path / "new").rename(docs)
        until(said, "+1 ~0 -1 =0")
        write(docs / "avoine.txt", "L'avoine fleurit.")
        until(said, "+1 ~0 -0 =1")


def test_what_is_hidden_and_the_index_itself_call_for_no_sync() -> None:
    root, index = Path("/docs"), Path("/docs/kept/index")

    assert counts(root / "deep" / "a.txt", root, index)
    assert counts(Path("/.home/docs/a.txt"), Path("/.home/docs"), index)
    assert not counts(root / ".git" / "a.txt", root, index)
    assert not counts(root / "deep" / ".a.txt.swp", root, index)
    assert not counts(index / "catalog.sqlite", root, index)
