import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from assistant.origins import Origins
from assistant.web.access import Access
from assistant.web.app import create_app
from index import SyncQueue
from tests.browser.pages import Site, site
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"
QUOTE = "L'armistice fut signé le 11 novembre 1918 à Rethondes."
PHONE = {"width": 390, "height": 844}


@dataclass
class Stage:
    """The server of the chat, and the site of somebody else that embeds it."""

    server: str
    site: Site
    assistant: ScriptedAssistant

    @property
    def beside(self) -> "Stage":
        """The same on the host of the site: its frames may store things, others in a private window may not."""
        return replace(self, server=self.server.replace("127.0.0.1", "localhost"))

    def page_with(self, attributes: str = "", path: str = "/", **more: str) -> str:
        """Make a page with the script in it; give its address."""
        return self.site.put(
            path, f'<script src="{self.server}/widget.js" data-lang="fr" {attributes} async></script>', **more
        )


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    assistant = ScriptedAssistant()
    with site() as pages:
        origins = Origins.parse(f"{pages.origin()} {pages.origin('shop.localhost')}")
        with serving(
            create_app(assistant, SyncQueue(assistant.index), tries_examples=False, access=Access(origins))
        ) as server:
            yield Stage(server, pages, assistant)


@dataclass
class Guest:
    """A window on a page of others, and what its console said."""

    page: Page
    console: list[str]
    requests: list[str]

    @property
    def button(self):
        return self.page.locator("button.open")

    @property
    def panel(self):
        return self.page.locator(".panel")

    @property
    def chat(self) -> FrameLocator:
        return self.page.locator("iframe").last.content_frame

    def ask(self, question: str = QUESTION) -> None:
        """Ask, and wait for the end of the answer."""
        answers = self.chat.locator(".answer .copy").count()
        self.chat.locator("#question textarea").fill(question)
        self.chat.locator("#question textarea").press("Enter")
        expect(self.chat.locator(".answer .copy")).to_have_count(answers + 1)

    def open(self, address: str) -> "Guest":
        self.page.goto(address)
        return self

    def opened(self, address: str) -> "Guest":
        """Go to a page and click the button."""
        self.open(address).button.click()
        expect(self.chat.locator("#conversation .greeting")).to_be_visible()
        return self


@pytest.fixture
def guests(browser: Browser) -> Iterator[Callable[..., Guest]]:
    contexts: list[BrowserContext] = []

    def guest(**options: object) -> Guest:
        contexts.append(browser.new_context(**{"locale": "fr-FR", **options}))
        contexts[-1].set_default_timeout(30_000)
        page = contexts[-1].new_page()
        found = Guest(page, [], [])
        page.on("console", lambda line: found.console.append(line.text))
        page.on("pageerror", lambda error: found.console.append(f"UNCAUGHT {error}"))
        page.on("request", lambda request: found.requests.append(request.url))
        return found

    yield guest
    for context in contexts:
        context.close()


@pytest.fixture
def guest(guests: Callable[..., Guest]) -> Guest:
    expect.set_options(timeout=30_000)
    return guests()


def test_a_visitor_asks_through_the_button_reads_the_answer_and_opens_a_citation(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())

    guest.ask()
    guest.chat.locator("a.marker").first.click()

    expect(guest.chat.locator("#panel mark")).to_have_text(QUOTE)
    expect(guest.chat.locator("#panel mark")).to_be_in_viewport()
    guest.page.keyboard.press("Escape")
    expect(guest.chat.locator("#panel")).to_be_hidden()
    expect(guest.panel).to_be_visible()
    assert not [line for line in guest.console if "UNCAUGHT" in line]
    assert guest.page.context.cookies() == []


def test_after_the_host_page_is_loaded_again_the_conversation_goes_on(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.beside.page_with())
    guest.ask()
    guest.page.reload()

    guest.button.click()
    expect(guest.chat.locator(".answer .copy")).to_have_count(1)
    guest.ask("Et où ?")

    assert stage.assistant.asked[-1][1][0]["content"] == QUESTION


def test_where_a_frame_may_store_nothing_the_chat_works_anew_after_a_reload(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())
    guest.ask()
    refused = "'value' in Object.getOwnPropertyDescriptor(window, 'sessionStorage')"
    assert guest.chat.locator("body").evaluate(f"() => {refused}")
    guest.page.reload()

    guest.button.click()
    guest.ask()

    expect(guest.chat.locator(".answer")).to_have_count(1)


def test_who_asks_after_a_reload_hears_the_new_answer_and_not_the_ones_before(guest: Guest, stage: Stage) -> None:
    guest.open(stage.beside.page_with())
    for question in (QUESTION, "Et où ?"):
        guest.page.reload()
        guest.page.wait_for_function("window.Assistant")

        answer = guest.page.evaluate(
            """async (question) => {
                 window.heard = [];
                 for (const name of ["question", "answer"])
                   Assistant.on(name, (said) => heard.push([name, said.question]));
                 return Assistant.ask(question);
               }""",
            question,
        )

        assert answer["question"] == question
        assert guest.page.evaluate("heard") == [["question", question], ["answer", question]]


def test_every_answer_comes_into_view(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())
    for number in range(3):
        guest.ask()

        expect(guest.chat.locator(".answer .said").nth(number)).to_be_in_viewport(ratio=1)


def test_a_follow_up_reaches_the_same_conversation(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())
    guest.ask()
    guest.ask("Et où ?")

    assert stage.assistant.asked[-1][1][0]["content"] == QUESTION


def test_nothing_is_asked_of_the_server_before_the_click(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_be_visible()
    guest.page.wait_for_load_state("networkidle")

    assert [url for url in guest.requests if url.startswith(stage.server)] == [f"{stage.server}/widget.js"]


def test_the_script_is_small(guest: Guest, stage: Stage) -> None:
    response = guest.page.request.get(f"{stage.server}/widget.js")

    assert len(response.body()) < 10_000


def test_the_page_around_does_not_move(guest: Guest, stage: Stage) -> None:
    guest.page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => "
        "{ window.shifts += entry.value; })).observe({ type: 'layout-shift', buffered: true });"
    )
    guest.open(stage.page_with())
    before = guest.page.locator("main").bounding_box()

    guest.button.click()
    guest.ask()

    assert guest.page.locator("main").bounding_box() == before
    assert guest.page.evaluate("window.shifts") == 0


@pytest.mark.parametrize("host", ["localhost", "shop.localhost"])
def test_a_listed_page_shows_the_chat(guest: Guest, stage: Stage, host: str) -> None:
    stage.page_with(path="/listed")

    guest.opened(f"{stage.site.origin(host)}/listed")

    expect(guest.chat.locator("#question textarea")).to_be_visible()


@pytest.mark.parametrize(
    "host", ["other.localhost", "shop.localhost.evil.localhost", "evilshop.localhost", "127.0.0.1"]
)
def test_a_page_that_is_not_listed_shows_nothing_and_its_console_says_why(
    guest: Guest, stage: Stage, host: str
) -> None:
    stage.page_with(path="/unlisted")
    with guest.page.expect_console_message(lambda line: line.type == "error") as said:
        guest.open(f"{stage.site.origin(host)}/unlisted")

    assert f"ASSISTANT_EMBED_ORIGINS={stage.site.origin(host)}" in said.value.text
    expect(guest.page.locator("section")).to_have_count(0)


@pytest.mark.parametrize("host", ["other.localhost", "shop.localhost.evil.localhost"])
def test_a_frame_in_a_page_that_is_not_listed_stays_empty(guest: Guest, stage: Stage, host: str) -> None:
    stage.site.put("/framed", body=f'<iframe src="{stage.server}/?embed=1"></iframe>')

    with guest.page.expect_console_message(lambda line: "frame-ancestors" in line.text):
        guest.open(f"{stage.site.origin(host)}/framed")

    expect(guest.chat.locator("#question")).to_have_count(0)


def test_the_same_name_with_another_port_is_another_origin(guest: Guest, stage: Stage) -> None:
    with site() as other:
        other.put("/", f'<script src="{stage.server}/widget.js" async></script>')
        with guest.page.expect_console_message(lambda line: "ASSISTANT_EMBED_ORIGINS" in line.text):
            guest.open(other.origin())

        expect(guest.button).to_have_count(0)


def test_a_page_without_an_origin_shows_nothing(guest: Guest, stage: Stage) -> None:
    stage.page_with(path="/inner")
    address = stage.site.put("/sandboxed", body='<iframe sandbox="allow-scripts" src="/inner"></iframe>')

    with guest.page.expect_console_message(lambda line: "pages of null" in line.text):
        guest.open(address)

    expect(guest.chat.locator("button.open")).to_have_count(0)


def test_a_plain_frame_works_without_the_script(guest: Guest, stage: Stage) -> None:
    source = f"{stage.server}/?embed=1&lang=en&greeting=Hello%20%3Cb%3E&example=Quand%20%3F"
    guest.open(stage.site.put("/plain", body=f'<iframe src="{source}" width="400" height="600"></iframe>'))

    expect(guest.chat.locator(".greeting h2")).to_have_text("Hello <b>")
    expect(guest.chat.get_by_role("button", name="Send")).to_be_visible()
    guest.chat.get_by_role("button", name="Quand ?").click()
    expect(guest.chat.locator(".answer .said")).to_contain_text(QUOTE)


def test_the_page_may_say_how_it_looks_and_begins(guest: Guest, stage: Stage) -> None:
    wishes = (
        'data-title="Nos archives" data-greeting="Une question ?" data-examples="Quand ?|Combien ?" '
        'data-color="#8a2be2" data-position="top-left" data-theme="dark" data-logo="/logo.svg"'
    )
    guest.opened(stage.page_with(wishes, path="/dressed"))

    for place in (guest.button, guest.panel.locator("header")):
        expect(place.locator("img")).to_have_attribute("src", "/logo.svg")
    expect(guest.panel.locator("h2")).to_have_text("Nos archives")
    expect(guest.chat.locator("h1")).to_have_text("Nos archives")
    expect(guest.chat.locator(".greeting h2")).to_have_text("Une question ?")
    expect(guest.chat.locator(".example")).to_have_text(["Quand ?", "Combien ?"])
    expect(guest.button).to_have_css("background-color", "rgb(138, 43, 226)")
    own_green = "rgb(111, 208, 194)"
    expect(guest.chat.locator("#send")).not_to_have_css("background-color", own_green)
    box = guest.button.bounding_box()
    assert box
    assert box["x"] < 100
    assert box["y"] < 100
    assert guest.chat.locator("body").evaluate("body => body.classList.contains('dark')")


def test_the_language_of_the_page_around_decides(guests: Callable[..., Guest], stage: Stage) -> None:
    guest = guests(locale="en-GB").opened(stage.page_with(path="/french"))

    expect(guest.chat.get_by_role("button", name="Envoyer")).to_be_visible()
    guest.ask("Combien ?")
    expect(guest.chat.locator(".others summary")).to_contain_text("Les passages les plus proches")


def test_the_chat_can_stand_in_the_page_and_grows_with_what_is_said(guest: Guest, stage: Stage) -> None:
    guest.page.set_viewport_size({"width": 1000, "height": 1200})
    place = '<main><h1>Une page</h1><div id="place"></div></main>'
    guest.open(stage.page_with('data-target="#place"', "/inline", body=place))
    guest.ask()

    before = guest.panel.evaluate("panel => panel.offsetHeight")
    for _ in range(2):
        guest.ask()

    expect(guest.button).to_have_count(0)
    guest.page.wait_for_function(
        "before => place.querySelector('section').shadowRoot.querySelector('.panel').offsetHeight > before", arg=before
    )


def test_escape_closes_and_the_focus_goes_in_and_comes_back(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_have_attribute("aria-expanded", "false")

    guest.button.press("Enter")

    expect(guest.chat.locator("#question textarea")).to_be_focused()
    expect(guest.button).to_have_attribute("aria-expanded", "true")
    expect(guest.page.get_by_role("dialog", name="Poser une question")).to_be_visible()
    guest.page.keyboard.press("Escape")
    expect(guest.panel).to_be_hidden()
    expect(guest.button).to_be_focused()
    expect(guest.button).to_have_attribute("aria-expanded", "false")


def test_on_a_phone_it_fills_the_screen_and_what_is_behind_is_out_of_reach(
    guests: Callable[..., Guest], stage: Stage
) -> None:
    guest = guests(viewport=PHONE).opened(stage.page_with())

    assert guest.panel.bounding_box() == {"x": 0, "y": 0, **PHONE}
    assert guest.page.evaluate("document.body.inert")
    guest.page.get_by_role("button", name="Fermer").click()
    assert not guest.page.evaluate("document.body.inert")


def test_whoever_wants_less_motion_gets_none(guests: Callable[..., Guest], stage: Stage) -> None:
    still, moving = guests(reduced_motion="reduce"), guests()
    address = stage.page_with()

    assert still.opened(address).panel.evaluate("panel => getComputedStyle(panel).animationName") == "none"
    assert moving.opened(address).panel.evaluate("panel => getComputedStyle(panel).animationName") == "rise"


def test_the_page_can_open_ask_hear_and_close(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_be_visible()

    answer = guest.page.evaluate(
        """async (question) => {
             window.heard = [];
             for (const name of ["open", "close", "question", "answer"]) Assistant.on(name, () => heard.push(name));
             const answer = await Assistant.ask(question);
             Assistant.close();
             return answer;
           }""",
        QUESTION,
    )

    assert answer["question"] == QUESTION
    assert answer["answer"].startswith(f"{QUOTE} [1]")
    assert answer["citations"][0] == {"number": 1, "title": "L'armistice", "quote": QUOTE}
    assert guest.page.evaluate("heard") == ["open", "question", "answer", "close"]
    expect(guest.panel).to_be_hidden()


def test_each_of_two_questions_asked_at_once_gets_its_own_answer(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_be_visible()

    answers = guest.page.evaluate("Promise.all([Assistant.ask(' Quand ? '), Assistant.ask('Combien ?')])")

    assert [answer["question"].strip() for answer in answers] == ["Quand ?", "Combien ?"]
    expect(guest.chat.locator(".answer .copy")).to_have_count(2)


def test_an_empty_question_is_refused_and_the_next_one_answered(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_be_visible()

    said = guest.page.evaluate(
        "Promise.all([Assistant.ask('  ').catch((error) => error.message), Assistant.ask('Quand ?')])"
    )

    assert said[0] == "The question is empty"
    assert said[1]["question"] == "Quand ?"


@pytest.mark.parametrize("wish", ['data-target="#here"', 'data-open="true"'])
def test_a_script_that_runs_before_the_body_is_there_waits_for_it(guest: Guest, stage: Stage, wish: str) -> None:
    script = f'<script src="{stage.server}/widget.js" data-lang="fr" {wish}></script>'

    guest.open(stage.site.put("/early", script, '<div id="here"></div>'))

    expect(guest.chat.locator("#conversation .greeting")).to_be_visible()
    assert not [line for line in guest.console if line.startswith(("UNCAUGHT", "Sourcier"))]
    expect(guest.page.locator("#here .panel.inline")).to_have_count(1 if "target" in wish else 0)


@pytest.mark.parametrize(
    ("color", "sign"), [("#ffe14d", "0"), ("oklch(0.9 0.1 100)", "0"), ("#0b3d91", "1"), ("color(srgb 0 0 0.4)", "1")]
)
def test_the_sign_on_the_button_is_told_apart_from_any_color(guest: Guest, stage: Stage, color: str, sign: str) -> None:
    guest.open(stage.page_with(f'data-color="{color}"', path="/color"))

    lightness = guest.button.evaluate("button => getComputedStyle(button).color.match(/[\\d.]+/)[0]")

    assert lightness == sign


def test_an_error_is_told_to_the_page(guest: Guest, stage: Stage) -> None:
    guest.open(stage.page_with())
    expect(guest.button).to_be_visible()
    stage.assistant.raises = RuntimeError("broken")
    try:
        message = guest.page.evaluate("Assistant.ask('Quand ?').catch((error) => error.message)")
    finally:
        stage.assistant.raises = None

    assert message.startswith("Une erreur est survenue.")


def test_a_message_of_anybody_else_is_not_heard(guest: Guest, stage: Stage) -> None:
    stage.site.put("/stranger", body="<script>parent.postMessage({ type: 'sourcier:escape' }, '*')</script>")
    guest.opened(stage.page_with(path="/mixed", body='<main><h1>Une page</h1><div id="place"></div></main>'))

    guest.page.evaluate(
        """() => new Promise((resolve) => {
             window.addEventListener("message", ({ data }) => data.type === "sourcier:escape" && resolve());
             const frame = document.createElement("iframe");
             frame.src = "/stranger";
             document.body.prepend(frame);
             postMessage({ type: "sourcier:escape" }, "*");
           })"""
    )
    guest.ask()

    expect(guest.panel).to_be_visible()


def test_the_chat_hears_only_the_page_it_is_in(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())
    chat = next(frame for frame in guest.page.frames if frame.url.startswith(stage.server))

    chat.evaluate("() => { postMessage({ type: 'sourcier:ask', question: 'Intrus ?' }, '*'); }")
    guest.ask()

    expect(guest.chat.locator(".user-row")).to_have_count(1)


def test_two_scripts_make_one_button(guest: Guest, stage: Stage) -> None:
    script = f'<script src="{stage.server}/widget.js"></script>'
    guest.open(stage.site.put("/twice", script * 2))

    expect(guest.button).to_have_count(1)


def test_a_page_that_changes_its_body_keeps_the_conversation(guest: Guest, stage: Stage) -> None:
    guest.opened(stage.page_with())
    guest.ask()

    guest.page.evaluate(
        """() => {
             history.pushState({}, "", "/elsewhere");
             const body = document.createElement("body");
             body.innerHTML = "<main><h1>Ailleurs</h1></main>";
             document.body.replaceWith(body);
           }"""
    )

    expect(guest.page.locator("h1")).to_have_text("Ailleurs")
    expect(guest.chat.locator(".answer .said")).to_contain_text(QUOTE)


def test_a_strict_policy_of_the_page_needs_two_permissions(guest: Guest, stage: Stage) -> None:
    policy = f"default-src 'none'; script-src {stage.server}; frame-src {stage.server}"
    guest.opened(stage.page_with(path="/strict", content_security_policy=policy))

    guest.ask()

    expect(guest.panel).to_have_css("position", "fixed")
    assert not [line for line in guest.console if "Content Security Policy" in line]


def test_the_owner_sees_the_demo(guest: Guest, stage: Stage) -> None:
    guest.opened(f"{stage.server}/demo")
    guest.ask()

    expect(guest.page.locator("pre").first).to_contain_text(f'<script src="{stage.server}/widget.js"')


def test_a_page_with_the_chat_open_has_no_barriers(guest: Guest, stage: Stage) -> None:
    from axe_playwright_python.sync_playwright import Axe

    guest.opened(stage.page_with())
    guest.ask()

    found = Axe().run(guest.page)

    assert found.violations_count == 0, found.generate_report()


def test_no_key_is_in_what_a_page_gets(guest: Guest, stage: Stage) -> None:
    texts = [guest.page.request.get(stage.server + path).text() for path in ("/widget.js", "/demo", "/?embed=1")]

    assert not any(re.search(r"sourcier-[A-Za-z0-9_-]{20}", text) for text in texts)


FRAMEWORKS = Path(".venv/frameworks")
REACT = """
const { createElement: h, useCallback, useState } = React;
function Answers({ server }) {
  const [answers, add] = useState([]);
  useAssistant(server, useCallback(({ answer }) => { heard.push(answer); add((all) => [...all, answer]); }, []));
  return h("ul", null, answers.map((answer, number) => h("li", { key: number }, answer)));
}
function App() {
  const [here, go] = useState(true);
  const move = () => { history.pushState({}, "", here ? "/elsewhere" : "/react"); go(!here); };
  return h("main", null, h("h1", null, "Une page"), h("button", { id: "move", onClick: move }, "Aller"),
    here ? h(Answers, { server: SERVER }) : h("p", null, "Ailleurs"));
}
ReactDOM.createRoot(document.getElementById("app")).render(h(App));
"""
VUE = """
import { createApp, h, ref } from "vue";
const Answers = {
  setup() {
    const answers = ref([]);
    useAssistant(SERVER, ({ answer }) => { heard.push(answer); answers.value.push(answer); });
    return () => h("ul", answers.value.map((answer) => h("li", answer)));
  },
};
const App = {
  setup() {
    const here = ref(true);
    const move = () => { history.pushState({}, "", here.value ? "/elsewhere" : "/vue"); here.value = !here.value; };
    return () => h("main", [h("h1", "Une page"), h("button", { id: "move", onClick: move }, "Aller"),
      here.value ? h(Answers) : h("p", "Ailleurs")]);
  },
};
createApp(App).mount("#app");
"""


def page_with_framework(stage: Stage, name: str, app: str) -> str:
    """Make a single-page application that uses what docs/embedding.md prints for a framework."""
    document = Path("docs/embedding.md").read_text("utf-8")
    [printed] = re.findall(rf"```js\n// useAssistant.js, for {name}\n(.*?)```", document, re.DOTALL)
    files = {
        "/useAssistant.js": printed,
        "/react.js": (FRAMEWORKS / "dash/deps/react@18.3.1.min.js").read_text("utf-8"),
        "/react-dom.js": (FRAMEWORKS / "dash/deps/react-dom@18.3.1.min.js").read_text("utf-8"),
        "/react-module.js": "export const useEffect = window.React.useEffect;",
        "/vue.js": (FRAMEWORKS / "nicegui/static/vue.esm-browser.prod.js").read_text("utf-8"),
        "/app.js": f'import {{ useAssistant }} from "/useAssistant.js";\nconst SERVER = "{stage.server}";\n{app}',
    }
    for path, text in files.items():
        stage.site.pages[path] = text
    imports = '{"imports": {"react": "/react-module.js", "vue": "/vue.js"}}'
    scripts = "".join(f'<script src="/{file}.js"></script>' for file in ("react", "react-dom"))
    head = f'<script>window.heard = [];</script>{scripts}<script type="importmap">{imports}</script>'
    return stage.site.put(f"/{name.lower()}", head, '<div id="app"></div><script type="module" src="/app.js"></script>')


@pytest.mark.parametrize(("name", "app"), [("React", REACT), ("Vue", VUE)], ids=["React", "Vue"])
def test_the_example_of_a_framework_hears_answers_while_its_component_lives(
    guest: Guest, stage: Stage, name: str, app: str
) -> None:
    guest.opened(page_with_framework(stage, name, app))
    answers = guest.page.locator("li")

    guest.ask()
    expect(answers).to_have_text([re.compile(QUOTE)])
    guest.page.locator("#move").click()
    expect(answers).to_have_count(0)
    guest.ask("Et où ?")
    guest.page.locator("#move").click()
    guest.ask("Et pourquoi ?")

    expect(answers).to_have_count(1)
    assert guest.page.evaluate("heard.length") == 2
    expect(guest.chat.locator(".answer .copy")).to_have_count(3)
    expect(guest.button).to_have_count(1)
    assert not [line for line in guest.console if "UNCAUGHT" in line]
