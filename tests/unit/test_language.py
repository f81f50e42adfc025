import unicodedata

import pytest

from index.language import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Qui a déclaré que Moscou avait cédé la place ?", "fr"),
        ("What did the president say about the war?", "en"),
        ("Was hat der Präsident über den Krieg gesagt?", "de"),
        ("¿Qué dijo el presidente sobre la guerra?", "es"),
        ("Президент сказал, что война закончилась.", "ru"),
        ("总统昨天晚上说战争已经结束了。", "zh"),
        ("大統領は昨夜、戦争が終わったと言いました。", "ja"),
    ],
)
def test_the_language_of_a_question_is_named(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize("text", ["", " \n", "2025", "12 + 30 = 42", "😀 !?", "Ολυμπιακός αγώνας"])
def test_a_text_without_letters_of_a_known_script_has_no_language(text: str) -> None:
    assert detect(text) is None


def test_decomposed_accents_are_letters() -> None:
    question = unicodedata.normalize("NFD", "Où est né le président américain ?")

    assert detect(question) == "fr"


def test_a_long_text_is_judged_by_its_beginning() -> None:
    text = "La guerre dure depuis dix ans et personne ne sait la finir. " * 50 + "The war goes on. " * 5_000

    assert detect(text) == "fr"
