import html
from dataclasses import replace

import pytest

from assistant.types import Answer, Citation, Seconds, Unsupported, Usage
from assistant.web.markup import answer_markup
from assistant.web.texts import ENGLISH, FRENCH, Texts
from index import File
from tests.fakes import passage

TEXT = "Le pain coûte un euro."


def test_a_citation_shows_section_and_page_as_plain_characters() -> None:
    cited = passage(TEXT, title="Rapport", section="<img src=x onerror=alert(1)> › Bilan", page=3)
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, FRENCH)

    assert (
        '<span class="section" dir="auto">&#60;img src&#61;x onerror&#61;alert&#40;1&#41;&#62; › Bilan</span>' in markup
    )
    assert '<span class="page">page 3</span>' in markup
    assert "<img" not in markup


def test_a_citation_without_section_and_page_shows_its_title_alone() -> None:
    cited = passage(TEXT, title="Rapport")
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, FRENCH)

    assert '<span class="title" dir="auto">Rapport</span></span>' in markup


@pytest.mark.parametrize(
    ("texts", "date", "shown"),
    [
        (FRENCH, "2025-11-05T10:00:00Z", "5 novembre 2025"),
        (FRENCH, "2025-11-01", "1er novembre 2025"),
        (ENGLISH, "2025-11-01", "1 November 2025"),
        (FRENCH, "2025", "2025"),
    ],
)
def test_a_citation_shows_its_day_in_the_language_of_the_page(texts: Texts, date: str, shown: str) -> None:
    cited = replace(passage(TEXT, title="Rapport", page=3), date=date)
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, texts)

    assert f'<span class="day">{shown}</span><span class="page">page 3</span>' in markup
    assert f'title="Source 1&#58; Rapport&#44; {shown}&#44; page 3"' in markup


def test_of_many_files_of_the_same_words_the_first_are_named_and_the_others_counted() -> None:
    files = tuple(File(f"{n}", "Titre", f"{n}.txt") for n in range(9))
    cited = passage(TEXT)
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT), files),), (cited,))

    markup = answer_markup(answer, FRENCH)

    assert "0&#46;txt&#44; 1&#46;txt&#44; 2&#46;txt&#44; 3&#46;txt&#44; 4&#46;txt &#43;4" in markup


def test_a_sentence_that_nothing_supports_stands_apart_and_keeps_its_characters() -> None:
    text = "Vrai. [1] <b>Faux</b> (not found in the documents)"
    cited = passage(TEXT)
    unsupported = (Unsupported(text.index("<b>"), len(text), "meaning"),)
    answer = Answer("?", "?", text, (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,), unsupported=unsupported)

    markup = answer_markup(answer, FRENCH)

    assert '<span class="unsupported">&#60;b&#62;Faux&#60;&#47;b&#62; &#40;not found' in markup
    assert 'class="marker"' in markup


def test_the_words_that_answer_are_strong_in_the_text_and_in_the_quote() -> None:
    text = "Le pain <b> coûte *un euro*."
    cited = passage(text, start=100)
    start = text.index("*un")
    citation = Citation(1, cited, text, 100, 100 + len(text), answer=(100 + start, 100 + start + 9))

    markup = answer_markup(Answer("?", "?", f"{text} [1]", (citation,), (cited,)), FRENCH)

    assert markup.count("<strong>&#42;un euro&#42;</strong>") == 2
    assert "<b>" not in markup


def test_where_nobody_points_at_words_nothing_is_strong() -> None:
    cited = passage(TEXT)
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, FRENCH)

    assert "<strong>" not in markup


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (FRENCH, "<i>gpt</i> · 1\u202f234 jetons lus, 56 écrits, 3,2 s"),
        (ENGLISH, "<i>gpt</i> · 1,234 tokens read, 56 written, 3.2 s"),
    ],
)
def test_what_a_language_model_read_and_wrote_is_told_small(texts: Texts, told: str) -> None:
    answer = Answer("?", "?", "Non.", (), (), usage=Usage("<i>gpt</i>", 1234, 56), seconds=Seconds(0.2, 3.0))

    shown = html.unescape(answer_markup(answer, texts))

    assert f'<p class="usage">{told}</p>' in shown
    assert "<i>" not in answer_markup(answer, texts)
    assert "usage" not in answer_markup(replace(answer, usage=None), texts)
