"""What a visitor of an embedded chat meets at the end of a token, and of what they may ask."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.keys import Keys
from assistant.origins import Origins
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.limits import Limits
from assistant.web.tokens import Tokens, Visitor
from index import SyncQueue
from tests.browser.pages import Site, site
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    server: str
    site: Site
    tokens: Tokens
    clock: Clock


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    clock = Clock()
    tokens = Tokens(clock=clock)
    assistant = ScriptedAssistant()
    with site() as pages:
        keys = Keys(tmp_path_factory.mktemp("keys") / "keys.json")
        access = Access(Origins.parse(pages.origin()), keys, tokens, Limits(visitor="2/day"))
        with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None, access=access)) as server:
            yield Stage(server, pages, tokens, clock)


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    page.goto(stage.site.put("/", f'<script src="{stage.server}/widget.js" data-lang="fr" async></script>'))
    page.wait_for_function("window.Assistant")
    yield page
    context.close()


def ask(page: Page) -> str:
    """Ask through the page; give the answer, or why there is none."""
    text: str = page.evaluate(
        "(question) => Assistant.ask(question).then(({ answer }) => answer, (error) => error.message)", QUESTION
    )
    return text


def test_beyond_a_limit_the_chat_says_when_to_come_back(page: Page) -> None:
    assert [ask(page).startswith("L'armistice") for _ in range(2)] == [True, True]

    assert ask(page) == "Vous avez posé beaucoup de questions. Revenez dans 24 heures."
    expect(page.locator("iframe").content_frame.locator(".answer .status")).to_have_count(1)


def test_a_user_that_the_page_names_counts_under_that_name_in_every_window(page: Page, stage: Stage) -> None:
    for expected in (True, True, False):
        page.reload()
        page.wait_for_function("window.Assistant")
        token = stage.tokens.sign(Visitor("user:ada", stage.site.origin()))
        page.evaluate("(token) => Assistant.identify(token)", token)
        assert ask(page).startswith("L'armistice") == expected


@pytest.mark.parametrize("ended", [True, False], ids=["expired", "forged"])
def test_a_token_that_opens_nothing_is_replaced_and_the_page_is_told(page: Page, stage: Stage, ended: bool) -> None:
    tokens = stage.tokens if ended else Tokens(clock=stage.clock)
    token = tokens.sign(Visitor("user:grace", stage.site.origin()))
    stage.clock.now += 3600 if ended else 0
    page.evaluate(
        "(token) => { window.told = 0; Assistant.on('expired', () => { told += 1; }); Assistant.identify(token); }",
        token,
    )

    assert ask(page).startswith("L'armistice")
    assert page.evaluate("told") == 1


def test_a_chat_left_alone_for_hours_still_answers(page: Page, stage: Stage) -> None:
    assert ask(page).startswith("L'armistice")
    stage.clock.now += 7200

    assert ask(page).startswith("L'armistice")
