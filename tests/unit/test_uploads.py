import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.errors import FileTooLarge, NoRoom, UploadNotFound
from assistant.web.uploads import SENDING, Limits, Uploads, safe_parts
from index import Index, IndexSettings, SyncQueue, SyncReport
from index.build import open_or_create, own
from tests.fakes import paragraph_recipe
from tests.threads import alone


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    settings = IndexSettings(path=tmp_path_factory.mktemp("owned") / "index")
    with own(settings, paragraph_recipe("hashing", dimension=32), open_or_create) as index:
        yield index


@pytest.fixture
def queue(index: Index) -> Iterator[SyncQueue]:
    with SyncQueue(index) as queue:
        yield queue


@pytest.fixture
def uploads(tmp_path: Path, index: Index, queue: SyncQueue) -> Uploads:
    return Uploads(tmp_path / "uploads", index, queue)


async def sent(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def broken_off() -> AsyncIterator[bytes]:
    yield b"Le chat"
    raise ConnectionError


def kept(keeping: Coroutine[Any, Any, str]) -> str:
    return alone(lambda: asyncio.run(keeping))


def keep(uploads: Uploads, name: str, text: str) -> str:
    return kept(uploads.keep(name, sent(text.encode())))


def synced(uploads: Uploads) -> SyncReport:
    return uploads.sync().report()


def names(uploads: Uploads) -> list[str]:
    return [file.name for file in uploads.list()]


def test_a_file_is_kept_as_it_came_in_the_folders_it_came_in(uploads: Uploads) -> None:
    assert keep(uploads, "Rapports/2024/été.txt", "Le chat dort.") == "Rapports/2024/été.txt"

    assert (uploads.folder / "Rapports/2024/été.txt").read_text("utf-8") == "Le chat dort."
    assert uploads.folder.stat().st_mode & 0o777 == 0o700


def test_another_file_of_the_same_name_gets_a_number_and_the_same_file_none(uploads: Uploads) -> None:
    keep(uploads, "a.txt", "Le chat dort.")

    assert keep(uploads, "a.txt", "Le chien dort.") == "a (2).txt"
    assert keep(uploads, "a.txt", "Le chat dort.") == "a.txt"
    assert (uploads.folder / "a.txt").read_text("utf-8") == "Le chat dort."
    assert names(uploads) == ["a (2).txt", "a.txt"]


def test_a_folder_of_the_name_of_a_file_gets_a_number(uploads: Uploads) -> None:
    keep(uploads, "a", "Le chat dort.")

    assert keep(uploads, "a/b.txt", "Le chien dort.") == "a (2)/b.txt"


def test_no_file_is_written_through_a_link(uploads: Uploads, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("à moi")
    uploads.folder.mkdir()
    (uploads.folder / "out").symlink_to(outside)
    (uploads.folder / "a.txt").symlink_to(outside / "a.txt")

    assert keep(uploads, "out/a.txt", "Le chat dort.") == "out (2)/a.txt"
    assert keep(uploads, "a.txt", "Le chat dort.") == "a (2).txt"
    assert [(file.name, file.read_text("utf-8")) for file in outside.iterdir()] == [("a.txt", "à moi")]


@given(st.text(max_size=300))
@example("../../etc/passwd")
@example("..\\..\\boot.ini")
@example("/etc/passwd")
@example("a/../../b")
@example(".ssh/authorized_keys")
@example("con\x00trol\n.txt")
@example("\u202efdp.exe")
@example("é" * 300 + ".pdf")
@example("a." + "b" * 300)
@example("\ud800.txt")
@example("")
def test_a_name_leads_nowhere_else_and_can_be_a_name(name: str) -> None:
    parts = safe_parts(name)

    assert parts
    for part in parts:
        assert part not in {"", ".", ".."}
        assert not part.startswith((".", " "))
        assert not set("/\\\x00\u202e") & set(part)
        assert len(part.encode()) <= 220
    assert len(parts) <= 9


def test_a_long_name_keeps_its_ending() -> None:
    [name] = safe_parts("é" * 300 + ".pdf")

    assert name.endswith("é.pdf")


def test_an_upload_that_breaks_off_leaves_nothing(uploads: Uploads) -> None:
    with pytest.raises(ConnectionError):
        kept(uploads.keep("a.txt", broken_off()))

    assert [path for path in uploads.folder.rglob("*") if path.is_file()] == []


def test_what_a_killed_server_left_is_removed_at_the_next_start(uploads: Uploads) -> None:
    left = uploads.folder / SENDING / "half"
    left.parent.mkdir(parents=True)
    left.write_text("Le cha")
    keep(uploads, "a.txt", "Le chat dort.")

    again = Uploads(uploads.folder, uploads._index, uploads._queue)

    assert not left.exists()
    assert names(again) == ["a.txt"]


@pytest.mark.parametrize(
    ("limits", "error"),
    [(Limits(file_bytes=9), FileTooLarge), (Limits(bytes_in_all=20), NoRoom), (Limits(files=1), NoRoom)],
)
def test_beyond_a_limit_nothing_is_kept(uploads: Uploads, limits: Limits, error: type[Exception]) -> None:
    keep(uploads, "a.txt", "Le chat dort.")
    uploads.limits = limits

    with pytest.raises(error):
        kept(uploads.keep("b.txt", sent(b"Le chien", b" dort.")))

    assert names(uploads) == ["a.txt"]


def test_a_file_is_listed_with_its_document_or_the_reason_why_it_has_none(uploads: Uploads, index: Index) -> None:
    keep(uploads, "a.txt", "Le hibou dort.")
    keep(uploads, "b.exe", "MZ")
    assert [(file.source, file.reason) for file in uploads.list()] == [(None, None), (None, None)]

    synced(uploads)

    good, bad = uploads.list()
    assert index.text(str(good.source)) == "Le hibou dort."
    assert bad.reason == "no loader for .exe"


def test_removing_deletes_the_file_and_forgets_the_document(uploads: Uploads, index: Index) -> None:
    keep(uploads, "deep/a.txt", "Le lapin dort.")
    synced(uploads)

    uploads.remove("deep/a.txt")

    assert not any("lapin" in index.text(source.id) for source in index.sources())
    assert names(uploads) == []
    assert not (uploads.folder / "deep").exists()
    assert str(synced(uploads)) == "+0 ~0 -0 =0"


def test_a_document_that_lies_elsewhere_too_stays(uploads: Uploads, index: Index, queue: SyncQueue) -> None:
    other = uploads.folder.parent / "other"
    other.mkdir()
    (other / "a.txt").write_text("Le renard dort.", "utf-8")
    queue.sync([other]).report()
    keep(uploads, "a.txt", "Le renard dort.")
    synced(uploads)

    uploads.remove("a.txt")

    [source] = [source for source in index.sources() if source.paths == (str(other / "a.txt"),)]
    assert index.text(source.id) == "Le renard dort."


@pytest.mark.parametrize("name", ["", "..", "../a.txt", "/etc/passwd", "b.txt", SENDING])
def test_only_what_was_added_can_be_removed(uploads: Uploads, name: str) -> None:
    (uploads.folder.parent / "a.txt").write_text("à moi")
    keep(uploads, "a.txt", "Le chat dort.")

    with pytest.raises(UploadNotFound):
        uploads.remove(name)

    assert (uploads.folder.parent / "a.txt").exists()
    assert names(uploads) == ["a.txt"]
