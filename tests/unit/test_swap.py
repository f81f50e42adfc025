import shutil
from pathlib import Path

import pytest

from index.errors import StoreUnavailable
from index.swap import NEW, WHOLE, commit, settle


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Make the files of an old index, and beside them those of a new one."""
    index = tmp_path / "index"
    made(index, "old")
    (index / "lock").write_text("held")
    for log in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (index / log).write_text("old")
    made(index / NEW, "new")
    return index


def made(folder: Path, word: str) -> None:
    for piece in ("lexical", "vectors"):
        (folder / piece).mkdir(parents=True)
        (folder / piece / f"{word}.bin").write_text(word)
    (folder / "catalog.sqlite").write_text(word)


def files(index: Path) -> dict[str, str]:
    return {str(file.relative_to(index)): file.read_text() for file in sorted(index.rglob("*")) if file.is_file()}


PIECES = ["catalog.sqlite", "lexical", "vectors"]
NEW_FILES = {"catalog.sqlite": "new", "lexical/new.bin": "new", "lock": "held", "vectors/new.bin": "new"}


def test_a_new_index_takes_the_place_of_the_old_one_and_of_its_database_logs(index: Path) -> None:
    commit(index)

    assert files(index) == NEW_FILES
    assert sorted(path.name for path in index.iterdir()) == ["catalog.sqlite", "lexical", "lock", "vectors"]


def test_a_new_index_that_did_not_become_whole_is_thrown_away(index: Path) -> None:
    before = {name: text for name, text in files(index).items() if not name.startswith(NEW)}

    settle(index)

    assert files(index) == before
    assert not (index / NEW).exists()


@pytest.mark.parametrize("moved", [PIECES[:count] for count in range(4)])
def test_a_new_index_that_is_whole_is_moved_into_place_by_whoever_comes_next(index: Path, moved: list[str]) -> None:
    (index / NEW).rename(index / WHOLE)
    for piece in moved:
        old = index / piece
        shutil.rmtree(old) if old.is_dir() else old.unlink()
        (index / WHOLE / piece).rename(old)

    settle(index)

    assert files(index) == NEW_FILES


def test_a_folder_with_nothing_to_settle_stays_as_it_is(tmp_path: Path) -> None:
    made(tmp_path, "old")
    before = files(tmp_path)

    settle(tmp_path)

    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_settled_is_named(index: Path) -> None:
    shutil.rmtree(index / NEW)
    (index / NEW).write_text("a file, and no folder")

    with pytest.raises(StoreUnavailable, match=f"The folder {index} cannot be written to"):
        settle(index)
