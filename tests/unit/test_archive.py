"""An index in one file: packed while it is used, put in place whole, refused where it is not as it should be."""

import json
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from index import Index, IndexSettings, plan
from index.archive import MANIFEST, pack
from index.build import export_index, import_index, open_matching, open_or_create, own
from index.database import CATALOG
from index.errors import IndexingError, IndexLocked, InvalidArchive, StoreUnavailable
from tests.fakes import paragraph_recipe

RECIPE = paragraph_recipe("hashing", dimension=32)


@pytest.fixture
def settings(tmp_path: Path) -> IndexSettings:
    return IndexSettings(path=tmp_path / "index")


@pytest.fixture
def index(settings: IndexSettings, tmp_path: Path) -> Iterator[Index]:
    (tmp_path / "docs").mkdir()
    for name in ("avoine", "orge", "seigle"):
        (tmp_path / "docs" / f"{name}.txt").write_text(f"L'{name} est mûr.", "utf-8")
    with own(settings, RECIPE, open_or_create) as index:
        index.sync(plan([tmp_path / "docs"], index.catalog), lambda _: None)
        yield index


@pytest.fixture
def archive(index: Index, settings: IndexSettings, tmp_path: Path) -> Path:
    """Packed while a process owns the index."""
    export_index(settings, tmp_path / "backup.zip")
    index.close()
    return tmp_path / "backup.zip"


def elsewhere(tmp_path: Path) -> IndexSettings:
    return IndexSettings(path=tmp_path / "elsewhere")


def test_what_is_put_in_place_finds_what_was_packed(archive: Path, tmp_path: Path) -> None:
    manifest = import_index(elsewhere(tmp_path), archive)

    assert (manifest.documents, manifest.chunks, manifest.fingerprint) == (3, 3, "hashing")
    with own(elsewhere(tmp_path), RECIPE, open_matching) as index:
        found = index.retriever(1).invoke("orge")
        assert [document.page_content for document in found] == ["L'orge est mûr."]
        assert index.check() == []
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.zip", "docs", "elsewhere", "index"]


def test_a_backup_that_is_put_back_is_no_longer_followed_by_what_followed_it(
    archive: Path, settings: IndexSettings, tmp_path: Path
) -> None:
    with own(settings, RECIPE, open_matching) as index:
        before = index.catalog.id
        index.catalog.remove([str(tmp_path / "docs" / "orge.txt")])
        _ = index._followers

    import_index(settings, archive, replace=True)

    with own(settings, RECIPE, open_matching) as index:
        assert index.catalog.id != before
        assert index.check() == []
        assert len(index.sources()) == 3


def test_documents_that_are_indexed_are_replaced_only_if_that_is_said(archive: Path, settings: IndexSettings) -> None:
    with pytest.raises(IndexingError, match="--replace"):
        import_index(settings, archive)

    assert import_index(settings, archive, replace=True).documents == 3


def test_an_index_that_a_process_owns_is_not_replaced(archive: Path, settings: IndexSettings) -> None:
    with own(settings, RECIPE, open_matching), pytest.raises(IndexLocked, match="is using the index"):
        import_index(settings, archive, replace=True)


def rewritten(archive: Path, manifest: dict[str, object] | None = None, catalog: bytes | None = None, **more: bytes):
    """Write the archive anew with other things in it."""
    with zipfile.ZipFile(archive) as old:
        said, content = json.loads(old.read(MANIFEST)), old.read(CATALOG)
    with zipfile.ZipFile(archive, "w") as new:
        new.writestr(MANIFEST, json.dumps(said | (manifest or {})))
        new.writestr(CATALOG, content if catalog is None else catalog)
        for name, stuff in more.items():
            new.writestr(name, stuff)


def cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-2000])


def flip(archive: Path) -> None:
    rewritten(archive)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)


def poisoned(archive: Path) -> None:
    """Give the catalog a trigger, and the manifest the right hash."""
    import hashlib

    copy = archive.with_name("copy.sqlite")
    with zipfile.ZipFile(archive) as old:
        copy.write_bytes(old.read(CATALOG))
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute("create trigger evil after update on meta begin delete from documents; end")
    content = copy.read_bytes()
    copy.unlink()
    rewritten(archive, {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}, content)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "is damaged"),
        (flip, "is damaged"),
        (lambda archive: archive.write_text("no archive"), "is damaged"),
        (lambda archive: rewritten(archive, {"format": 2, "sourcier": "9.0"}), "was made by sourcier 9.0.*Upgrade"),
        (lambda archive: rewritten(archive, {"schema": 99}), "Upgrade"),
        (lambda archive: rewritten(archive, {"bytes": 10**18}), "Make room"),
        (lambda archive: rewritten(archive, {"bytes": 100}), "not what its manifest says"),
        (lambda archive: rewritten(archive, {"bytes": "many"}), "manifest cannot be read"),
        (lambda archive: rewritten(archive, {"sha256": "0" * 64}), "not what its manifest says"),
        (lambda archive: rewritten(archive, catalog=b""), "not what its manifest says"),
        (lambda archive: rewritten(archive, **{"../../evil": b"x"}), "no archive of an index"),
        (lambda archive: rewritten(archive, **{"vectors/index_metadata.pickle": b"x"}), "no archive of an index"),
        (poisoned, "more than tables"),
    ],
)
def test_an_archive_that_is_not_as_it_should_be_changes_nothing(
    archive: Path, settings: IndexSettings, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(archive)
    before = (settings.path / CATALOG).read_bytes()

    with pytest.raises(InvalidArchive, match=says):
        import_index(settings, archive, replace=True)

    assert (settings.path / CATALOG).read_bytes() == before
    assert not (settings.path / "rebuild").exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_bomb_is_not_unpacked_beyond_what_the_manifest_says(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        manifest = old.read(MANIFEST)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(MANIFEST, manifest)
        new.writestr(CATALOG, bytes(200_000_000))

    with pytest.raises(InvalidArchive, match="not what its manifest says"):
        import_index(elsewhere(tmp_path), archive)


def test_a_place_that_cannot_be_written_to_is_named_and_nothing_is_left(index: Index, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        pack(index.catalog, tmp_path / "nowhere" / "backup.zip")

    assert not (tmp_path / "nowhere").exists()
