import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from assistant.errors import ModelFailed
from assistant.types import Notice
from assistant.web.streams import AT_ONCE, WAITING
from tests.browser.conftest import Visit, Visits, watched
from tests.browser.scripted import CANNOT_ANSWER, ScriptedAssistant

QUESTION = "Quand fut signé l'armistice ?"
QUOTE = "L'armistice fut signé le 11 novembre 1918 à Rethondes."


def answers(page: Page) -> Locator:
    return page.locator(".answer .said")


def test_a_question_asked_by_keyboard_is_answered_word_by_word(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.hold = True
    page = visit.open()

    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")

    expect(answers(page)).to_have_text("L'armistice fut")
    expect(page.locator("#question textarea")).to_have_value("")
    assistant.resume.set()
    expect(answers(page)).to_contain_text(QUOTE)
    expect(page.locator(".user-row .said")).to_have_text(QUESTION)
    assert [question for question, _ in assistant.asked] == [QUESTION]


def test_an_empty_page_offers_questions_made_of_the_documents_and_a_click_asks_one(
    visit: Visit, assistant: ScriptedAssistant
) -> None:
    page = visit.open()
    offered = page.locator(".greeting .example")
    expect(offered).to_have_text(
        ["Que dit « L'armistice » ?", "Que dit « La tour Eiffel » ?", "Que dit « Versailles » ?"]
    )

    offered.nth(1).click()

    expect(answers(page)).to_contain_text(QUOTE)
    expect(page.locator(".user-row .said")).to_have_text("Que dit « La tour Eiffel » ?")
    assert [question for question, _ in assistant.asked] == ["Que dit « La tour Eiffel » ?"]


def test_shift_and_enter_break_the_line_and_do_not_send(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()

    page.keyboard.type("Un")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("deux")

    expect(page.locator("#question textarea")).to_have_value("Un\ndeux")
    page.get_by_role("button", name="Envoyer").click()
    expect(page.locator(".answer .copy")).to_be_visible()
    assert [question for question, _ in assistant.asked] == ["Un\ndeux"]


def test_a_blank_question_asks_nothing(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()

    visit.ask("   ")
    visit.ask_to_the_end(QUESTION)

    assert [question for question, _ in assistant.asked] == [QUESTION]
    expect(page.locator(".user-row")).to_have_count(1)


@pytest.mark.parametrize("silent", [False, True], ids=["while words come", "while the model is silent"])
def test_a_stopped_answer_keeps_its_words_and_is_closed(
    visit: Visit, assistant: ScriptedAssistant, silent: bool
) -> None:
    assistant.hold, assistant.endless = silent, not silent
    page = visit.open()
    visit.ask(QUESTION)
    expect(answers(page)).to_contain_text("fut" if silent else "encore encore")

    page.get_by_role("button", name="Arrêter").click()

    expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")
    expect(answers(page)).to_contain_text("fut" if silent else "encore encore")
    expect(page.locator("#question textarea")).to_be_focused()
    if silent:
        assistant.resume.set()
    assert assistant.closed.wait(10)
    assert assistant.completed == 0


def test_after_a_stop_the_next_question_is_answered(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.endless = True
    page = visit.open()
    visit.ask(QUESTION)
    expect(answers(page)).to_contain_text("encore")
    page.get_by_role("button", name="Arrêter").click()
    expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")
    assistant.endless = False

    visit.ask_to_the_end(QUESTION)

    expect(answers(page).nth(1)).to_contain_text(QUOTE)
    assert assistant.asked[1][1] == []


def test_passages_that_are_not_cited_wait_behind_a_disclosure(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    passage = page.locator("details.others .card")
    expect(passage).not_to_be_visible()

    page.get_by_text("1 autre passage trouvé, non cité").click()

    expect(passage).to_be_visible()
    expect(passage).to_contain_text("Le traité de Versailles")


def test_a_declined_question_shows_the_nearest_passages_as_such(visit: Visit) -> None:
    page = visit.open()

    visit.ask_to_the_end("Combien de lunes a Jupiter ?")

    expect(answers(page)).to_have_text(CANNOT_ANSWER)
    expect(page.locator("a.marker")).to_have_count(0)
    expect(page.get_by_text("Les passages les plus proches, qui ne répondent pas à la question")).to_be_visible()
    expect(page.locator("details.others .card").first).to_be_visible()
    expect(page.locator("details.others .card").first).to_contain_text("L'armistice fut signé")


def test_a_question_asked_from_further_up_comes_into_view(visits: Visits) -> None:
    visit = visits(viewport={"width": 390, "height": 500}, is_mobile=True, has_touch=True)
    page = visit.open()
    for _ in range(3):
        visit.ask_to_the_end(QUESTION)
    page.locator(".user-row").first.scroll_into_view_if_needed()

    visit.ask_to_the_end("Combien de lunes a Jupiter ?")

    expect(page.get_by_text("Combien de lunes a Jupiter ?")).to_be_in_viewport()


def test_the_server_remembers_the_conversation(visit: Visit, assistant: ScriptedAssistant) -> None:
    visit.open()
    visit.ask_to_the_end(QUESTION)

    visit.ask_to_the_end("Et le traité ?")

    roles = [message["role"] for message in assistant.asked[1][1]]
    assert roles == ["user", "assistant"]
    assert assistant.asked[1][1][0]["content"] == QUESTION
    assert assistant.asked[1][1][1]["content"].startswith(QUOTE)


def test_a_new_conversation_forgets(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)

    page.get_by_role("button", name="Nouvelle conversation").click()

    expect(page.locator(".greeting")).to_be_visible()
    visit.ask_to_the_end(QUESTION)
    expect(answers(page)).to_have_count(1)
    assert assistant.asked[1][1] == []


def test_while_a_long_answer_is_written_nothing_on_the_page_jumps(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    page.evaluate(
        """() => {
             window.shifts = [];
             const seen = (list) => shifts.push(...list.getEntries().filter((entry) => !entry.hadRecentInput));
             new PerformanceObserver(seen).observe({ type: "layout-shift" });
           }"""
    )
    assistant.endless = True

    visit.ask(QUESTION)
    page.wait_for_function("() => document.querySelectorAll('.answer')[1]?.textContent.length > 6000")
    assistant.let_go()
    page.locator(".answer .copy").nth(1).wait_for()

    # Of 0.1, a visitor notices: web.dev/articles/cls.
    assert page.evaluate("shifts.reduce((sum, entry) => sum + entry.value, 0)") < 0.01


def test_a_new_conversation_ends_the_answer_under_way(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.endless = True
    page = visit.open()
    visit.ask(QUESTION)
    expect(answers(page)).to_contain_text("encore")

    page.get_by_role("button", name="Nouvelle conversation").click()

    assert assistant.closed.wait(10)
    expect(page.locator(".greeting")).to_be_visible()
    expect(page.get_by_role("button", name="Envoyer")).to_be_visible()


def test_a_reload_ends_the_answer_and_keeps_what_was_said(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.endless = True
    page = visit.open()
    visit.ask(QUESTION)
    expect(answers(page)).to_contain_text("encore")

    page.reload()

    expect(answers(page)).to_contain_text("encore")
    expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")
    assert assistant.closed.wait(10)
    assistant.endless = False
    page.get_by_role("button", name="Réessayer").click()
    expect(answers(page)).to_contain_text(QUOTE)
    expect(page.locator(".user-row")).to_have_count(1)


def open_again(page: Page) -> None:
    page.get_by_role("button", name="Conversations").click()
    page.locator("#history .open", has_text=QUESTION).click()


def test_a_window_that_is_closed_ends_its_answer_and_what_was_said_is_kept(
    visit: Visit, assistant: ScriptedAssistant
) -> None:
    assistant.endless = True
    visit.open()
    visit.ask(QUESTION)
    expect(answers(visit.page)).to_contain_text("encore")
    other = watched(visit.page.context.new_page(), visit.address)

    visit.page.close()

    assert assistant.closed.wait(10)
    page = other.open()
    open_again(page)
    expect(answers(page)).to_contain_text("encore")
    expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")


def test_an_answer_that_another_window_asked_for_is_shown_as_it_grows_and_can_be_left_at_once(
    visit: Visit, assistant: ScriptedAssistant
) -> None:
    assistant.hold = True
    visit.open()
    visit.ask(QUESTION)
    expect(answers(visit.page)).to_have_text("L'armistice fut")
    page = watched(visit.page.context.new_page(), visit.address).open()
    open_again(page)
    expect(answers(page)).to_have_text("L'armistice fut")

    page.get_by_role("button", name="Nouvelle conversation").click()

    expect(page.locator(".greeting")).to_be_visible()
    open_again(page)
    expect(answers(page)).to_have_text("L'armistice fut")
    assistant.resume.set()
    expect(answers(visit.page)).to_contain_text(QUOTE)
    expect(answers(page)).to_contain_text(QUOTE)


def test_a_retry_asks_the_last_question_again_in_its_place(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end("Première ?")
    visit.ask_to_the_end("Seconde ?")
    expect(page.locator(".retry:visible")).to_have_count(1)
    assistant.hold = True

    page.get_by_role("button", name="Réessayer").click()

    expect(answers(page).last).to_have_text("L'armistice fut")
    assistant.resume.set()
    expect(page.locator(".user-row .said")).to_have_text(["Première ?", "Seconde ?"])
    assert [question for question, _ in assistant.asked] == ["Première ?", "Seconde ?", "Seconde ?"]
    assert assistant.asked[2][1] == assistant.asked[1][1]


def test_the_last_question_is_edited_and_its_answer_replaced(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end("Première ?")

    page.get_by_role("button", name="Modifier").click()
    expect(page.locator("#question textarea")).to_have_value("Première ?")
    expect(page.locator("#question textarea")).to_be_focused()
    page.locator("#question textarea").fill("Autrement ?")
    assistant.hold = True
    page.keyboard.press("Enter")

    expect(answers(page)).to_have_text("L'armistice fut")
    assistant.resume.set()
    expect(page.locator(".user-row .said")).to_have_text("Autrement ?")
    expect(page.locator("#editing")).not_to_be_visible()
    assert [question for question, _ in assistant.asked] == ["Première ?", "Autrement ?"]
    assert assistant.asked[1][1] == []


def test_an_edit_that_is_cancelled_changes_nothing(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()
    visit.ask_to_the_end("Première ?")
    page.get_by_role("button", name="Modifier").click()

    page.get_by_role("button", name="Annuler").click()
    visit.ask_to_the_end("Seconde ?")

    expect(page.locator(".user-row .said")).to_have_text(["Première ?", "Seconde ?"])


def test_the_switch_changes_every_word_and_is_remembered(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    visit.open_source(2)

    page.get_by_role("button", name="Switch to English").click()

    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_text("1 other passage found, not cited")).to_be_visible()
    expect(page.locator("#panel .details")).to_contain_text("11 November 2024 · page 3 · French")
    expect(page.get_by_placeholder("Ask a question…")).to_be_visible()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_placeholder("Ask a question…")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_page_is_light_or_dark_as_the_system_until_somebody_chooses(
    visits: Visits, scheme: str, other: str
) -> None:
    visit = visits(color_scheme=scheme)
    page = visit.open()
    background = "getComputedStyle(document.body).backgroundColor"
    colors = {"light": "rgb(251, 250, 248)", "dark": "rgb(19, 23, 21)"}
    assert page.evaluate(background) == colors[scheme]

    page.get_by_role("button", name="Clair ou sombre").click()

    assert page.evaluate(background) == colors[other]
    visit.open()
    assert page.evaluate(background) == colors[other]


def test_a_fallback_is_told_and_a_sentence_without_support_stands_apart(
    visit: Visit, assistant: ScriptedAssistant
) -> None:
    assistant.notice = Notice("ModelUnavailable", "secret detail")
    page = visit.open()

    visit.ask_to_the_end(QUESTION)

    expect(page.locator(".answer .status")).to_have_text(
        "Le modèle de langage n’est pas disponible : voici des phrases des documents."
    )
    assert "secret" not in page.content()


def test_a_question_asked_before_the_script_of_the_page_is_there_is_of_its_conversation(visit: Visit) -> None:
    page = visit.open()
    page.evaluate(
        """() => {
             const { asked } = sourcier;
             sourcier.asked = null;
             setTimeout(() => Object.assign(sourcier, { asked }), 500);
           }"""
    )

    visit.ask_to_the_end(QUESTION)

    page.get_by_role("button", name="Conversations").click()
    expect(page.locator("#history .open")).to_have_text(QUESTION)


def test_two_windows_do_not_share_a_conversation(visits: Visits, assistant: ScriptedAssistant) -> None:
    one, other = visits(), visits()
    one.open()
    other.open()

    one.ask_to_the_end("Première ?")
    other.ask_to_the_end("Seconde ?")

    expect(other.page.locator(".user-row .said")).to_have_text("Seconde ?")
    assert assistant.asked[1] == ("Seconde ?", [])


@pytest.mark.parametrize("late", [False, True], ids=["before the first word", "after two words"])
def test_an_error_is_told_in_the_language_of_the_page(visit: Visit, assistant: ScriptedAssistant, late: bool) -> None:
    assistant.raises, assistant.raises_late = ModelFailed("secret"), late
    page = visit.open()

    visit.ask(QUESTION)

    expect(page.locator(".answer .status")).to_have_text(
        "Le modèle de langage s’est interrompu. Posez la question à nouveau."
    )
    expect(answers(page)).to_have_count(1 if late else 0)
    assert "secret" not in page.content()
    assistant.raises = None
    visit.ask_to_the_end(QUESTION)


def test_an_unexpected_error_tells_nothing_of_the_inside(visit: Visit, assistant: ScriptedAssistant) -> None:
    assistant.raises = KeyError("secret")
    page = visit.open()

    visit.ask(QUESTION)

    expect(page.locator(".answer .status")).to_contain_text("Une erreur est survenue.")
    assert "secret" not in page.content()


def test_who_asks_when_too_many_wait_is_told_so_and_nobody_else_is_sent_away(
    visit: Visit, address: str, assistant: ScriptedAssistant
) -> None:
    assistant.hold = True
    page = visit.open()
    others = AT_ONCE + WAITING

    with ThreadPoolExecutor(others) as threads, httpx.Client(base_url=address, timeout=60) as client:
        asked = [threads.submit(client.post, "/api/ask", json={"question": QUESTION}) for _ in range(others)]
        while f"sourcier_queue_length {WAITING:.1f}" not in client.get("/metrics").text:
            pass
        visit.ask(QUESTION)
        expect(page.locator(".answer .status")).to_have_text(
            "Trop de questions en même temps. Réessayez dans quelques secondes."
        )
        assistant.resume.set()

        assert [one.result().status_code for one in asked] == [200] * others
    visit.ask_to_the_end(QUESTION)


def test_while_the_model_loads_the_page_says_so_and_the_question_waits(
    visit: Visit, assistant: ScriptedAssistant
) -> None:
    assistant.ready = False
    page = visit.open()
    expect(page.locator(".greeting .loading")).to_contain_text("Le modèle se charge")

    assistant.ready = True

    expect(page.locator(".greeting .loading")).to_have_count(0)
    visit.ask_to_the_end(QUESTION)


def test_the_page_speaks_english_to_an_english_browser(visits: Visits) -> None:
    visit = visits(locale="en-GB")
    page = visit.open()

    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".greeting .count")).to_contain_text("3 documents indexed.")
    expect(page.get_by_placeholder("Ask a question…")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    visit.ask_to_the_end(QUESTION)
    expect(page.get_by_text("1 other passage found, not cited")).to_be_visible()


@pytest.mark.parametrize("locale", ["de-DE", "ja-JP"])
def test_the_page_speaks_english_where_it_does_not_speak_the_language(visits: Visits, locale: str) -> None:
    visit = visits(locale=locale)
    page = visit.open()

    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_placeholder("Ask a question…")).to_be_visible()
    expect(page.locator(".greeting .count")).to_contain_text("3 documents indexed.")


def test_the_page_speaks_french_to_a_french_browser(visit: Visit) -> None:
    page = visit.open()

    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("h1")).to_have_text("Sourcier")
    expect(page.locator(".greeting .count")).to_contain_text("3 documents indexés. Mis à jour le 1er janvier 2026.")
    expect(page.get_by_label("Votre question")).to_be_visible()


def test_everything_that_can_be_pressed_has_a_name(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)

    names = page.evaluate(
        """[...document.querySelectorAll("button, a, summary, textarea")]
        .filter((each) => each.checkVisibility())
        .map((each) => each.innerText || each.ariaLabel || each.labels?.[0]?.textContent || each.title)
        .map((name) => name.trim())"""
    )

    assert len(names) >= 8
    assert all(names)
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("[aria-label*='<']")).to_have_count(0)


@pytest.mark.parametrize("size", [{"width": 390, "height": 844}, {"width": 320, "height": 568}])
def test_nothing_is_cut_on_a_phone(visits: Visits, size: dict[str, int]) -> None:
    visit = visits(viewport=size, is_mobile=True, has_touch=True)
    page = visit.open()

    visit.ask_to_the_end(QUESTION)

    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect(page.get_by_role("button", name="Envoyer")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Nouvelle conversation")).to_be_in_viewport(ratio=1)
    assert page.locator("#new").evaluate("button => button.scrollWidth <= button.clientWidth")
    expect(page.locator("#question textarea")).to_be_in_viewport(ratio=1)
    page.locator("a.marker").first.tap()
    expect(page.locator("#panel mark")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_an_answer_is_copied_with_its_quotes(visits: Visits) -> None:
    visit = visits(permissions=["clipboard-read", "clipboard-write"])
    page = visit.open()
    visit.ask_to_the_end(QUESTION)

    page.get_by_role("button", name="Copier").click()

    expect(page.get_by_role("button", name="Copié")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[0] == f"{QUOTE} [1] La tour Eiffel mesure 330 mètres. [2]".replace(" [", "\u00a0[")
    assert "[2] La tour Eiffel, 11 novembre 2024, page 3 : « La tour Eiffel mesure 330 mètres. »" in copied


def test_an_answer_is_copied_also_where_the_browser_has_no_clipboard_for_pages(visit: Visit) -> None:
    page = visit.page
    # As over HTTP from another computer.
    page.add_init_script("delete Navigator.prototype.clipboard")
    visit.open()
    visit.ask_to_the_end(QUESTION)

    page.get_by_role("button", name="Copier").click()

    expect(page.get_by_role("button", name="Copié")).to_be_focused()
    page.locator("#question textarea").focus()
    page.keyboard.press("Control+V")
    expect(page.locator("#question textarea")).to_have_value(re.compile(rf"^{QUOTE}.*« {QUOTE} »", re.S))


def test_a_whole_visit_asks_nothing_of_other_hosts_and_complains_of_nothing(visit: Visit) -> None:
    page = visit.open("?__theme=dark")
    visit.ask_to_the_end(QUESTION)
    visit.open_source(1)
    visit.ask_to_the_end("Combien de lunes a Jupiter ?")
    page.get_by_role("button", name="Nouvelle conversation").click()
    expect(page.locator(".greeting")).to_be_visible()

    assert len(visit.requests) > 10
    assert visit.foreign_requests == []
    assert visit.complaints == []


def test_a_question_longer_than_the_limit_cannot_be_typed(visit: Visit, assistant: ScriptedAssistant) -> None:
    page = visit.open()

    page.keyboard.insert_text("a" * 2_100)
    page.keyboard.press("Enter")

    expect(page.locator(".answer .copy")).to_be_visible()
    assert [len(question) for question, _ in assistant.asked] == [2_000]
