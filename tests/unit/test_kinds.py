import tracemalloc
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import pytest

from index.kinds import BLOCK_BYTES, ENCRYPTED, OLE, kind_of
from tests.files import archive, docx, paragraph


def test_comments_that_never_come_to_the_markup_are_read_at_once() -> None:
    assert kind_of(BytesIO(b"<!-- -->" * 512)) is None
    assert kind_of(BytesIO(b"<!-- a --> <!-- <b> -->\n<html>")) == "html"


@pytest.mark.parametrize("before", [0, BLOCK_BYTES - len(OLE) - 10, 3 * BLOCK_BYTES])
def test_an_encrypted_office_file_is_known_wherever_it_says_so(before: int) -> None:
    assert kind_of(BytesIO(OLE + bytes(before) + ENCRYPTED + bytes(100))) == "encrypted"
    assert kind_of(BytesIO(OLE + bytes(before))) == "ole"


def test_a_large_old_office_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.doc"
    with path.open("wb") as file:
        file.write(OLE)
        file.truncate(20 * BLOCK_BYTES)

    with path.open("rb") as file:
        tracemalloc.start()
        kind = kind_of(file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert kind == "ole"
    assert peak < 5 * BLOCK_BYTES


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_LZMA])
def test_an_archive_whose_kind_is_written_in_broken_bytes_is_of_no_kind(method: int) -> None:
    buffer = BytesIO()
    with ZipFile(buffer, "w", method) as file:
        file.writestr("mimetype", "application/epub+zip")
    buffer.seek(buffer.getvalue().index(b"mimetype") + len("mimetype"))
    buffer.write(b"\xff" * 12)

    buffer.seek(0)

    assert kind_of(buffer) is None


def test_the_names_of_a_hundred_thousand_members_are_not_read_for_the_kind() -> None:
    assert kind_of(BytesIO(archive({"a": "", "b": ""}))) == "zip"
    assert kind_of(BytesIO(docx(paragraph("Bonjour.")))) == "docx"
    assert kind_of(BytesIO(archive({f"{number:06}": "" for number in range(100_000)}))) is None
