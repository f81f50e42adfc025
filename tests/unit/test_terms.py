import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.terms import STEMMERS, TERM_CHARACTERS, content_terms, query_terms, terms

SAME = [
    ("l'économie", "economie", "fr"),
    ("l’Ukraine", "UKRAINE", "fr"),
    ("États-Unis", "etats-unis", "fr"),
    ("aujourd’hui", "Aujourd'hui", "fr"),
    ("cœur", "COEUR", "fr"),
    ("jusqu’à l’œuvre", "à œuvre", "fr"),
    ("d'Estaing", "Estaing", "en"),
    ("Straße", "strasse", "de"),
    ("über", "Uber", "de"),
    ("Müller's", "Muller", "de"),
    ("Müller's", "Müller", "en"),
    ("O’Brien's", "O'Brien", "en"),
    ("dell'acqua", "acqua", "it"),
    ("L'O.N.U.", "ONU", "fr"),
    ("an\u00adnu\u200bler", "annuler", "fr"),
    ("ﬁnance", "finance", "fr"),
    ("1 000", "1000", "fr"),
    ("1\u00a0000", "1000", "fr"),
    ("12\u202f345\u202f678", "12345678", "fr"),
    ("10,000", "10 000", "en"),
    ("1.000.000", "1 000 000", "de"),
    ("2.5", "2,5", "fr"),
    ("الْحَرْبُ", "الحرب", "ar"),
    ("ёлка", "елка", "ru"),
    ("İstanbul", "istanbul", "fr"),
]


@pytest.mark.parametrize(("written", "other", "language"), SAME)
def test_spellings_of_one_thing_have_the_same_terms(written: str, other: str, language: str) -> None:
    assert terms(written, language) == terms(other, language) != []


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("qu'il", "fr", ["il"]),
        ("aujourd'hui", "fr", ["aujourdhui"]),
        ("O'Brien", "en", ["obrien"]),
        ("2,5", "fr", ["2,5"]),
        ("F-16", "fr", ["f", "16", "f16"]),
        ("04/11/2024", "fr", ["04/11/2024", "04", "11", "2024"]),
        ("2024-11-04", "fr", ["2024", "11", "04", "20241104"]),
        ("week-end", None, ["week", "end", "weekend"]),
        ("他来了。Windows系统", "zh", ["他来", "来了", "windows", "系统"]),
        ("好", "zh", ["好"]),
        ("がく", "ja", ["がく"]),
        ("हिन्दी भाषा", None, ["हिन्दी", "भाषा"]),
        ("й и", None, ["й", "и"]),
        (" …! « » -- '_' ", "fr", []),
    ],
)
def test_a_text_has_these_terms(text: str, language: str | None, expected: list[str]) -> None:
    assert terms(text, language) == expected


def test_numbers_that_only_follow_each_other_stay_apart() -> None:
    assert terms("en 2003 100 personnes, le 4 2000", None) == [
        "en",
        "2003",
        "100",
        "personnes",
        "le",
        "4",
        "2000",
    ]


def test_words_of_one_stem_have_one_term() -> None:
    assert terms("négociations", "fr") == terms("négociation", "fr")
    assert terms("wars", "en") == terms("war", "en")


def test_without_a_language_words_are_not_stemmed() -> None:
    assert terms("Négociations", None) == ["negociations"]


def test_a_language_without_stems_keeps_its_words() -> None:
    assert terms("Žaliosios", "lt") == ["zaliosios"]


@pytest.mark.parametrize("language", [*STEMMERS, None])
def test_every_language_of_the_table_has_a_stemmer(language: str | None) -> None:
    assert terms("international", language)


@given(st.text(alphabet=st.sampled_from("aeéèêçàùœæ 'l’d-sßüñ.,0123 \u00a0\u202f\u0301"), max_size=60))
def test_a_text_and_its_spelling_without_accents_have_the_same_terms(text: str) -> None:
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))

    assert terms(text, "fr") == terms(bare, "fr")


@given(st.text(max_size=80), st.sampled_from([*STEMMERS, None]))
def test_no_term_is_blank_or_holds_white_space_or_is_too_long(text: str, language: str | None) -> None:
    assert all(term and term.split() == [term] and len(term) <= TERM_CHARACTERS for term in terms(text, language))


def test_a_line_without_spaces_becomes_a_term_that_the_index_takes() -> None:
    assert terms("x" * 100_000, "fr") == ["x" * TERM_CHARACTERS]


def test_a_question_is_stemmed_as_every_language_of_the_index_would() -> None:
    found = query_terms("Quelles négociations ?", ["de", "fr"])

    assert found == {"de": ["quell", "negociation"], "fr": ["negoci"]}


def test_a_question_keeps_the_order_of_its_words_and_repeats_none() -> None:
    assert query_terms("paix guerre paix", ["fr"]) == {"fr": ["paix", "guerr"]}


def test_documents_of_unknown_language_are_searched_for_the_words_as_they_are() -> None:
    assert query_terms("Les négociations", [None]) == {None: ["negociations"]}


def test_a_question_of_nothing_but_grammar_is_searched_as_it_is() -> None:
    assert query_terms("Qui est-ce ?", ["fr"]) == {"fr": ["qui", "est", "ce", "estce"]}


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Et qu'est-ce qu'il a dit de l'Ukraine ?", "fr", ["dit", "ukrain"]),
        ("Pourquoi ?", "fr", []),
        ("What did they say about the war?", "en", ["say", "war"]),
        ("Was ist mit dem Krieg?", "de", ["krieg"]),
        ("¿Y qué pasó con la guerra?", "es", ["pas", "guerr"]),
        ("What about qui ?", None, []),
    ],
)
def test_words_of_grammar_are_not_content(text: str, language: str | None, expected: list[str]) -> None:
    assert content_terms(text, language) == expected


def test_threads_that_stem_at_once_do_not_disturb_each_other() -> None:
    texts = [" ".join(f"négociation{'abcdefghij'[n % 10]}{n}x{k}" for k in range(200)) for n in range(16)]
    expected = [[f"negociation{'abcdefghij'[n % 10]}{n}x{k}" for k in range(200)] for n in range(16)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda text: terms(text, "fr"), texts))

    assert found == expected
