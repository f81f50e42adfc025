import pytest

from index.errors import UnreadableFile
from index.loaders.data import read_json, read_json_lines
from index.loaders.parts import GROUP_CHARACTERS, Loaded
from index.loaders.tables import read_csv, read_ods, read_xlsx
from tests.files import day_cell, opendocument, xlsx


def texts(loaded: Loaded) -> list[str]:
    return [part.text for part in loaded.parts]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_row_stays_on_its_line_below_the_header(delimiter: str) -> None:
    lines = [["Nom", "Ville", "Prix moyen"], ["Anne", "Paris", "1.5"], ["Bob", "Lyon", "2.5"]]

    assert texts(read_csv("\r\n".join(map(delimiter.join, lines)).encode())) == [
        "\n\n".join(map(delimiter.join, lines)),
    ]


def test_semicolons_win_where_commas_are_in_the_numbers() -> None:
    assert texts(read_csv(b"nom;prix;taux\nun the;1,5;2,5\nun cafe;3,5;4,5\n")) == [
        "nom;prix;taux\n\nun the;1,5;2,5\n\nun cafe;3,5;4,5"
    ]


def test_commas_in_the_header_alone_part_nothing() -> None:
    assert texts(read_csv(b"Nom, usage, autres;Ville\nAnne;Paris\n")) == ["Nom, usage, autres;Ville\n\nAnne;Paris"]


def test_a_csv_field_with_its_own_delimiter_or_lines_keeps_its_row_on_one_line() -> None:
    content = 'Société;Ville\n"Dominguez;Mcmillan";"Paris\nCedex"\n"dite ""Le Lab""";Lyon\n'

    assert texts(read_csv(content.encode("cp1252"))) == [
        'Société;Ville\n\n"Dominguez;Mcmillan";Paris Cedex\n\n"dite ""Le Lab""";Lyon'
    ]


def test_the_header_of_a_csv_stands_above_every_few_rows() -> None:
    rows = [f"{number};une valeur assez longue" for number in range(200)]

    parts = texts(read_csv("\n".join(["Numéro;Valeur", *rows]).encode()))

    assert len(parts) > 5
    assert all(part.startswith("Numéro;Valeur\n\n") for part in parts)
    assert all(len(part) < GROUP_CHARACTERS + 50 for part in parts)
    assert [line for part in parts for line in part.split("\n\n")[1:]] == rows


def test_a_csv_without_a_header_repeats_no_row() -> None:
    assert texts(read_csv(b"1;2\n3;4\n")) == ["1;2\n\n3;4"]


def test_lines_above_the_header_of_a_csv_stand_alone() -> None:
    assert texts(read_csv(b"Ventes 2025;;\nNom;Ville;Prix\nAnne;Paris;2\n")) == [
        "Ventes 2025;;",
        "Nom;Ville;Prix\n\nAnne;Paris;2",
    ]


def test_a_row_of_a_workbook_names_its_columns_and_a_part_its_sheet() -> None:
    loaded = read_xlsx(
        xlsx(
            {
                "FAQ": [
                    ["Question ", "Réponse :", "Lien", ""],
                    ["", "", "", ""],
                    ["Qui peut accéder ?", "Toute\npersonne", "", "sans nom"],
                ],
                "Vide": [],
                "Ventes": [["Jour", "Prix"], [day_cell(45_000), 1.5], [day_cell(45_000.75), 1_234_567]],
            },
            title="La foire aux questions",
            author="DINUM",
            created="2021-01-15T15:15:04Z",
        )
    )

    assert [(part.page, part.path, part.text) for part in loaded.parts] == [
        (1, ("FAQ",), "Question: Qui peut accéder ?; Réponse: Toute personne; sans nom"),
        (3, ("Ventes",), "Jour: 2023-03-15; Prix: 1.5\n\nJour: 2023-03-15 18:00; Prix: 1234567"),
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("La foire aux questions", "2021-01-15", "DINUM")


def test_a_workbook_without_a_header_has_bars_between_its_values() -> None:
    loaded = read_xlsx(
        xlsx(
            {
                "Notes": [[1, 2], [3, ""]],
                "Titre": [["Ventes", "en euros", "", "", ""], [*"ABCDE"], ["Anne", 2, 3, 4, 5]],
            }
        )
    )

    assert texts(loaded) == ["1 | 2\n\n3", "Ventes | en euros\n\nA: Anne; B: 2; C: 3; D: 4; E: 5"]


def test_the_header_is_with_every_row_of_a_long_sheet() -> None:
    rows = [[f"client {number}", number] for number in range(200)]

    parts = texts(read_xlsx(xlsx({"Clients": [["Nom", "Numéro"], *rows]})))

    assert "\n\n".join(parts).split("\n\n") == [f"Nom: {name}; Numéro: {number}" for name, number in rows]
    assert all(len(part) < GROUP_CHARACTERS + 50 for part in parts)


def test_a_sheet_with_a_value_at_its_far_end_is_refused_before_it_takes_all_memory() -> None:
    far = '<c r="XFD20000" t="inlineStr"><is><t>fin</t></is></c>'

    with pytest.raises(UnreadableFile, match=r"a sheet of 16,384 columns and 20,000 rows"):
        read_xlsx(xlsx({"Loin": [['<c r="A1"><v>1</v></c>', far]]}))


def test_rows_and_cells_that_an_opendocument_sheet_repeats_are_not_written_a_million_times() -> None:
    cells = '<table:table-cell table:number-columns-repeated="99999999"><text:p>a</text:p></table:table-cell>'
    empty = '<table:table-row table:number-rows-repeated="1048576"><table:table-cell/></table:table-row>'
    body = f"<table:table><table:table-row>{cells}</table:table-row>{empty}</table:table>"

    [part] = read_ods(opendocument("spreadsheet", body)).parts

    assert set(part.text) <= set("a | ")
    assert len(part.text) < 5_000


def test_an_opendocument_sheet_is_read_as_a_workbook() -> None:
    def cell(text: str) -> str:
        return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'

    rows = "".join(
        f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in [("Nom", "Ville"), ("Anne", "Paris")]
    )
    body = f'<table:table table:name="Clients">{rows}</table:table>'

    [part] = read_ods(opendocument("spreadsheet", body)).parts

    assert (part.page, part.path, part.text) == (1, ("Clients",), "Nom: Anne; Ville: Paris")


def test_each_value_of_a_json_document_is_named() -> None:
    content = """{"title": "Le bilan", "date": "2025-11-06", "author": "Anne", "total": 1.50,
        "big": 12345678901234567890, "ok": true, "none": null, "empty": [], "tags": ["un", "deux"],
        "address": {"town": "Paris", "floors": [1, {"name": "combles"}]}}"""

    loaded = read_json(content.encode())

    assert texts(loaded) == [
        "title: Le bilan\ndate: 2025-11-06\nauthor: Anne\ntotal: 1.50\nbig: 12345678901234567890\nok: true\n"
        "tags: un, deux\naddress.town: Paris\naddress.floors: 1\naddress.floors.name: combles"
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Le bilan", "2025-11-06", "Anne")


@pytest.mark.parametrize("read", [read_json, read_json_lines])
def test_records_of_json_stay_whole(read) -> None:
    records = [f'{{"nom": "client {number}", "ville": "Paris"}}' for number in range(100)]
    content = "\n".join(records) if read is read_json_lines else f"[{','.join(records)}]"

    parts = texts(read((content + "\n").encode("utf-16")))

    assert len(parts) > 5
    assert "\n\n".join(parts).split("\n\n") == [f"nom: client {number}\nville: Paris" for number in range(100)]
