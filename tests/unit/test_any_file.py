"""Whatever a file holds: it is read as well-formed text, or is unreadable for a reason in plain words.

Bytes are put into, cut out of and moved within a good file of each kind; in an archive, within one of its members.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.errors import UnreadableFile
from index.load import LOADERS
from index.loaders.parts import TITLE_CHARACTERS
from index.sandbox import Limits, Sandbox
from tests.files import archive
from tests.unit.test_load import ONE_OF_EACH

WEDGES = st.binary(max_size=8) | st.sampled_from(
    [
        *(b"<", b">", b"</p>", b"<p>", b"&a9;", b"<!DOCTYPE d [<!ENTITY a 'b'>]>", b"<!--", b"]]>", b"<p" * 200),
        *(b"{", b"}", b"[", b"]", b"\\u8232?", b"\\bin99999 ", b"\\'", b"{\\*\\x " * 100, b'"', b",", b"\\", b"1e999"),
        *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\r", b"\n\n", b"---\n", b"# ", b"=?utf-8?B?", b"\t;"),
        *(b"endobj", b"stream", b"/Kids[1 0 R]", b"/Title(", b"0 0 R", b"9" * 30, b"-1", b'r="ZZZ9999999"'),
    ]
)
CUTS = st.tuples(st.floats(0, 1), st.floats(0, 1) | st.just(0.0), WEDGES)
"""From where, as a share of the whole, how much of the rest goes, and what comes in its place."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=20, memory_bytes=1024**3)) as sandbox:
        yield sandbox


@st.composite
def spoilt_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Give the ending of a name, mostly the right one, and what the file holds."""
    kind = draw(st.sampled_from(sorted(ONE_OF_EACH)))
    ending = LOADERS[draw(st.just(kind) | st.sampled_from(sorted(LOADERS)))].suffixes[0]
    content, cuts = ONE_OF_EACH[kind], draw(st.lists(CUTS, min_size=1, max_size=4))
    if not is_zipfile(io.BytesIO(content)):
        return ending, cut(content, cuts)
    with ZipFile(io.BytesIO(content)) as members:
        parts = {name: members.read(name) for name in members.namelist()}
    name = draw(st.sampled_from(sorted(parts)))
    return ending, archive(parts | {name: cut(parts[name], cuts)})


def cut(content: bytes, cuts: list[tuple[float, float, bytes]]) -> bytes:
    for start, share, wedge in cuts:
        place = int(start * len(content))
        content = content[:place] + wedge + content[place + int(share * share * (len(content) - place)) :]
    return content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilt_files())
def test_a_spoilt_file_is_read_or_refused(sandbox: Sandbox, tmp_path: Path, spoilt: tuple[str, bytes]) -> None:
    ending, content = spoilt
    file = tmp_path / f"note{ending}"
    file.write_bytes(content)

    try:
        documents = sandbox.load(file)
    except UnreadableFile as error:
        reason = str(error)
        assert reason.isprintable()
        assert 0 < len(reason) < 500
        assert "crashed" not in reason
        return
    assert documents
    for document in documents:
        assert re.search("[^\\s\u200b]", document.page_content)
        assert "\0" not in document.page_content
        document.page_content.encode()
        assert document.metadata.keys() <= {"title", "page", "section", "language", "date", "author"}
        assert 0 < len(document.metadata["title"]) <= TITLE_CHARACTERS
        assert "\n" not in document.metadata["title"]
        assert document.metadata.get("page", 1) >= 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\d.*", document.metadata.get("date", "2025-11-04"))
