"""Behind nginx, under a path, with https: everything that a visitor does, and what a proxy must not spoil."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.keys import Keys
from assistant.origins import Origins
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.limits import Limits
from assistant.web.proxy import Proxy
from index import SyncQueue
from tests import nginx
from tests.browser.pages import Site, site
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"
QUOTE = "L'armistice fut signé le 11 novembre 1918 à Rethondes."
ELSEWHERE = "127.0.0.2"
"""An address that is not the proxy's: all of 127.0.0.0/8 is this computer."""


@dataclass
class Stage:
    assistant: ScriptedAssistant
    direct: str
    """The server, without nginx before it."""
    chat: str
    """The same through nginx."""
    trust: ssl.SSLContext
    key: str
    site: Site


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    assistant = ScriptedAssistant()
    keys = Keys(tmp_path_factory.mktemp("keys") / "keys.json")
    key = keys.create("Un programme")
    with site() as pages:
        access = Access(Origins.parse(pages.origin()), keys, limits=Limits(visitor="100/minute", address="20/minute"))
        proxy = Proxy(("127.0.0.1",), "/assistant")
        app = create_app(
            assistant, SyncQueue(assistant.index), hosts=None, tries_examples=False, access=access, proxy=proxy
        )
        with serving(app) as server, nginx.before(server) as (chat, authority):
            trust = ssl.create_default_context()
            authority.configure_trust(trust)
            yield Stage(assistant, server, chat, trust, key, pages)
            assistant.let_go()


@pytest.fixture
def client(stage: Stage) -> Iterator[Callable[..., httpx.Client]]:
    """Clients at an address of this computer."""
    clients: list[httpx.Client] = []

    def at(address: str = ELSEWHERE, server: str = stage.chat) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=stage.trust, local_address=address)
        clients.append(httpx.Client(base_url=server, transport=transport, timeout=60))
        return clients[-1]

    yield at
    for one in clients:
        one.close()


@dataclass
class Window:
    page: Page
    requests: list[str]
    complaints: list[str]

    def foreign(self, *ours: str) -> list[str]:
        """Give what was asked of any other server."""
        return [
            url
            for url in self.requests
            if not url.startswith(("data:", "blob:")) and not any(url.startswith(f"{own}/") for own in ours)
        ]


@pytest.fixture
def window(browser: Browser, stage: Stage) -> Iterator[Window]:
    stage.assistant.begin()
    context = browser.new_context(locale="fr-FR", ignore_https_errors=True)
    context.set_default_timeout(60_000)
    window = Window(context.new_page(), [], [])
    window.page.on("request", lambda request: window.requests.append(request.url))
    window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
    window.page.on("console", lambda line: line.type == "error" and window.complaints.append(line.text))
    yield window
    context.close()


def test_the_page_answers_word_by_word_and_opens_its_source(window: Window, stage: Stage) -> None:
    page = window.page
    stage.assistant.hold = True
    page.goto(f"{stage.chat}/")
    page.locator("#question textarea").fill(QUESTION)
    page.keyboard.press("Enter")

    expect(page.locator(".answer .said")).to_contain_text("L'armistice")
    expect(page.locator(".answer .copy")).to_have_count(0)
    stage.assistant.resume.set()
    page.locator("a.marker").first.click()

    expect(page.locator("#panel mark")).to_have_text(QUOTE)
    assert window.foreign(stage.chat) == []
    assert window.complaints == []


def test_the_path_without_its_slash_leads_to_the_page(window: Window, stage: Stage) -> None:
    window.page.goto(stage.chat)

    expect(window.page.locator("#question textarea")).to_be_visible()


def test_a_page_of_others_has_the_chat_by_the_printed_line(window: Window, stage: Stage) -> None:
    page = window.page
    page.goto(stage.site.put("/", f'<script src="{stage.chat}/widget.js" data-lang="fr" async></script>'))
    page.locator("button.open").click()
    chat = page.locator("iframe").content_frame
    chat.locator("#question textarea").fill(QUESTION)
    chat.locator("#question textarea").press("Enter")
    chat.locator("a.marker").first.click()

    expect(chat.locator("#panel mark")).to_have_text(QUOTE)
    assert window.foreign(stage.chat, stage.site.origin()) == []
    assert page.context.cookies() == []


def test_events_of_an_answer_arrive_one_by_one(client: Callable[..., httpx.Client], stage: Stage) -> None:
    stage.assistant.begin()
    stage.assistant.hold = True
    headers = {"authorization": f"Bearer {stage.key}"}

    body = {"question": QUESTION, "stream": True}
    with client().stream("POST", "/api/ask", json=body, headers=headers) as response:
        lines = response.iter_lines()
        before = [next(lines), next(line for line in lines if line == "event: token")]
        assert not stage.assistant.completed
        stage.assistant.resume.set()
        rest = list(lines)

    assert before == ["event: passages", "event: token"]
    assert "event: answer" in rest


def test_who_comes_through_the_proxy_is_not_its_owner(client: Callable[..., httpx.Client]) -> None:
    through = client("127.0.0.1")

    assert through.get("/api/sources").status_code == 401
    assert through.post("/api/ask", json={"question": QUESTION}).status_code == 401
    assert through.get("/api/health").status_code == 200


def test_the_page_knows_that_it_is_served_by_https_under_the_path(
    client: Callable[..., httpx.Client], stage: Stage
) -> None:
    assert client().get("/config").json()["root"] == stage.chat


@pytest.mark.parametrize("through", [True, False], ids=["through nginx", "past it"])
def test_an_address_is_what_the_proxy_says_and_nobody_else(
    client: Callable[..., httpx.Client], stage: Stage, through: bool
) -> None:
    stage.assistant.begin()
    address = f"127.0.1.{2 + through}"
    visitor = client(address, stage.chat if through else stage.direct)
    headers = {"origin": stage.site.origin()}

    def ask(number: int) -> int:
        claimed = {"x-forwarded-for": f"192.0.2.{number}", "x-real-ip": f"192.0.2.{number}"}
        token = visitor.post("/api/token", json={}, headers=headers | claimed).json()["token"]
        asked = headers | claimed | {"authorization": f"Bearer {token}"}
        return visitor.post("/api/ask", json={"question": QUESTION}, headers=asked).status_code

    assert [ask(number) for number in range(21)] == [200] * 20 + [429]
