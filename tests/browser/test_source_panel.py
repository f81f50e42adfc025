"""A citation opens its document beside the chat, at the very words."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from index import File
from tests import files
from tests.browser.conftest import BROWSERS_OWN, Visit, Visits
from tests.browser.scripted import ScriptedAssistant

QUESTION = "Quand fut signé l'armistice ?"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def pdf(folder: Path, *pages: str) -> Path:
    path = folder / "tour.pdf"
    path.write_bytes(files.pdf(pages))
    return path


def test_a_marker_opens_the_whole_document_at_the_quote(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.index.texts["tour"] = "La tour Eiffel mesure 330 mètres.\n" + "Elle est en fer.\n" * 300
    page = visit.open()
    visit.ask_to_the_end(QUESTION)

    visit.open_source(2)

    panel = page.get_by_role("dialog", name="La tour Eiffel")
    expect(panel.locator("mark")).to_be_in_viewport()
    expect(panel.locator("mark")).to_have_text("La tour Eiffel mesure 330 mètres.")
    expect(panel.locator(".details")).to_have_text("11 novembre 2024 · page 3 · français · tour.txt")
    assert panel.locator(".text").text_content() == assistant.index.text("tour")
    expect(page.locator(".answer .said")).to_be_in_viewport()


def test_a_quote_far_down_is_scrolled_to_and_counted_in_characters(visit: Visit, assistant: ScriptedAssistant) -> None:
    before = "Avant 𝄞 tout, é\u0301.\n" * 400
    assistant.index.texts["armistice"] = before + "L'armistice fut signé."
    assistant.quotes["armistice"] = (len(before), len(before) + len("L'armistice fut signé."))
    visit.open()
    visit.ask_to_the_end(QUESTION)

    page = visit.open_source(1)

    expect(page.locator("#panel mark")).to_be_in_viewport()
    assert page.locator("#panel mark").text_content() == "L'armistice fut signé."


def test_next_and_previous_go_through_the_sources_of_the_answer(visit: Visit) -> None:
    visit.open()
    visit.ask_to_the_end(QUESTION)
    page = visit.open_source(1)
    panel = page.locator("#panel")
    expect(panel.locator(".position")).to_have_text("1 sur 2")
    expect(panel.get_by_role("button", name="Source précédente")).to_be_disabled()

    panel.get_by_role("button", name="Source suivante").click()

    expect(panel.locator("mark")).to_have_text("La tour Eiffel mesure 330 mètres.")
    expect(panel.locator(".position")).to_have_text("2 sur 2")
    expect(panel.get_by_role("button", name="Source suivante")).to_be_disabled()
    panel.get_by_role("button", name="Source précédente").click()
    expect(panel.locator("mark")).to_contain_text("L'armistice fut signé")


def test_the_panel_is_opened_and_closed_by_keyboard_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    page.locator("a.marker").first.focus()

    page.keyboard.press("Enter")

    expect(page.locator("#panel mark")).to_be_in_viewport()
    expect(page.locator("#panel h2")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).not_to_be_visible()
    expect(page.locator("a.marker").first).to_be_focused()


def test_who_writes_as_soon_as_the_panel_is_closed_keeps_the_focus(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    visit.open_source(1)

    page.evaluate(
        """async () => {
        const closed = new Promise((told) => document.querySelector("#panel").addEventListener("close", told));
        const escape = new KeyboardEvent("keydown", { key: "Escape", bubbles: true });
        document.querySelector("#panel h2").dispatchEvent(escape);
        document.querySelector("#question textarea").focus();
        await closed; }"""
    )

    expect(page.locator("#question textarea")).to_be_focused()


def test_a_marker_opens_the_source_of_its_own_answer(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    assistant.index.texts = {"traite": assistant.index.text("traite")} | assistant.index.texts
    visit.ask_to_the_end(QUESTION)

    visit.open_source(1, answer=0)
    expect(page.locator("#panel mark")).to_contain_text("L'armistice")
    visit.open_source(1, answer=1)

    expect(page.locator("#panel mark")).to_contain_text("Le traité de Versailles")


@pytest.mark.parametrize("query", ["?__theme=dark", "?__theme=light&x=1#top"])
def test_a_marker_does_not_reload_a_page_with_a_query(visit: Visit, query: str) -> None:
    page = visit.open(query)
    visit.ask_to_the_end(QUESTION)
    page.evaluate("window.sameVisit = true")

    visit.open_source(1)

    assert page.evaluate("window.sameVisit") is True
    assert page.url == f"{visit.address}/{query}"


def test_the_panel_stays_open_while_the_next_answer_comes(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    visit.open_source(1)

    visit.ask_to_the_end(QUESTION)

    expect(page.locator("#panel mark")).to_be_in_viewport()
    page.locator("#panel").get_by_role("button", name="Fermer").click()
    expect(page.locator("#panel")).not_to_be_visible()


def test_a_passage_that_is_not_cited_opens_marked_as_a_passage(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    page.get_by_text("1 autre passage trouvé, non cité").click()

    page.locator("details.others .card").click()

    expect(page.locator("#panel .passage")).to_have_text(assistant.index.text("traite"))
    expect(page.locator("#panel mark")).to_have_count(0)


def test_on_a_phone_the_panel_is_a_sheet_over_the_chat(visits: Visits) -> None:
    visit = visits(**PHONE)
    page = visit.open()
    visit.ask_to_the_end(QUESTION)

    page.locator("a.marker").first.tap()

    expect(page.locator("#panel mark")).to_be_in_viewport()
    box = page.locator("#panel").bounding_box()
    assert box
    assert (box["x"], box["width"]) == (0, 390)
    assert page.evaluate("document.querySelector('#panel').matches(':modal')")
    page.locator("#panel").get_by_role("button", name="Fermer").tap()
    expect(page.locator("#panel")).not_to_be_visible()


def test_a_document_that_is_gone_since_is_said_to_be(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    del assistant.index.texts["armistice"]

    page.locator("a.marker").first.click()

    expect(page.locator("#panel .status")).to_have_text("Ce document n’est plus indexé.")
    visit.complaints.clear()  # the browser tells of the 404


def test_a_link_to_a_source_opens_it(visit: Visit) -> None:
    page = visit.open("#source?id=tour&passage=0-40&quote=3-14")

    expect(page.locator("#panel mark")).to_have_text("tour Eiffel")


@pytest.mark.parametrize(
    ("locale", "day", "also_in"),
    [
        ("fr-FR", "11 novembre 2024", "Aussi dans : <b>.txt, c.html"),
        ("en-GB", "11 November 2024", "Also in: <b>.txt, c.html"),
    ],
)
def test_a_citation_tells_its_day_and_the_other_files_that_say_the_same(
    visits: Visits, assistant: ScriptedAssistant, locale: str, day: str, also_in: str
) -> None:
    assistant.also_in = (File("b", "L'armistice", "<b>.txt"), File("c", "L'armistice", "c.html"))
    visit = visits(locale=locale)
    page = visit.open()

    visit.ask_to_the_end(QUESTION)

    expect(page.locator(".cited .card").first).to_contain_text(day)
    expect(page.locator(".cited .also").first).to_have_text(also_in)
    expect(page.locator("a.marker").nth(1)).to_have_attribute("title", f"Source 2: La tour Eiffel, {day}, page 3")


def test_a_pdf_is_shown_at_the_page_of_the_quote(visit: Visit, assistant: ScriptedAssistant, tmp_path: Path) -> None:
    assistant.index.files["tour"] = pdf(tmp_path, "Un.", "Deux.", "La tour Eiffel mesure 330 mètres.")
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    visit.open_source(2)

    # The browser's own viewer takes it, and reads on by itself.
    with page.expect_event("framenavigated", lambda frame: frame.url.startswith(BROWSERS_OWN)):
        page.locator("#panel").get_by_role("button", name="PDF", exact=True).click()

    frame = page.locator("#panel iframe")
    expect(frame).to_have_attribute("src", f"{visit.address}/documents/tour/file#page=3&navpanes=0&view=FitH")
    expect(page.locator("#panel .text")).not_to_be_visible()
    page.locator("#panel").get_by_role("button", name="Texte").click()
    expect(page.locator("#panel mark")).to_be_in_viewport()
    assert visit.complaints == []


def test_a_document_without_a_pdf_offers_none(visit: Visit) -> None:
    visit.open()
    visit.ask_to_the_end(QUESTION)

    page = visit.open_source(1)

    expect(page.locator("#panel .views")).not_to_be_visible()


def test_a_part_of_a_pdf_is_sent_alone_under_headers_of_its_own(
    assistant: ScriptedAssistant, address: str, tmp_path: Path
) -> None:
    assistant.index.files["tour"] = pdf(tmp_path, "Un.")

    response = httpx.get(f"{address}/documents/tour/file", headers={"Range": "bytes=0-4"})

    assert (response.status_code, response.content) == (206, b"%PDF-")
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"].startswith("inline")
    assert response.headers["x-content-type-options"] == "nosniff"
    [policy] = response.headers.get_list("content-security-policy")
    assert "sandbox" in policy
    assert "default-src 'none'" in policy


def test_a_file_that_changed_since_it_was_indexed_is_not_served(
    assistant: ScriptedAssistant, address: str, tmp_path: Path
) -> None:
    file = pdf(tmp_path, "Un.")
    assistant.index.files["tour"] = file
    assistant.index.hashes["tour"] = "1" * 64

    assert httpx.get(f"{address}/documents/tour/file").status_code == 404
    assert httpx.get(f"{address}/documents/tour").json()["pdf"] is False


def test_a_file_that_is_no_pdf_is_not_served(assistant: ScriptedAssistant, address: str, tmp_path: Path) -> None:
    page = tmp_path / "page.pdf"
    page.write_text("<script>alert(1)</script>")
    assistant.index.files["tour"] = page

    assert httpx.get(f"{address}/documents/tour/file").status_code == 404


@pytest.mark.parametrize("path", ["..%2F..%2Fetc%2Fhostname", "%2Fetc%2Fhostname", "nobody", "tour/../../api"])
def test_no_file_is_served_by_its_path(address: str, path: str) -> None:
    for address_of in (f"{address}/documents/{path}", f"{address}/documents/{path}/file"):
        assert httpx.get(address_of).status_code == 404


@pytest.mark.parametrize("query", ["quote=1", "quote=a-b", "passage=-1-4", "quote=9999999999-1", "page=x"])
def test_a_place_that_makes_no_sense_is_refused(address: str, query: str) -> None:
    assert httpx.get(f"{address}/documents/tour?{query}").status_code == 422
