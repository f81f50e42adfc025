"""Every word of the page is in the language that the page speaks, also those that only a screen reader says."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import Visit, Visits
from tests.browser.scripted import ARMISTICE, CANNOT_ANSWER, TOWER, TREATY, ScriptedAssistant
from tests.files import pdf

QUESTION = "Quand fut signé l'armistice ?"
DECLINED = "Combien de lunes a Jupiter ?"
TITLES = ["L'armistice", "La tour Eiffel", "Versailles"]
EXAMPLES = [f"Que dit « {title} » ?" for title in TITLES]
ANNOUNCED = "L'armistice fut signé le 11 novembre 1918 à Rethondes.\u00a01 La tour Eiffel mesure 330 mètres.\u00a02"
DOCUMENTS = [ANNOUNCED, ARMISTICE, TOWER, TREATY, CANNOT_ANSWER, QUESTION, DECLINED, *TITLES, *EXAMPLES]
ALIKE = {"Sourcier", "Conversation", "Conversations", "Documents", "Sources", "PDF", "page 3"}
"""What is the same in French and in English."""
WORDS = """() => [...document.querySelectorAll("title, body *")]
    .filter((each) => each.localName === "title" || each.checkVisibility())
    .flatMap((each) => [
        ...[...each.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data),
        ...["aria-label", "title", "alt", "placeholder"].map((name) => each.getAttribute(name) ?? ""),
    ]).map((words) => words.trim()).filter((words) => /\\p{L}{2}/u.test(words))"""


def words_of(visit: Visit, assistant: ScriptedAssistant) -> set[str]:
    """Give what the page says in its states, and nothing of what documents say."""
    page, seen = visit.open(), set[str]()

    def look(at: Page) -> None:
        seen.update(at.evaluate(WORDS))

    look(page)
    visit.ask_to_the_end(QUESTION)
    look(page)
    page.locator("button.edit").click()
    look(page)
    page.locator("#editing button").click()
    page.locator("button.bad").click()
    look(page)
    page.locator("#opinion [type=submit]").click()
    page.locator("#opinion .status:not(:empty)").wait_for()
    look(page)
    visit.open_source(2)
    look(page)
    page.locator("#panel .close").click()
    visit.ask_to_the_end(DECLINED)
    look(page)
    assistant.endless = True
    visit.ask(QUESTION)
    page.locator(".answer .said", has_text="encore").wait_for()
    look(page)
    page.locator("#stop").click()
    page.locator(".answer .status").last.wait_for()
    assistant.endless = False
    look(page)
    page.locator("#history-open").click()
    page.locator("#history li").first.wait_for()
    look(page)
    page.locator("#history .delete").first.click()
    look(page)
    return {words for words in seen if not any(words in text for text in DOCUMENTS) and "encore" not in words}


def test_every_word_is_in_the_language_of_the_page(
    visits: Visits, assistant: ScriptedAssistant, tmp_path: Path
) -> None:
    assistant.index.files["tour"] = tmp_path / "tour.pdf"
    assistant.index.files["tour"].write_bytes(pdf(["Un.", "Deux.", TOWER]))
    french = words_of(visits(locale="fr-FR"), assistant)
    english = words_of(visits(locale="en-GB"), assistant)

    assert "Réessayer" in french
    assert "Try again" in english
    assert french & english <= ALIKE
