from assistant.types import Answer, Citation
from assistant.web.markup import answer_markup
from assistant.web.texts import FRENCH
from tests.fakes import passage

TEXT = "Le pain coûte un euro."


def test_a_citation_shows_section_and_page_as_plain_characters() -> None:
    cited = passage(TEXT, title="Rapport", section="<img src=x onerror=alert(1)> › Bilan", page=3)
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, 1, FRENCH)

    assert (
        '<span class="section" dir="auto">&#60;img src&#61;x onerror&#61;alert&#40;1&#41;&#62; › Bilan</span>' in markup
    )
    assert '<span class="page">page 3</span>' in markup
    assert "<img" not in markup


def test_a_citation_without_section_and_page_shows_its_title_alone() -> None:
    cited = passage(TEXT, title="Rapport")
    answer = Answer("?", "?", f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))

    markup = answer_markup(answer, 1, FRENCH)

    assert '<span class="title" dir="auto">Rapport</span></summary>' in markup
