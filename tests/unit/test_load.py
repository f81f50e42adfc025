import os
import re
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from index.errors import UnreadableFile
from index.load import LOADERS, MEGABYTE, load, loader_id
from index.loaders import ocr
from index.loaders.text import decode
from tests.files import PASSWORD_PDF, archive, docx, epub, opendocument, paragraph, pdf, pptx, shape, xlsx

NEWS = "Le président a parlé à Miami\r\nIl a déclaré que la forêt était à l’œuvre. Cela coûte 5 €.\r\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        NEWS.encode(),
        NEWS.encode("utf-8-sig"),
        NEWS.encode("utf-16"),
        b"\xfe\xff" + NEWS.encode("utf-16-be"),
        NEWS.encode("utf-32"),
        NEWS.encode("utf-16-le"),
        NEWS.encode("utf-16-be"),
        NEWS.encode("cp1252"),
    ],
    ids=[
        "utf-8",
        "utf-8 BOM",
        "utf-16 BOM",
        "utf-16-be BOM",
        "utf-32 BOM",
        "utf-16-le",
        "utf-16-be",
        "cp1252",
    ],
)
def test_text_is_stored_as_read_in_any_encoding(tmp_path: Path, content: bytes) -> None:
    [document] = load(written(tmp_path, "news.txt", content))

    assert document.page_content == NEWS


@pytest.mark.parametrize("text", ["Café", "L’été à Paris", "Été comme hiver, la forêt reste belle.", "El año pasado"])
def test_short_western_text_in_an_older_encoding_keeps_its_accents(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_cyrillic_in_an_older_encoding_is_not_taken_for_western() -> None:
    text = "Президент сказал, что война закончилась вчера вечером."
    looks_western = "Около завода новое здание, где нудно ждали поезд.".encode("cp1251")

    assert decode(text.encode("cp1251")) == text
    assert "здание" in decode(looks_western)


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00",
        b"a text with a \x00 in it",
        b"\xef\xbb\xbfa marked text with a \x00 in it",
        b"\x01\x02\x03\x04\x05 control",
        b"\xff\xfeA",
        bytes(range(256)) * 8,
    ],
    ids=["image", "zero byte", "marked zero byte", "control characters", "half of UTF-16", "every byte"],
)
def test_what_is_not_text_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnreadableFile, match="not a text file"):
        load(written(tmp_path, "picture.txt", content))


@pytest.mark.parametrize("content", [" \r\n\t\u00a0\n", "\ufeff", "---\ntitle: Vide\n---\n\n"])
def test_a_blank_file_has_no_text_in_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnreadableFile, match="no text in it"):
        load(written(tmp_path, "blank.md", content))


@pytest.mark.parametrize("name", ["vide.txt", "vide.pdf", "vide.docx"])
def test_a_file_of_no_bytes_is_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="it is empty"):
        load(written(tmp_path, name, b""))


@pytest.mark.parametrize(
    ("name", "reason"), [("data.xyz", "no loader for .xyz"), ("LISEZMOI", "no loader for files without a suffix")]
)
def test_a_kind_that_nothing_reads_is_named(tmp_path: Path, name: str, reason: str) -> None:
    path = written(tmp_path, name, "text")

    for read in (load, loader_id):
        with pytest.raises(UnreadableFile, match=f"^{reason}$"):
            read(path)


def ole(stream: str) -> bytes:
    """Make the beginning of an old Office file that holds a stream of this name."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9_000) + stream.encode("utf-16-le") + bytes(100)


WHOLE_DOCX = docx(paragraph("Un texte assez long pour que la fin du fichier manque. " * 20))


def with_password(content: bytes) -> bytes:
    """Set the mark of encryption on every member of an archive."""
    marked = bytearray(content)
    for header, place in ((rb"PK\x03\x04", 6), (rb"PK\x01\x02", 8)):
        for found in re.finditer(header, content):
            marked[found.start() + place] |= 1
    return bytes(marked)


REASONS = [
    ("secret.xlsx", with_password(xlsx({"Feuil1": [["Un texte."]]})), "needs a password"),
    ("secret.pdf", PASSWORD_PDF, "needs a password"),
    ("secret.docx", ole("EncryptedPackage"), "needs a password"),
    (
        "secret.odt",
        opendocument("text", "", manifest="<file-entry><encryption-data/></file-entry>"),
        "needs a password",
    ),
    ("lettre.doc", ole("WordDocument"), r"old Office program; save it as \.docx"),
    ("photos.zip", archive({"a.txt": "a"}), "a ZIP archive; unpack it"),
    ("coupe.docx", WHOLE_DOCX[:500], "^broken: "),
    ("coupe.txt", WHOLE_DOCX[:500], "not a text file"),
    ("coupe.pdf", b"%PDF-1.5\n1 0 obj\n<<", "^broken: "),
    ("texte.pdf", b"Ceci n'est pas un PDF.", "^broken: "),
    ("texte.epub", b"Ceci n'est pas un livre.", "^broken: "),
    ("sans.epub", archive({"mimetype": "application/epub+zip"}), "^broken: META-INF/container.xml is missing"),
    ("sans.docx", archive({"word/document.xml": "<w/>"}), "^broken: "),
    ("sans.xlsx", archive({"xl/workbook.xml": "<w/>"}), "^broken: "),
    ("mal.docx", docx("<w:p>"), "^broken: .*tag mismatch"),
    ("mal.ods", opendocument("spreadsheet", "<table:table><table:table-row></x>"), "^broken: .*tag mismatch"),
    ("vide.docx", docx(""), "no text in it"),
    ("vide.pptx", pptx(["", ""]), "no text in it"),
    ("vide.xlsx", xlsx({"Feuil1": []}), "no text in it"),
    ("vide.pdf", pdf(["", ""]), "no text in it"),
    ("vide.html", b"<html><body><script>1</script></body></html>", "no text in it"),
    ("vide.eml", b"Subject: Rien\r\nContent-Type: image/png\r\n\r\nxx", "no text in it"),
    ("mal.json", b'{"a": 1', "^broken: no JSON"),
    ("mal.jsonl", b'{"a": 1}\n{"a": }\n', "^broken: no JSON in line 2"),
    ("profond.json", b"[" * 100_000, "nested too deep"),
]


@pytest.mark.parametrize(
    ("name", "content", "reason"), REASONS, ids=[f"{name}: {reason}" for name, _, reason in REASONS]
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        load(written(tmp_path, name, content))


ONE_OF_EACH: dict[str, bytes] = {
    "text": b"Un texte.",
    "markdown": b"Un texte.",
    "html": b"<!DOCTYPE html><title>x</title><p>Un texte.</p>",
    "pdf": pdf(["Un texte."]),
    "docx": docx(paragraph("Un texte.")),
    "odt": opendocument("text", "<text:p>Un texte.</text:p>"),
    "rtf": rb"{\rtf1\ansi Un texte.\par}",
    "pptx": pptx([shape("Un texte.")]),
    "xlsx": xlsx({"Feuil1": [["Un texte."]]}),
    "ods": opendocument(
        "spreadsheet",
        '<table:table table:name="F"><table:table-row><table:table-cell office:value-type="string">'
        "<text:p>Un texte.</text:p></table:table-cell></table:table-row></table:table>",
    ),
    "csv": b"Un texte.",
    "epub": epub({"c.xhtml": "<p>Un texte.</p>"}),
    "eml": b"Subject: x\r\n\r\nUn texte.",
    "json": b'["Un texte."]',
    "jsonl": b'"Un texte."',
}


def test_there_is_an_example_of_every_kind() -> None:
    # Pictures are read in test_load_pdf.py, where OCR is installed.
    assert {*ONE_OF_EACH, "picture"} == set(LOADERS)


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_every_kind_is_read_under_each_of_its_names_with_a_title(tmp_path: Path, kind: str) -> None:
    for suffix in LOADERS[kind].suffixes:
        path = written(tmp_path, f"note{suffix}", ONE_OF_EACH[kind])
        documents = load(path)

        assert loader_id(path) == f"{kind}/{LOADERS[kind].version}"
        assert "Un texte." in documents[0].page_content
        assert all(document.metadata["title"] for document in documents)


@pytest.mark.parametrize("kind", ["html", "pdf", "docx", "odt", "rtf", "pptx", "xlsx", "ods", "epub"])
@pytest.mark.parametrize("name", ["note.txt", "note.pdf", "note.doc", "note"])
def test_the_content_says_what_kind_it_is_whatever_the_name(tmp_path: Path, kind: str, name: str) -> None:
    path = written(tmp_path, name, ONE_OF_EACH[kind])

    assert loader_id(path).partition("/")[0] == kind
    assert "Un texte." in load(path)[0].page_content


@pytest.mark.parametrize(
    "head",
    [b"\xef\xbb\xbf\n<!doctype HTML>", b'<?xml version="1.0"?>\n<!-- a -->\n<html lang="fr">', b"<HTML>"],
    ids=["mark", "XHTML", "capitals"],
)
def test_a_web_page_is_known_by_its_first_tag(tmp_path: Path, head: bytes) -> None:
    assert loader_id(written(tmp_path, "page.txt", head + b"<p>Un texte.</p>")) == "html/1"


def test_markdown_may_begin_with_a_tag(tmp_path: Path) -> None:
    assert loader_id(written(tmp_path, "note.md", '<p align="center">Un texte.</p>')) == "markdown/1"


@pytest.mark.skipif(ocr.installed(), reason="the OCR extra is installed here")
def test_a_picture_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"a picture; to read it, install .*sourcier\[ocr\].*tesseract-ocr-fra"):
        loader_id(written(tmp_path, "photo.txt", b"\x89PNG\r\n\x1a\n"))


def test_an_archive_that_unpacks_to_far_too_much_is_not_unpacked(tmp_path: Path) -> None:
    bomb = archive({"word/document.xml": bytes(65 * MEGABYTE)})

    with pytest.raises(UnreadableFile, match=r"0\.1 MB that unpack to 65 MB in 1 files"):
        load(written(tmp_path, "bombe.docx", bomb))


def test_a_small_file_of_much_the_same_text_is_no_attack(tmp_path: Path) -> None:
    content = docx(paragraph("bis repetita " * 100_000))

    assert len(content) * 100 < 1_300_000
    assert load(written(tmp_path, "bis.docx", content))


@pytest.mark.parametrize("kind", ["docx", "epub"])
def test_xml_that_declares_entities_is_refused(tmp_path: Path, kind: str) -> None:
    laughs = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    bomb = {
        "docx": archive({"word/document.xml": laughs, "_rels/.rels": laughs}),
        "epub": archive({"mimetype": "application/epub+zip", "META-INF/container.xml": laughs}),
    }[kind]

    with pytest.raises(UnreadableFile, match="declares entities"):
        load(written(tmp_path, f"rires.{kind}", bomb))


def test_entities_in_a_workbook_are_never_expanded(tmp_path: Path) -> None:
    rows = xlsx({"F": [["Un texte", '<c t="inlineStr"><is><t>un &b;</t></is></c>']]})
    with ZipFile(BytesIO(rows)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    laughing = archive(members | {sheet: b'<!DOCTYPE a [<!ENTITY b "haha">]>' + members[sheet]})

    try:
        texts = [document.page_content for document in load(written(tmp_path, "rires.xlsx", laughing))]
    except UnreadableFile as error:
        texts = [str(error)]
    assert not any("haha" in text for text in texts)


def test_the_kind_is_known_in_capitals_too(tmp_path: Path) -> None:
    assert load(written(tmp_path, "NOTE.TXT", "Un texte."))[0].page_content == "Un texte."


def test_a_file_that_is_too_large_is_refused_with_its_size_and_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path, "large.txt", b"a")
    os.truncate(path, 21 * MEGABYTE)

    with pytest.raises(UnreadableFile, match=r"21\.0 MB; the limit is 20 MB"):
        load(path)


def test_a_file_that_vanished_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no longer there"):
        load(tmp_path / "gone.txt")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder.txt"
    folder.mkdir()

    with pytest.raises(UnreadableFile, match="a folder, not a file"):
        load(folder)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)

    with pytest.raises(UnreadableFile, match="a device or a pipe"):
        load(pipe)


def test_a_name_that_is_too_long_for_the_system_is_a_reason_too(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="the system does not read it"):
        load(tmp_path / ("x" * 5_000 + ".txt"))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Un accord à Miami\n\nIl a été signé.", "Un accord à Miami"),
        ("\n\n  Qui a gagné ?  \r\nPersonne.", "Qui a gagné ?"),
        ("La guerre continue. Personne ne gagne.\nSuite.", "note"),
        ("Un accord à Miami", "note"),
        ("mot " * 60 + "\nSuite.", "note"),
    ],
    ids=["headline", "question", "sentence", "nothing below", "too long"],
)
def test_a_headline_is_the_title_of_a_text(tmp_path: Path, text: str, title: str) -> None:
    assert load(written(tmp_path, "note.txt", text))[0].metadata["title"] == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: 'L''accord: enfin' # note\ndate: 2025-11-06\n---\n# Autre\nTexte.", "L'accord: enfin"),
        ('---\r\ndate: 2025-11-06\r\ntitle: "Un accord"\r\n---\r\nTexte.', "Un accord"),
        (
            "---\nlayout: post\n---\nIntro.\n\n## Le **plan** de [paix](https://x.org) ##\n\n# Plus tard",
            "Le plan de paix",
        ),
        ("Le plan\n=======\n\nTexte.", "Le plan"),
        ("```sh\n# pas un titre\n```\n\n# Le titre\n", "Le titre"),
        ("Sans titre du tout.", "note"),
        ("---\ntitle: >\n  sur deux\n---\nTexte.", "note"),
    ],
    ids=["front matter", "CRLF", "heading", "underlined", "after code", "none", "folded"],
)
def test_the_title_of_markdown_is_in_its_front_matter_or_first_heading(tmp_path: Path, text: str, title: str) -> None:
    assert load(written(tmp_path, "note.md", text))[0].metadata["title"] == title


def test_front_matter_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = written(tmp_path, "note.md", "---\ntitle: Secret\nauthor: A. B.\n---\n\nLe texte.\n")

    assert load(path)[0].page_content == "\nLe texte.\n"


@pytest.mark.parametrize(
    "text", ["---\n\nUn texte entre deux traits.\n\n---\n\nSuite.", "---\ntitle: jamais fermé\n\nSuite.\n"]
)
def test_text_between_rules_is_text(tmp_path: Path, text: str) -> None:
    assert load(written(tmp_path, "note.md", text))[0].page_content == text


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2025-11-06", "2025-11-06"),
        ("'2025-11-06T10:00:00Z'", "2025-11-06"),
        ("2025-02-30", None),
        ("6 novembre 2025", None),
        ("2025-11-061", None),
    ],
)
def test_a_date_of_the_front_matter_counts_when_it_is_iso(tmp_path: Path, value: str, day: str | None) -> None:
    document = load(written(tmp_path, "note.md", f"---\ndate: {value}\n---\nTexte."))[0]

    assert document.metadata.get("date") == day


def test_many_lines_that_never_close_the_front_matter_are_read_at_once(tmp_path: Path) -> None:
    text = "---\r\n" + "key: value\r\n" * 5_000

    assert load(written(tmp_path, "note.md", text))[0].page_content == text


def test_the_language_is_in_the_metadata_where_there_is_one(tmp_path: Path) -> None:
    french = load(written(tmp_path, "a.txt", "Le président a déclaré que la guerre était finie."))[0]
    numbers = load(written(tmp_path, "b.txt", "1 2 3"))[0]

    assert french.metadata["language"] == "fr"
    assert "language" not in numbers.metadata


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("a.txt", "{}"),
        ("a.md", "{}"),
        ("a.html", "<html><p>{}</p></html>"),
        ("a.eml", "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}"),
    ],
)
def test_what_a_reader_does_not_see_is_left_out_of_every_kind(tmp_path: Path, name: str, page: str) -> None:
    path = written(tmp_path, name, page.format("La \ufb01n de l’hi\u00adver, l’e\ufb03ca\ufeffcité."))

    assert load(path)[0].page_content.endswith("La fin de l’hiver, l’efficacité.")


def test_a_word_that_a_soft_hyphen_parts_at_a_line_end_is_whole_again(tmp_path: Path) -> None:
    text = "La Répu\u00ad\r\n  blique\u00a0: 5\u202f%."

    assert load(written(tmp_path, "a.txt", text))[0].page_content == "La République\u00a0: 5\u202f%."


MARKDOWN = """---
title: Le guide
author: Anne Martin
---
Avant tout titre.

# Le guide

## Pourquoi *anonymiser* ?

### Cadre légal

La loi le dit.

```sh
# pas un titre
```

Encore
------
Une fin.
"""


def test_sections_of_markdown_stand_under_their_headings(tmp_path: Path) -> None:
    documents = load(written(tmp_path, "guide.md", MARKDOWN))

    assert [(document.metadata.get("section"), document.page_content) for document in documents] == [
        (None, "Avant tout titre."),
        (
            "Pourquoi anonymiser ? › Cadre légal",
            "# Le guide\n\n## Pourquoi *anonymiser* ?\n\n### Cadre légal\n\nLa loi le dit.\n\n"
            "```sh\n# pas un titre\n```",
        ),
        ("Encore", "Encore\n------\nUne fin.\n"),
    ]
    assert {document.metadata["title"] for document in documents} == {"Le guide"}
    assert {document.metadata["author"] for document in documents} == {"Anne Martin"}


def test_the_language_of_small_sections_is_that_of_the_whole(tmp_path: Path) -> None:
    text = "# Menu\n\nHello.\n\n# Texte\n\n" + "Le président a déclaré que la guerre était finie. " * 5

    assert {document.metadata["language"] for document in load(written(tmp_path, "a.md", text))} == {"fr"}
