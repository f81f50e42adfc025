from io import BytesIO
from pathlib import Path

import pytest

from index.errors import UnreadableFile
from index.load import load, loader_id
from index.loaders import ocr
from index.loaders.pdf import read_pdf
from tests.files import pdf

WITH_OCR = pytest.mark.skipif(not ocr.installed(), reason=f"no OCR here; {ocr.HOW_TO_INSTALL}")
WITHOUT_OCR = pytest.mark.skipif(ocr.installed(), reason="the OCR extra is installed here")


def test_pages_are_counted_from_one_and_blank_ones_count(tmp_path: Path) -> None:
    path = tmp_path / "rapport.pdf"
    path.write_bytes(pdf(["Première page, l’été.", "", "Troisième page : 5 €."]))

    assert [(document.metadata["page"], document.page_content) for document in load(path)] == [
        (1, "Première page, l’été."),
        (3, "Troisième page : 5 €."),
    ]


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (
            {"Title": "Rapport annuel", "Author": "Anne", "CreationDate": "D:20230621093027-04'00'"},
            ("Rapport annuel", "2023-06-21", "Anne"),
        ),
        ({"Title": "Microsoft Word - bilan.doc", "CreationDate": "hier"}, ("bilan", None, None)),
        ({"Title": "untitled", "Author": "user", "CreationDate": "D:20239921"}, (None, None, None)),
    ],
)
def test_a_pdf_says_title_day_and_author_where_somebody_wrote_them(
    about: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    loaded = read_pdf(pdf(["Un texte."], about=about))

    assert (loaded.title, loaded.date, loaded.author) == expected


def test_pages_are_cut_where_the_headings_of_the_outline_stand() -> None:
    pages = [
        "Rapport annuel\nUn avant-propos.",
        "1. Le bilan\nLe texte du bilan.\n2. Les\ncomptes\nLe texte des comptes.",
        "La suite des comptes.\nSans son titre.",
        "La fin.",
    ]
    outline = [("Le bilan", 1), ("Les comptes", 1), ("Annexe introuvable", 2)]

    assert [(part.page, part.path, part.text) for part in read_pdf(pdf(pages, outline)).parts] == [
        (1, (), "Rapport annuel\nUn avant-propos."),
        (2, ("Le bilan",), "1. Le bilan\nLe texte du bilan."),
        (2, ("Les comptes",), "2. Les\ncomptes\nLe texte des comptes."),
        (3, ("Les comptes",), "La suite des comptes.\nSans son titre."),
        (4, ("Annexe introuvable",), "La fin."),
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("une démoli-\ntion partielle", "une démolition partielle"),
        ("il a peut-\nêtre dit", "il a peut-être dit"),
        ("à Sainte-\nAdèle hier", "à Sainte-Adèle hier"),
        ("un porte-clés, un porte-\nclés", "un porte-clés, un porte-clés"),
        ("la demande 2023-\n0379", "la demande 2023-\n0379"),
    ],
)
def test_a_word_parted_at_a_line_end_is_whole_again_and_a_compound_keeps_its_hyphen(written: str, read: str) -> None:
    assert read_pdf(pdf([written])).parts[0].text == read


PROSE = [
    "Le comité consultatif a accepté la demande de démolition partielle de",
    "Sainte-Adèle et a demandé que la partie avant du bâtiment soit gardée,",
    "Montréal ayant été consultée au cours de la séance du mois de juin.",
    "Une autre phrase.",
    "Une ligne qui finit avant le bord de la page",
    "Membres présents",
]


def test_a_sentence_goes_on_over_a_full_line_and_only_there() -> None:
    [part] = read_pdf(pdf(["\n".join(PROSE)])).parts

    assert part.text.split("\n") == [" ".join(PROSE[:3]), *PROSE[3:]]


def test_rows_of_figures_stay_on_their_lines() -> None:
    rows = [
        f"Pays {name} 8.9 {number},879 {number},123 Vienna capital german" for number, name in enumerate("abcdef", 10)
    ]

    assert read_pdf(pdf(["\n".join(rows)])).parts[0].text.split("\n") == rows


@WITHOUT_OCR
@pytest.mark.parametrize("text", ["", "2021 3 31"])
def test_scanned_pages_say_what_to_install(text: str) -> None:
    with pytest.raises(UnreadableFile, match=r"scanned pages, no text; to read it, install .*sourcier\[ocr\]"):
        read_pdf(pdf([text, text], pictures=True))


def test_scanned_pages_among_others_are_left_out() -> None:
    loaded = read_pdf(pdf(["Une page qui a du texte.", "", "12"], pictures=True))

    assert [part.text for part in loaded.parts] == ["Une page qui a du texte.", "", "12"]


def picture(text: str, kind: str = "PNG", pages: int = 1) -> bytes:
    """Draw a line of text; a TIFF can have several pages."""
    from PIL import Image, ImageDraw, ImageFont

    frames = []
    for number in range(1, pages + 1):
        frame = Image.new("L", (1200, 160), 255)
        font = ImageFont.load_default(size=48)
        ImageDraw.Draw(frame).text((40, 50), text.format(number), fill=0, font=font)
        frames.append(frame)
    buffer = BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if pages > 1 else {}
    frames[0].save(buffer, kind, **more)
    return buffer.getvalue()


@WITH_OCR
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_text_in_a_picture_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.dat"
    path.write_bytes(picture("The committee met on Thursday", kind))

    assert loader_id(path) == "picture/1"
    [document] = load(path)
    assert document.page_content == "The committee met on Thursday"
    assert "page" not in document.metadata


@WITH_OCR
def test_the_pages_of_a_tiff_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "fax.tif"
    path.write_bytes(picture("The page number {}", "TIFF", pages=2))

    assert [(document.metadata["page"], document.page_content) for document in load(path)] == [
        (1, "The page number 1"),
        (2, "The page number 2"),
    ]


@WITH_OCR
def test_scanned_pages_are_read(tmp_path: Path) -> None:
    from PIL import Image

    buffer = BytesIO()
    Image.open(BytesIO(picture("The committee met on Thursday"))).save(buffer, "PDF", resolution=200)

    [part] = read_pdf(buffer.getvalue()).parts

    assert (part.page, part.text) == (1, "The committee met on Thursday")


@WITH_OCR
def test_a_picture_without_text_says_so() -> None:
    with pytest.raises(UnreadableFile, match="OCR found no text"):
        read_pdf(pdf(["", ""], pictures=True))
    with pytest.raises(UnreadableFile, match="no text was found"):
        ocr.read_picture(picture(""))


@WITH_OCR
def test_a_broken_picture_says_so() -> None:
    with pytest.raises(UnreadableFile, match=r"^broken: "):
        ocr.read_picture(picture("x")[:100])
