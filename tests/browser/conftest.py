import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect, sync_playwright

from assistant.web.app import create_app
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

BROWSERS_OWN = ("chrome-extension://", "chrome://")
"""Where the parts of the PDF viewer come from."""

expect.set_options(timeout=30_000)


@dataclass
class Visit:
    """A person's window on the page, and what their browser saw."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Dialogs, uncaught errors, and errors on the console."""

    def open(self, query: str = "") -> Page:
        self.page.goto(f"{self.address}/{query}")
        self.page.wait_for_selector("#conversation .greeting")
        return self.page

    def ask(self, question: str) -> None:
        self.page.locator("#question textarea").fill(question)
        self.page.keyboard.press("Enter")

    def open_source(self, number: int, answer: int = 0) -> Page:
        """Click the marker of a citation, counted from 1, of an answer, counted from 0."""
        self.page.locator(".answer").nth(answer).locator("a.marker", has_text=str(number)).first.click()
        self.page.locator("#panel mark").wait_for()
        return self.page

    def ask_to_the_end(self, question: str) -> None:
        answers = self.page.locator(".answer .copy").count()
        self.ask(question)
        self.page.locator(".answer .copy").nth(answers).wait_for()

    @property
    def foreign_requests(self) -> list[str]:
        own = urlsplit(self.address).netloc
        return [url for url in self.requests if urlsplit(url).netloc != own and not url.startswith(("data:", "blob:"))]


Visits = Callable[..., Visit]
Script = tuple[dict[str, str] | None, dict[str, str] | None]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[ScriptedAssistant, str]]:
    """One server for all tests, and who answers there."""
    assistant = ScriptedAssistant()
    with serving(create_app(assistant, SyncQueue(assistant.index), tries_examples=False)) as address:
        yield assistant, address
        assistant.let_go()


@pytest.fixture
def script() -> Script:
    """What the documents of a test are: their texts and titles by id; None are those of ScriptedAssistant."""
    return None, None


@pytest.fixture
def assistant(stage: tuple[ScriptedAssistant, str], script: Script) -> Iterator[ScriptedAssistant]:
    assistant, _ = stage
    assistant.begin(*script)
    yield assistant
    assistant.let_go()


@pytest.fixture
def address(stage: tuple[ScriptedAssistant, str], assistant: ScriptedAssistant) -> str:
    return stage[1]


@pytest.fixture
def visits(browser: Browser, address: str) -> Iterator[Visits]:
    """Open windows: visits(locale="en-GB", …) takes what a Playwright context takes."""
    contexts: list[BrowserContext] = []

    def visit(**context: object) -> Visit:
        contexts.append(browser.new_context(**{"locale": "fr-FR", **context}))
        contexts[-1].set_default_timeout(60_000)
        return watched(contexts[-1].new_page(), address)

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def visit(visits: Visits) -> Visit:
    return visits()


def watched(page: Page, address: str) -> Visit:
    visit = Visit(page, address)

    def only_ours(route: Route, request: Request) -> None:
        if request.url.startswith(BROWSERS_OWN):
            route.continue_()
            return
        visit.requests.append(request.url)
        if request.url.startswith(address):
            route.continue_()
        else:
            route.abort()

    page.route("**/*", only_ours)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on("console", lambda line: line.type == "error" and visit.complaints.append(line.text))
    page.on("dialog", lambda dialog: (visit.complaints.append(dialog.message), dialog.dismiss()))
    return visit
