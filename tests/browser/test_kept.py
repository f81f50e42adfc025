"""What the server keeps for a browser: its conversations, and what people thought of answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, expect

from assistant.web.app import create_app
from assistant.web.conversations import Conversations
from index import SyncQueue
from tests.browser.conftest import Visit, watched
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.processes import Tell, start

QUESTION = "Quand fut signé l'armistice ?"
QUOTE = "L'armistice fut signé le 11 novembre 1918 à Rethondes."


@contextmanager
def served(assistant: ScriptedAssistant, chats: Path, port: int) -> Iterator[None]:
    """Serve on this port, with conversations in this file."""
    app = create_app(
        assistant, SyncQueue(assistant.index), tries_examples=False, conversations=Conversations(chats, days=1)
    )
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(30)


def serve_held(tell: Tell, chats: Path, port: int) -> None:
    """Serve until killed, with answers that pause, and tell when the server is up."""
    assistant = ScriptedAssistant()
    assistant.hold = True
    with served(assistant, chats, port):
        tell("up")
        threading.Event().wait()


@contextmanager
def served_until_killed(chats: Path, port: int) -> Iterator[None]:
    """Serve in a process of its own, which is killed in the end."""
    process, said = start(serve_held, chats, port)
    try:
        assert said.recv() == "up"
        yield
    finally:
        process.kill()
        process.join()


def visit_of_a_free_port(browser: Browser) -> tuple[Visit, int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = browser.new_page(locale="fr-FR")
    page.set_default_timeout(60_000)
    return watched(page, f"http://127.0.0.1:{port}"), port


def drawer(visit: Visit) -> Page:
    visit.page.get_by_role("button", name="Conversations").click()
    visit.page.locator("#history li").first.wait_for()
    return visit.page


def test_a_conversation_is_renamed_exported_with_its_sources_and_deleted(visit: Visit) -> None:
    visit.open()
    visit.ask_to_the_end(QUESTION)
    page = drawer(visit)
    expect(page.locator("#history .open")).to_have_text(QUESTION)

    page.get_by_role("button", name="Renommer").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("La fin de la guerre")
    page.keyboard.press("Enter")
    expect(page.locator("#history .open")).to_have_text("La fin de la guerre")
    expect(page.locator("#history .open")).to_be_focused()

    with page.expect_download() as saved:
        page.get_by_role("button", name="Exporter en Markdown").click()
    assert saved.value.suggested_filename == "La-fin-de-la-guerre.md"
    text = Path(saved.value.path()).read_text("utf-8")
    assert text.startswith(f"## {QUESTION}\n\n{QUOTE} [1]")
    assert f"[1] L'armistice, 11 novembre 2024\n> {QUOTE}" in text

    page.get_by_role("button", name="Supprimer").click()
    page.get_by_role("button", name="Annuler").click()
    expect(page.locator("#history .open")).to_have_text("La fin de la guerre")
    page.get_by_role("button", name="Supprimer").click()
    page.locator("#history .yes").click()
    expect(page.get_by_text("Aucune conversation gardée pour l’instant.")).to_be_visible()
    expect(page.get_by_role("button", name="Fermer")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".greeting")).to_be_visible()


def test_a_bad_answer_is_told_with_a_reason(browser: Browser) -> None:
    assistant, kept = ScriptedAssistant(), Conversations()
    with serving(
        create_app(assistant, SyncQueue(assistant.index), tries_examples=False, conversations=kept)
    ) as address:
        page = browser.new_page(locale="fr-FR")
        visit = watched(page, address)
        visit.open()
        visit.ask_to_the_end(QUESTION)

        page.get_by_role("button", name="Mauvaise réponse").click()
        expect(page.get_by_label("La réponse est fausse")).to_be_focused()
        page.get_by_label("Il manque quelque chose").check()
        page.get_by_role("textbox", name="Votre commentaire").fill("Qui a signé ?")
        page.get_by_role("button", name="Envoyer l’avis").click()

        expect(page.locator("#opinion .status")).to_have_text("Merci, votre avis est gardé.")
        expect(page.get_by_role("button", name="Mauvaise réponse", pressed=True)).to_be_focused()
        page.close()
    [opinion] = kept.opinions().values()
    assert (opinion.question, opinion.good) == (QUESTION, False)
    assert (opinion.reason, opinion.comment) == ("incomplete", "Qui a signé ?")


def test_a_page_goes_on_where_it_was_after_the_server_was_started_again(browser: Browser, tmp_path: Path) -> None:
    assistant, chats = ScriptedAssistant(), tmp_path / "chats.sqlite"
    visit, port = visit_of_a_free_port(browser)
    page = visit.page
    with served(assistant, chats, port):
        visit.open()
        visit.ask_to_the_end(QUESTION)

    with served(assistant, chats, port):
        visit.ask_to_the_end("Et le traité ?")
        expect(page.locator(".user-row .said")).to_have_text([QUESTION, "Et le traité ?"])
        assert assistant.asked[1][1][0]["content"] == QUESTION
        page.close()


def test_when_the_server_is_killed_in_the_middle_of_an_answer_the_page_says_so_and_the_question_is_asked_again(
    browser: Browser, tmp_path: Path
) -> None:
    visit, port = visit_of_a_free_port(browser)
    page, chats = visit.page, tmp_path / "chats.sqlite"
    with served_until_killed(chats, port):
        visit.open()
        visit.ask(QUESTION)
        expect(page.locator(".answer .said")).to_have_text("L'armistice fut")
        page.locator("#question textarea").fill("Et le traité ?")

    trouble = page.get_by_role("alert").filter(has_text="Le serveur ne répond plus.")
    expect(trouble).to_be_visible()
    expect(page.locator(".answer .said")).to_have_text("L'armistice fut")
    expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")
    expect(page.locator(".working")).to_have_count(0)
    expect(page.locator(".toast-body").first).not_to_be_visible()
    with served(ScriptedAssistant(), chats, port):
        expect(trouble).not_to_be_visible()
        expect(page.locator(".answer .status")).to_have_text("Réponse interrompue.")
        expect(page.locator("#question textarea")).to_have_value("Et le traité ?")
        page.get_by_role("button", name="Réessayer").click()
        expect(page.locator(".answer .said")).to_contain_text(QUOTE)
        expect(page.locator(".user-row .said")).to_have_text(QUESTION)
        page.close()


def test_a_question_that_finds_no_server_stays_written_until_it_can_be_asked(browser: Browser, tmp_path: Path) -> None:
    visit, port = visit_of_a_free_port(browser)
    page, chats = visit.page, tmp_path / "chats.sqlite"
    with served(ScriptedAssistant(), chats, port):
        visit.open()
        visit.ask_to_the_end(QUESTION)

    visit.ask("Et le traité ?")

    expect(page.get_by_role("alert").filter(has_text="Le serveur ne répond plus.")).to_be_visible()
    expect(page.locator("#question textarea")).to_have_value("Et le traité ?")
    with served(ScriptedAssistant(), chats, port):
        expect(page.locator("#trouble")).not_to_be_visible()
        expect(page.locator("#question textarea")).to_have_value("Et le traité ?")
        page.locator("#question textarea").press("Enter")
        expect(page.locator(".user-row .said")).to_have_text([QUESTION, "Et le traité ?"])
        expect(page.locator(".answer .copy")).to_have_count(2)
        page.close()
