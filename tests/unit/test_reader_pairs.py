import json
import random

import pytest

from assistant.reader.pairs import Judged, read_folder, visits

TEXT = (
    "La tour Eiffel mesure 330 mètres de haut et domine le Champ-de-Mars depuis très longtemps. "
    "Elle fut achevée en 1889 par Gustave Eiffel pour l'Exposition universelle de Paris. "
    "Le public la visite toute l'année, de jour comme de nuit, et paie son entrée au guichet. "
    "Ses trois étages sont reliés par des ascenseurs qui montent et descendent du matin jusque tard dans la nuit. "
    "Des peintres la repeignent tous les sept ans, à la main, du sommet à la base, pour la garder de la rouille. "
    "Au sommet, une antenne émet la radio et la télévision pour une grande partie de la région."
)
BRIDGE = (
    "Le viaduc de Garabit fut aussi construit par Gustave Eiffel, au-dessus de la Truyère. "
    "Il porte une ligne de chemin de fer et fut longtemps le plus haut du monde."
)


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"id": "tour", "title": "<i>Tour_Eiffel</i>", "text": TEXT, "lang": "fr"},
        {"id": "viaduc", "title": "Viaduc", "text": BRIDGE, "lang": "fr"},
    ]
    start = TEXT.index("1889")
    questions = [
        {
            "id": "1",
            "question": "En quelle année fut achevée la tour de Gustave Eiffel ?",
            "lang": "fr",
            "answerable": True,
            "doc_id": "tour",
            "answers": ["1889"],
            "answer_start": start,
            "context_span": [0, len(TEXT)],
        },
        {"id": "2", "question": "Qui a peint la tour ?", "lang": "fr", "answerable": False, "doc_id": "tour"},
        {
            "id": "3",
            "question": "Quel viaduc ?",
            "lang": "fr",
            "answerable": True,
            "candidates": [
                {"doc_id": "viaduc", "start": 0, "end": 20},
                {"doc_id": "tour", "start": 0, "end": 14},
            ],
        },
    ]
    for name, lines in (("corpus", rows), ("questions", questions)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return tmp_path


def many(folder, times=60):
    chance = random.Random(0)
    asked = read_folder(folder)
    return [item for _ in range(times) for item in visits(asked, chance)]


def test_the_span_of_a_pair_is_the_answer_in_its_window(folder):
    pairs = [pair for pair in many(folder) if not isinstance(pair, Judged) and pair.span]

    assert len(pairs) >= 60
    assert {pair.text[slice(*pair.span)] for pair in pairs} == {"1889"}
    assert all(pair.answers and pair.text in TEXT for pair in pairs)
    assert len({pair.text for pair in pairs}) > 1


def test_a_pair_that_does_not_answer_never_holds_the_answer_to_the_question_as_it_was_asked(folder):
    pairs = [pair for pair in many(folder) if not isinstance(pair, Judged) and not pair.answers]
    asked = [pair for pair in pairs if pair.question == "En quelle année fut achevée la tour de Gustave Eiffel ?"]

    assert not any("1889" in pair.text for pair in asked)
    assert any(pair.text in BRIDGE for pair in asked)
    assert any("330 mètres" in pair.text for pair in asked)


def test_a_question_without_an_answer_is_read_with_the_paragraph_it_was_written_for(folder):
    pairs = [
        pair for pair in many(folder, 1) if not isinstance(pair, Judged) and pair.question == "Qui a peint la tour ?"
    ]

    assert [(pair.answers, pair.span) for pair in pairs] == [(False, None)]
    assert pairs[0].text in TEXT


def test_passages_judged_together_stay_together(folder):
    judged = [item for item in many(folder, 1) if isinstance(item, Judged)]

    assert [(item.answers, [pair.text for pair in item.passages]) for item in judged] == [
        (True, ["Le viaduc de Garabit", "La tour Eiffel"])
    ]


def test_titles_lose_their_markup_and_are_sometimes_left_out(folder):
    titles = {pair.title for pair in many(folder) if not isinstance(pair, Judged) and pair.text in TEXT}

    assert titles == {"", "Tour Eiffel"}


def test_the_same_chance_gives_the_same_pairs(folder):
    assert many(folder) == many(folder)


def test_the_nearest_paragraphs_share_rare_words_and_do_not_hold_an_answer(folder):
    asked = read_folder(folder)[0]

    assert [record.id for record, _, _ in asked.others] == ["viaduc"]
