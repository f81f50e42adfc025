"""The page in front of the real assistant, on the seed document."""

from pathlib import Path

import httpx
import pytest

from assistant import AssistantSettings, open_assistant
from assistant.web.app import create_app
from assistant.web.uploads import Uploads
from index import IndexSettings, SyncQueue, create_index, plan
from tests.browser.serving import serving

QUESTION = "Combien de temps a duré l'entretien téléphonique entre Trump et Poutine ?"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with create_index(IndexSettings(path=tmp_path_factory.mktemp("index"))) as index:
        index.sync(plan([Path("seeds")], index.catalog), lambda _: None)
        assistant = open_assistant(index, AssistantSettings())
        assistant.load()
        with SyncQueue(index) as queue:
            uploads = Uploads(tmp_path_factory.mktemp("uploads"), index, queue)
            with serving(create_app(assistant, queue, uploads=uploads)) as address:
                yield address


def test_the_words_marked_on_the_page_are_the_quotes_of_the_api(address, browser):
    quotes = [
        citation["quote"]
        for citation in httpx.post(f"{address}/api/ask", json={"question": QUESTION}, timeout=60).json()["citations"]
    ]
    [document] = httpx.get(f"{address}/api/sources").json()
    text = httpx.get(f"{address}/api/sources/{document['id']}").json()["text"]
    page = browser.new_page()
    page.goto(address)
    page.locator("#question textarea").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".answer .copy").wait_for(timeout=60_000)

    marked = []
    for number in range(len(quotes)):
        page.locator(".cited .card").nth(number).click()
        if len(quotes) > 1:  # Of one alone there is nothing to count.
            page.locator("#panel .position").get_by_text(f"{number + 1} ").wait_for()
        page.locator("#panel mark").wait_for()
        marked.append(page.locator("#panel mark").text_content())
        assert page.locator("#panel .text").text_content() == text

    assert any("deux heures et demie" in quote for quote in quotes)
    assert marked == quotes


def test_a_question_that_the_document_does_not_answer_shows_the_nearest_passages(address, browser):
    page = browser.new_page(locale="fr-FR")
    page.goto(address)
    page.locator("#question textarea").fill("Quel est le prix du baril de pétrole ?")
    page.keyboard.press("Enter")

    page.get_by_text("Les documents ne répondent pas à cette question.").first.wait_for(timeout=60_000)
    assert page.locator("a.marker").count() == 0
    assert page.locator(".others .card").first.is_visible()


def test_a_file_that_was_just_added_is_answered_from_and_opens_at_the_quote(address, browser, tmp_path):
    sentence = "La médiathèque de Besançon ouvre le mardi à 14 heures et ferme à 19 heures."
    file = tmp_path / "médiathèque.txt"
    file.write_text(f"Horaires de la médiathèque.\n\n{sentence}\n\nLe prêt est gratuit.", "utf-8")
    page = browser.new_page(locale="fr-FR")
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("button", name="Documents", exact=True).click()
    page.locator("#documents [type=file]").first.set_input_files(file)
    page.locator("#documents .arriving .good").wait_for()
    page.keyboard.press("Escape")

    page.locator("#question textarea").fill("À quelle heure ouvre la médiathèque de Besançon le mardi ?")
    page.keyboard.press("Enter")
    page.locator(".answer .copy").wait_for()
    page.locator("a.marker").first.click()

    page.locator("#panel mark").wait_for()
    assert page.locator("#panel mark").text_content() == sentence
