import os
from pathlib import Path

import pytest

from index.errors import UnreadableFile
from index.load import FILE_BYTES, LOADERS, decode, load

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
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x04\x00",
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


@pytest.mark.parametrize("content", ["", " \r\n\t\u00a0\n", "\ufeff", "---\ntitle: Vide\n---\n\n"])
def test_a_blank_file_has_no_text_in_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnreadableFile, match="no text in it"):
        load(written(tmp_path, "blank.md", content))


def test_a_kind_that_is_not_read_names_the_kinds_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"\.xyz files are not read; these are: .*\.md, .*\.txt"):
        load(written(tmp_path, "data.xyz", "text"))


def test_a_file_without_an_extension_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="without an extension is not read"):
        load(written(tmp_path, "LISEZMOI", "text"))


def test_the_kind_is_known_in_capitals_too(tmp_path: Path) -> None:
    assert load(written(tmp_path, "NOTE.TXT", "Un texte."))[0].page_content == "Un texte."


def test_a_file_that_is_too_large_is_refused_with_its_size_and_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path, "large.txt", b"")
    os.truncate(path, FILE_BYTES + 1024 * 1024)

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


def test_every_loader_gives_a_title(tmp_path: Path) -> None:
    for suffix in (".txt", ".text", ".md", ".markdown"):
        [document] = LOADERS[suffix](written(tmp_path, f"note{suffix}", "Un texte."))

        assert document.metadata["title"] == "note"
