import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.sentences import PIECE_CHARACTERS, QUOTATION_CHARACTERS, _located, sentences, whole_characters

SEED = Path(__file__).parents[2] / "seeds" / "000_04761f5e471519e2.txt"
# fmt: off
PIECES = [
    "M. Trump", "Mme. X", "« ", " »", "“", "”", "„", "a dit", ". ", "! ", "?", "…", "...", "\n",
    "\r\n", "\n\n", "\u00a0", "\u202f", "e\u0301", "👩\u200d👧", "他来了。", "「行く。」", "\u200f", "\x01",
    "3.5", "1. ", "a) ", "(", ")", "∯", "ȸ", "&ᓴ&", "'", '"', "etc.", "U.S.", "[1]", "www.x.fr",
    "\u2028", "\t", "É", "ß", "d. ",
]
# fmt: on
NASTY = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=80)


def cut(text: str, language: str | None = "fr") -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


def test_the_seed_article_has_its_sentences_whole() -> None:
    found = cut(SEED.read_text(encoding="utf-8"))

    assert len(found) == 16
    assert found[0].startswith("M. Trump a déclaré que M. Poutine avait « cédé la place »")
    assert found[3].endswith("Nous n'y arrivons pas, c'est à vous de la résoudre.\" »")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("M. Trump a dit non à M. Poutine.", "fr"),
        ("Mme. Dupont, Mlle. Roy et MM. Martin ont vu le Dr. House.", "fr"),
        ("Voir l'art. 5, p. 12 et le ch. 3 en janv. 2020.", "fr"),
        ("Tout commence en 52 av. J.-C. sous un ciel etc. et finit ainsi.", "fr"),
        ("« Non. Jamais ! », a-t-il dit.", "fr"),
        ("Il a dit : « Je pars. Je reviens. » avant de partir.", "fr"),
        ("Il a écrit : “Je pars. Je reviens. Adieu.”", "fr"),
        ("Mr. Smith met Dr. Jones at 3.5 km from www.example.com.", "en"),
        ("Il dit „Je pars. Tu restes. Oui.“ hier.", "fr"),
        ("»Ja. Nein. Vielleicht.«", "de"),
        ("„Ja. Nein.“ sagte Dr. Meier am 3. Oktober.", "de"),
        ("A Sra. Maria e o Sr. Silva vivem na Av. Paulista n.º 5.", "pt"),
        ("Проф. Шевченко живе на вул. Тараса.", "uk"),
    ],
)
def test_one_sentence_stays_one(text: str, language: str) -> None:
    assert cut(text, language) == [text]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Il part. Elle reste.", "fr", ["Il part.", "Elle reste."]),
        ("Qui est-il ? Il est grand ! Bon…", "fr", ["Qui est-il ?", "Il est grand !", "Bon…"]),
        ("Il dit : « Non. » Elle rit. « Oui. »", "fr", ["Il dit : « Non. » Elle rit.", "« Oui. »"]),
        ("他来了。她走了！真的吗？", "zh", ["他来了。", "她走了！", "真的吗？"]),
        ("彼は来た。「行く。」と言った。", "ja", ["彼は来た。", "「行く。」と言った。"]),
        ("안녕하세요. 저는 학생입니다.", "ko", ["안녕하세요.", "저는 학생입니다."]),
        ("»Ja. Nein.« Er ging. Sie blieb.", "de", ["»Ja. Nein.« Er ging.", "Sie blieb."]),
        ("He left. She stayed.", None, ["He left.", "She stayed."]),
        ("He left. She stayed.", "xx", ["He left.", "She stayed."]),
        ("it is yesterday. nobody knows.", "en", ["it is yesterday.", "nobody knows."]),
    ],
)
def test_sentences_are_parted(text: str, language: str | None, expected: list[str]) -> None:
    assert cut(text, language) == expected


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n\n", "\u2028", "\u0085"])
def test_a_line_break_ends_a_sentence(line_break: str) -> None:
    assert cut(f"Un titre sans point{line_break}Le texte commence") == [
        "Un titre sans point",
        "Le texte commence",
    ]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_line_that_goes_on_in_lower_case_is_one_with_the_line_before(line_break: str) -> None:
    text = f"Une phrase coupée{line_break}à la marge."

    assert cut(text) == [text]


@pytest.mark.parametrize(
    "text", ["Deux choses :\nune pomme", "Fini.\nencore", "Titre\n\nsuite", "Liste\na) un\nb) deux"]
)
def test_a_list_an_end_or_a_blank_line_is_not_gone_on_from(text: str) -> None:
    assert cut(text) == [line for line in text.splitlines() if line]


def test_a_quotation_that_is_never_closed_holds_nothing_together() -> None:
    assert cut("Il dit : « Je pars. Elle reste. Ils rient.") == [
        "Il dit : « Je pars.",
        "Elle reste.",
        "Ils rient.",
    ]


def test_a_quotation_holds_sentences_together_up_to_a_limit() -> None:
    sentence = "Nous essayons de résoudre cette guerre. "
    short = "« " + sentence * 10 + "»"
    long = "« " + sentence * (QUOTATION_CHARACTERS // len(sentence) + 2) + "»"

    assert len(cut(short)) == 1
    assert len(cut(long)) > 10


def test_sentences_that_the_rules_dropped_or_changed_are_not_trusted() -> None:
    assert _located("Un. Deux. Trois.", ["Un.", "Deux.", "Trois."]) == [(0, 3), (4, 9), (10, 16)]
    assert _located("Un. Deux. Trois.", ["Un.", "Trois."]) is None
    assert _located("Un. Deux. Trois.", ["Un.", "Deux∯", "Trois."]) is None
    assert _located("Un. Deux. Trois.", ["Un.", "Deux."]) is None


@pytest.mark.parametrize("text", ["", " ", "\n\r\n", "\u00a0\u202f\t"])
def test_white_space_has_no_sentence(text: str) -> None:
    assert sentences(text, "fr") == []


@given(NASTY, st.sampled_from(["fr", "en", "de", "zh", "ar", "it", "ko", None]))
def test_spans_are_in_order_and_stripped_with_white_space_between(text: str, language: str | None) -> None:
    cursor = 0
    for start, end in sentences(text, language):
        assert cursor <= start < end
        assert text[start:end] == text[start:end].strip()
        assert not text[cursor:start].strip()
        cursor = end
    assert not text[cursor:].strip()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "part", ["mot ", "x", ".", ". ", "([", "« ", '"', "1. ", "M. ", "A.", "。", "e\u0301", " ", "\n"]
)
def test_a_line_of_100_000_characters_does_not_hang(part: str) -> None:
    text = part * (100_000 // len(part))

    found = sentences(text, "fr")

    assert "".join("".join(text[start:end] for start, end in found).split()) == "".join(text.split())


def test_a_piece_is_cut_after_a_sentence_where_there_is_one() -> None:
    text = "Une phrase assez courte pour tenir ici. " * (2 * PIECE_CHARACTERS // 40)

    assert set(cut(text)) == {"Une phrase assez courte pour tenir ici."}


def test_threads_get_what_one_thread_gets() -> None:
    texts = [f"M. Trump a dit {n}. « Oui. Non. » Elle part à {n} h. Quoi ?" * 20 for n in range(60)]
    expected = [cut(text) for text in [f"{text} " for text in texts]]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(cut, texts))

    assert found == expected


@pytest.mark.parametrize("cluster", ["e\u0301", "👩\u200d👧\u200d👦", "🇫🇷", "👍🏽", "\r\n", "각", "❤\ufe0f"])
def test_a_cut_inside_a_character_moves_before_it(cluster: str) -> None:
    text = f"ab{cluster}cd"

    assert {whole_characters(text, position) for position in range(3, 2 + len(cluster))} <= {2}
    assert whole_characters(text, 2 + len(cluster)) == 2 + len(cluster)


def test_a_cut_between_two_flags_stays() -> None:
    assert whole_characters("🇫🇷🇩🇪", 2) == 2


def test_a_row_of_a_table_is_a_sentence_of_its_own_in_lower_case_too() -> None:
    text = "Plante | Portion\norge, seigle | 200\nblé dur | 150"

    assert [text[start:end] for start, end in sentences(text, "fr")] == text.split("\n")


@pytest.mark.parametrize("marks", ["i) ii) ", "a) b) ", "(a) (b) ", "1) 2) "])
def test_a_piece_that_is_all_list_is_no_hard_nut(marks: str) -> None:
    text = f"{marks * (PIECE_CHARACTERS // len(marks) - 10)}Il pleut. Il neige."
    begun = time.thread_time()

    spans = sentences(text, "en")

    assert time.thread_time() - begun < 5
    assert text[slice(*spans[-1])] == "Il neige."
