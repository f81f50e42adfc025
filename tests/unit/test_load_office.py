import pytest

from index.loaders.opendocument import read_odt
from index.loaders.parts import Loaded
from index.loaders.rich_text import read_rtf
from index.loaders.slides import read_pptx
from index.loaders.word import read_docx
from tests.files import docx, opendocument, paragraph, pptx, shape


def texts(loaded: Loaded) -> list[tuple[tuple[str, ...], str]]:
    return [(part.path, part.text) for part in loaded.parts]


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def test_a_word_document_has_sections_under_its_headings() -> None:
    loaded = read_docx(
        docx(
            paragraph("Rapport annuel", "Titre")
            + paragraph("Chapitre 1", "Titre1")
            + paragraph("R&D : 1 < 2, l’effet de\u00a0serre *non* [souligné](x).", "Corps")
            + paragraph("Une partie", "Titre2")
            + paragraph("Détail", "MonTitre")
            + paragraph("Son texte.")
            + paragraph("Chapitre 2", "Titre1")
        )
    )

    assert texts(loaded) == [
        ((), "Rapport annuel"),
        (("Chapitre 1",), "Chapitre 1\n\nR&D : 1 < 2, l’effet de\u00a0serre *non* [souligné](x)."),
        # A heading with nothing below it stands with the next.
        (("Chapitre 1", "Détail"), "Une partie\n\nDétail\n\nSon texte."),
        (("Chapitre 2",), "Chapitre 2"),
    ]
    assert loaded.title == "Rapport annuel"


def test_a_word_document_says_title_day_and_author() -> None:
    loaded = read_docx(docx(paragraph("x"), title="Le bilan", author="Anne Martin", created="2025-11-06T09:00:00Z"))

    assert (loaded.title, loaded.date, loaded.author) == ("Le bilan", "2025-11-06", "Anne Martin")


@pytest.mark.parametrize(
    ("title", "author"),
    [("Présentation PowerPoint", "python-docx"), ("Document1", "Microsoft Office User"), ("", "")],
)
def test_what_programs_write_as_title_and_author_is_nobodys(title: str, author: str) -> None:
    loaded = read_docx(docx(paragraph("Le vrai titre", "Titre1"), title=title, author=author))

    assert (loaded.title, loaded.author) == ("Le vrai titre", None)


def test_words_saved_by_programs_are_taken_off_a_title() -> None:
    assert read_docx(docx(paragraph("x"), title="Microsoft Word - Bilan 2025.docx")).title == "Bilan 2025"


def test_rows_of_a_word_table_stay_whole_and_cells_apart() -> None:
    grid = '<w:gridSpan w:val="2"/>'
    down, further = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    table = (
        f"<w:tbl><w:tr>{cell('')}{cell('Food')}{cell('Calories per portion')}</w:tr>"
        f"<w:tr>{cell('Grain', down)}{cell('Corn, Buckwheat, Barley')}{cell('200')}</w:tr>"
        f"<w:tr>{cell('', further)}{cell('Rye')}{cell('')}</w:tr>"
        f"<w:tr>{cell('merged', grid)}{cell('end')}</w:tr></w:tbl>"
    )

    assert texts(read_docx(docx(table))) == [
        (
            (),
            "| Food | Calories per portion\nGrain | Corn, Buckwheat, Barley | 200\nGrain Rye\nmerged end",
        )
    ]


def test_lists_of_a_word_document_are_marked() -> None:
    body = (
        paragraph("Il faut :") + paragraph("du pain", "Puce") + paragraph("du vin", "Puce") + paragraph("C’est tout.")
    )

    assert texts(read_docx(docx(body))) == [((), "Il faut :\n\n- du pain\n- du vin\n\nC’est tout.")]


def test_only_what_one_sees_in_a_word_document_is_read() -> None:
    body = (
        "<w:p><w:r><w:t>Un mot cou</w:t></w:r><w:r><w:softHyphen/></w:r><w:r><w:t>pé,</w:t><w:tab/><w:t>puis</w:t>"
        "<w:br/>"
        "<w:t>porte</w:t><w:noBreakHyphen/><w:t>clés</w:t></w:r><w:del><w:r><w:delText>supprimé</w:delText><w:tab/></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>déplacé</w:t></w:r></w:moveFrom>"
        "<w:ins><w:r><w:t> ajouté</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        + paragraph("Chapitre 1 ..... 3", "TM1")
        + f"<w:sdt><w:sdtContent>{paragraph('Dans un contrôle.')}</w:sdtContent></w:sdt>"
    )

    assert texts(read_docx(docx(body))) == [((), "Un mot coupé,\tpuis\nporte-clés ajouté\n\nDans un contrôle.")]


def test_a_text_box_is_read_once_and_a_footnote_after_its_paragraph() -> None:
    box = (
        f"<w:r><w:AlternateContent><w:Choice><w:txbxContent>{paragraph('Encadré.')}</w:txbxContent></w:Choice>"
        f"<w:Fallback><w:txbxContent>{paragraph('Encadré.')}</w:txbxContent></w:Fallback></w:AlternateContent></w:r>"
    )
    call = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    note = f'<w:footnote w:id="1"><w:p><w:r><w:t>Une note.</w:t></w:r>{call}</w:p></w:footnote>'

    loaded = read_docx(docx(f"<w:p><w:r><w:t>Texte.</w:t></w:r>{call}{box}</w:p>{paragraph('Suite.')}", footnotes=note))

    assert texts(loaded) == [((), "Texte.\n\nUne note.\n\nEncadré.\n\nSuite.")]


def test_slides_are_read_in_the_order_they_are_shown_with_titles_first_and_notes_last() -> None:
    loaded = read_pptx(
        pptx(
            [
                shape("Un sous-titre") + shape("Le bilan", "ctrTitle") + shape("12", "sldNum"),
                shape("Deuxième", "title") + f"<p:grpSp>{shape('Groupé')}</p:grpSp>" + shape("Ligne 1\nLigne 2"),
            ],
            notes={1: shape("Dire bonjour.", "body") + shape("12", "sldNum")},
            author="Anne Martin",
        )
    )

    assert [(part.page, part.path, part.text) for part in loaded.parts] == [
        (1, ("Le bilan",), "Le bilan\n\nUn sous-titre"),
        (2, ("Deuxième",), "Deuxième\n\nGroupé\n\nLigne 1\n\nLigne 2\n\nDire bonjour."),
    ]
    assert (loaded.title, loaded.author) == ("Le bilan", "Anne Martin")


def test_a_word_of_a_slide_in_several_runs_is_one_word_and_rows_stay_whole() -> None:
    runs = "<a:p><a:r><a:t>S</a:t></a:r><a:r><a:t>ome info</a:t></a:r><a:br/><a:r><a:t>below</a:t></a:r></a:p>"
    table = (
        "<p:graphicFrame><a:tbl><a:tr>"
        "<a:tc><a:txBody><a:p><a:r><a:t>A merged</a:t></a:r></a:p></a:txBody></a:tc><a:tc/>"
        "<a:tc><a:txBody><a:p><a:r><a:t>C</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>"
    )

    [part] = read_pptx(pptx([f"<p:sp><p:txBody>{runs}</p:txBody></p:sp>{table}"])).parts

    assert part.text == "Some info\nbelow\n\nA merged |  | C"


def test_an_opendocument_text_has_sections_lists_tables_and_notes() -> None:
    body = (
        "<text:tracked-changes><text:p>supprimé</text:p></text:tracked-changes>"
        '<text:h text:outline-level="1">Chapitre 1</text:h>'
        '<text:p>R&amp;D<text:s text:c="2"/><text:span>gr</text:span>as<text:tab/>après<text:line-break/>ligne'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Une note.</text:p>"
        "</text:note-body></text:note> suite.</text:p>"
        '<text:h text:outline-level="2">Détail</text:h><text:list><text:list-item><text:p>un</text:p></text:list-item>'
        "<text:list-item><text:p>deux</text:p></text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Header row</text:p>"
        "</table:table-cell><table:table-cell><text:p>Mon</text:p></table:table-cell></table:table-row>"
        "</table:table-header-rows><table:table-row><table:table-cell><text:p>Leader</text:p></table:table-cell>"
        "<table:table-cell><text:p>Sarah</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table>'
    )
    about = (
        "<dc:title>Le guide</dc:title><meta:initial-creator>Anne</meta:initial-creator>"
        "<dc:date>2024-03-05T10:00:00</dc:date>"
    )

    loaded = read_odt(opendocument("text", body, about))

    assert texts(loaded) == [
        (("Chapitre 1",), "Chapitre 1\n\nR&D  gras\taprès\nligne suite.\n\nUne note."),
        (("Chapitre 1", "Détail"), "Détail\n\n- un\n- deux\n\nHeader row | Mon\nLeader Sarah"),
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Le guide", "2024-03-05", "Anne")


RTF = (
    rb"{\rtf1\ansi\ansicpg1252\uc1{\fonttbl{\f0 Arial;}}{\info{\title R\'e9sum\'e9 & co}{\author Anne}"
    rb"{\creatim\yr2024\mo3\dy5}}{\*\generator Word;}{\header Courant}"
    rb"\pard\outlinelevel0\b Chapitre un\b0\par\pard L\'e9t\'e9 \u8217?hiver : 1 < 2\~%, por\-te\_cl\'e9s \{x\} "
    rb"{\b gr}as"
    rb"{\footnote\pard Une note.\par}\u-10179?\u-8704?\par"
    b"\\pard{\\listtext\\'b7\\tab}\\ls1 un\\par\r\n\\pard\\ls1 deux\\par"
    rb"\trowd\pard\intbl Header row\cell Mon\par\cell\row\pard{\pict 89504e47}"
    rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt un lien}}"
    b"\\bin5 IMAGE\\par fin}"
)


def test_rich_text_is_read_as_one_sees_it() -> None:
    loaded = read_rtf(RTF)

    assert texts(loaded) == [
        (
            ("Chapitre un",),
            "Chapitre un\n\nLété ’hiver : 1 < 2\u00a0%, porte-clés {x} gras😀\n\nUne note.\n\n- un\n- deux\n\n"
            "Header row | Mon\n\nun lien\n\nfin",
        )
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Résumé & co", "2024-03-05", "Anne")


def test_rich_text_in_an_asian_encoding_is_decoded_by_whole_characters() -> None:
    content = rb"{\rtf1\ansicpg932 " + "".join(f"\\'{byte:02x}" for byte in "東京".encode("cp932")).encode() + rb"\par}"

    assert texts(read_rtf(content)) == [((), "東京")]
