"""Times the chat page beside a bare Gradio echo chat, in one run: python -m tests.browser.bench [VISITS].

Both answer at once, so that what is timed is the page: until it can be written in, and from Enter to the first words.
The visits take turns. Absolute times are of this computer and this hour; read the ratios.
"""

import shutil
import statistics
import sys
import time
from collections.abc import Iterator

import gradio as gr
from fastapi import FastAPI
from playwright.sync_api import Browser, sync_playwright

from assistant.web.app import create_app
from index import SyncQueue
from tests.browser.conftest import ARGUMENTS
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"
WORDS = "L'armistice fut signé"


def echo() -> FastAPI:
    """Give a bare chat that streams the words of the answer."""

    def say(message: str, history: list[object]) -> Iterator[str]:
        said = ""
        for word in f"{WORDS} le 11 novembre 1918 à Rethondes.".split():
            said += f"{word} "
            yield said

    app = FastAPI()
    gr.mount_gradio_app(app, gr.ChatInterface(say, analytics_enabled=False), path="/", show_error=False)
    return app


def visit(browser: Browser, address: str) -> tuple[float, float]:
    """Open the page in a browser without a cache and ask; give seconds until ready, and until the first words."""
    context = browser.new_context(locale="fr-FR")
    context.set_default_timeout(120_000)
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address)
    field = page.locator("textarea").first
    field.wait_for()
    ready = time.perf_counter() - began
    field.fill(QUESTION)
    asked = time.perf_counter()
    page.keyboard.press("Enter")
    page.get_by_text(WORDS).first.wait_for()
    words = time.perf_counter() - asked
    context.close()
    return ready, words


def main(visits: int) -> None:
    assistant = ScriptedAssistant()
    ours = create_app(assistant, SyncQueue(assistant.index), tries_examples=False)
    with serving(ours) as page, serving(echo()) as bare, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        times: dict[str, list[tuple[float, float]]] = {"Sourcier": [], "bare echo": []}
        for _ in range(visits):
            times["Sourcier"].append(visit(browser, page))
            times["bare echo"].append(visit(browser, bare))
        browser.close()
    print(f"{'seconds, median of ' + str(visits):24}{'until ready':>14}{'to first words':>16}")
    for name, measured in times.items():
        ready, words = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{name:24}{ready:14.2f}{words:16.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
