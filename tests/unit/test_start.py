from dataclasses import replace

import pytest

from assistant.web.start import EXAMPLES, candidates, examples
from index.types import Source

SOURCE = Source("a", "Le guide", ("/a.txt",), 1, "fr", "2025-01-01", "0" * 64)
FAQ = "# Questions\n\n## Comment renouveler un passeport périmé ?\n\nPar la mairie.\n\n- Qui ? dit-il. Comment ?\n"


def test_a_question_that_is_a_line_of_its_own_is_an_example() -> None:
    assert next(candidates(SOURCE, FAQ)) == "Comment renouveler un passeport périmé ?"


@pytest.mark.parametrize(
    ("language", "question"), [("fr", "Que dit « Le guide » ?"), ("de", "What does “Le guide” say?")]
)
def test_a_document_without_questions_is_asked_about_by_its_title(language: str, question: str) -> None:
    assert list(candidates(replace(SOURCE, language=language), "Texte.")) == [question]


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        (
            "fr",
            "Hier, Anne Durand est venue. Elle a vu la Maison Blanche avec Jean Petit et Jean Petit.",
            "de Jean Petit",
        ),
        ("fr", "On a vu Émile Zola, dit-on.", "d’Émile Zola"),
        ("en", "They met Jane Doe there.", "about Jane Doe"),
    ],
)
def test_the_name_that_a_document_has_most_is_asked_about(language: str, text: str, question: str) -> None:
    assert question in next(candidates(replace(SOURCE, language=language), text))


def test_a_question_that_is_not_answered_is_not_shown() -> None:
    shown = examples([SOURCE], lambda _: FAQ, lambda question, _: question.startswith("Que dit"))

    assert list(shown) == ["Que dit « Le guide » ?"]


def test_the_newest_documents_give_one_example_each() -> None:
    sources = [replace(SOURCE, id=f"{n}", title=f"{n}", date=f"2025-01-0{n}") for n in range(1, 6)]

    shown = list(examples(sources, lambda _: "", lambda *_: True))

    assert shown == [f"Que dit « {n} » ?" for n in (5, 4, 3)]
    assert len(shown) == EXAMPLES


def test_a_document_gives_more_only_after_each_gave_one() -> None:
    text = "Hier, Anne Durand est venue. Elle a vu Jean Petit avec Jean Petit."
    older = replace(SOURCE, id="older", title="Avant", date="2024-01-01")

    shown = list(examples([SOURCE, older], lambda source: text if source == "a" else "", lambda *_: True))

    assert shown == ["Que sait-on de Jean Petit ?", "Que dit « Avant » ?", "Que sait-on d’Anne Durand ?"]
