"""Files made to break whoever reads them, read by the real loaders in a real child process."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from index.errors import UnreadableFile
from index.sandbox import Limits, Sandbox
from tests.files import WORD, archive, docx, epub, paragraph, pdf, relations
from tests.processes import command

MEGABYTE = 1024 * 1024
LIMITS = Limits()
TEXT = "Le président a déclaré que la guerre était finie, après trois ans et neuf mois. " * 2
LAUGHS = "".join(f'<!ENTITY a{level + 1} "{f"&a{level};" * 10}">' for level in range(9))
BILLION_LAUGHS = f'<!DOCTYPE d [<!ENTITY a0 "ha">{LAUGHS}]>'
"""With it, &a9; stands for two gigabytes."""
LAUGHING_DOCX = archive(
    {
        "_rels/.rels": relations([("officeDocument", "word/document.xml")]),
        "word/document.xml": f'{BILLION_LAUGHS}<w:document xmlns:w="{WORD}"><w:p><w:t>&a9;</w:t></w:p></w:document>',
    }
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def written(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def refused(sandbox: Sandbox, file: Path) -> str:
    with pytest.raises(UnreadableFile) as refusal:
        sandbox.load(file)
    return str(refusal.value)


def test_an_office_file_that_unpacks_to_a_thousand_times_its_size_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    bomb = written(tmp_path, "bomb.docx", docx(paragraph("a" * 70 * MEGABYTE)))

    assert bomb.stat().st_size < MEGABYTE / 10
    assert "unpack to 70 MB" in refused(sandbox, bomb)


def test_an_office_file_full_of_archives_is_not_unpacked_further(sandbox: Sandbox, tmp_path: Path) -> None:
    inner = docx(paragraph("a" * 60 * MEGABYTE))
    nested = written(tmp_path, "nested.docx", docx(paragraph(TEXT)))
    with ZipFile(nested, "a") as members:
        for number in range(100):
            members.writestr(f"word/embeddings/{number}.docx", inner)

    assert [document.page_content for document in sandbox.load(nested)] == [TEXT.strip()]


def test_a_billion_laughs_in_an_office_file_are_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    assert refused(sandbox, written(tmp_path, "laughs.docx", LAUGHING_DOCX)).startswith("broken")


def test_a_billion_laughs_in_a_web_page_are_not_expanded(sandbox: Sandbox, tmp_path: Path) -> None:
    html = f"{BILLION_LAUGHS}<html><body><p>&a9; {TEXT}</p></body></html>"

    documents = sandbox.load(written(tmp_path, "laughs.html", html.encode()))

    text = "".join(document.page_content for document in documents)
    assert TEXT.strip() in text
    assert len(text) < 2 * len(TEXT)


def test_what_a_document_names_elsewhere_is_not_read(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = written(tmp_path, "secret.txt", b"LE SECRET")
    with socket.create_server(("127.0.0.1", 0)) as server:
        elsewhere = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for place in (secret.as_uri(), elsewhere):
            declared = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{place}"><!ENTITY % y SYSTEM "{place}"> %y;]>'
            body = f'<w:document xmlns:w="{WORD}"><w:p><w:t>&x; {TEXT}</w:t></w:p></w:document>'
            about = {"_rels/.rels": relations([("officeDocument", "word/document.xml")])}
            page = f'<html><body><iframe src="{place}"></iframe><img src="{place}"><p>&x; {TEXT}</p></body></html>'
            found = [
                read(sandbox, written(tmp_path, "a.docx", archive(about | {"word/document.xml": declared + body}))),
                read(sandbox, written(tmp_path, "a.html", (declared + page).encode())),
                read(sandbox, written(tmp_path, "a.md", f"![x]({place})\n\n[x]: {place}\n\n{TEXT}".encode())),
                read(sandbox, written(tmp_path, "a.epub", epub({"c.xhtml": f"<p>{TEXT}</p>"}, contents=declared))),
                read(sandbox, written(tmp_path, "a.eml", f"Subject: x\r\nContent-Type: message/external-body; "
                    f'access-type=URL; URL="{place}"\r\n\r\n{TEXT}'.encode())),
            ]  # fmt: skip
            assert any(TEXT.strip() in text for text in found)
            assert not any("LE SECRET" in text for text in found)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def read(sandbox: Sandbox, file: Path) -> str:
    """Give what is read of a file, or why it is not."""
    try:
        return "".join(document.page_content for document in sandbox.load(file))
    except UnreadableFile as error:
        return str(error)


def test_names_that_lead_out_of_an_archive_are_written_nowhere(sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "docs"
    folder.mkdir(parents=True)
    file = written(folder, "a.docx", docx(paragraph(TEXT)))
    with ZipFile(file, "a") as members:
        for name in ("../escaped.txt", "../../escaped.txt", "word/../../escaped.txt", str(tmp_path / "escaped.txt")):
            members.writestr(name, "escaped")

    assert sandbox.load(file)[0].page_content == TEXT.strip()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_a_pdf_of_ten_thousand_pages_is_read_and_one_of_more_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    pages = ["Une phrase par page."] * LIMITS.pages
    documents = sandbox.load(written(tmp_path, "long.pdf", pdf(pages)))

    assert [document.metadata["page"] for document in documents] == list(range(1, LIMITS.pages + 1))
    assert refused(sandbox, written(tmp_path, "longer.pdf", pdf([*pages, "Une de plus."]))) == (
        "more than 10,000 pages; split it into smaller files"
    )


def test_a_web_page_that_takes_too_much_memory_is_refused_and_the_next_file_is_read(tmp_path: Path) -> None:
    wide = written(tmp_path, "wide.html", b"<html><body><p>" + b"<b>a</b>" * 500_000)

    with Sandbox(Limits(memory_bytes=120 * MEGABYTE)) as small:
        assert refused(small, wide) == (
            "reading it takes more than 120 MB of memory; INDEX_FILE_MEMORY_MEGABYTES allows more"
        )
        assert small.load(written(tmp_path, "note.txt", TEXT.encode()))[0].page_content == TEXT


def test_files_beyond_the_limits_are_rows_of_the_report_and_the_others_are_indexed(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    written(docs, "long.txt", b"a" * (LIMITS.characters + 1))
    written(docs, "laughs.docx", LAUGHING_DOCX)
    written(docs, "note.txt", TEXT.encode())

    done = command("index", str(docs), "--json", env=os.environ | {"INDEX_PATH": str(tmp_path / "index")})

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    reasons = {Path(row["path"]).name: row["reason"] for row in report["unreadable"]}
    assert report["added"] == 1
    assert reasons.pop("long.txt") == "more than 20,000,000 characters of text; split it into smaller files"
    assert reasons.pop("laughs.docx").startswith("broken")
    assert not reasons
