"""Whatever stands in a document, a title or a question is shown as characters, and does nothing."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Script, Visit
from tests.browser.scripted import ScriptedAssistant

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "handler": "<img src=x onerror=alert(1)>",
    "beacon": "<img src=https://evil.example/beacon>",
    "style": "<style>body{display:none}</style><link rel=stylesheet href=https://evil.example/x.css>",
    "overlay": '<div id="overlay" style="position:fixed;inset:0;background:red">over</div>',
    "form": "<form action=https://evil.example><input name=password><button>Send</button></form>",
    "frame": "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "svg": "<svg onload=alert(1)><a href=javascript:alert(1)>x</a></svg>",
    "closing": "</mark></blockquote></details></div><h1>Sourcier est fermé</h1>",
    "markdown image": "![x](https://evil.example/beacon.png)",
    "markdown link": "[cliquez](javascript:alert(1)) et <https://evil.example> et https://evil.example/nu",
    "markdown heading": "\n\n# Titre\n\n| a | b |\n| - | - |\n| **c** | `d` |\n",
    "mermaid": "\n\n```mermaid\ngraph TD; A-->B\n```\n",
    "latex": "$$\\href{javascript:alert(1)}{x}$$ $\\frac12$",
    "template": "${alert(1)} {{alert(1)}} #{7*7}",
    "entity": "&lt;b&gt; &#60;b&#62; &amp;",
    "marker": "[1](#source-1-1) [2] [99] <a class=marker href=https://evil.example>1</a>",
    "breaks": "a\x00b\r\nc\u2028d\u202ee<b>f</b>",
}


@pytest.fixture(params=PAYLOADS.values(), ids=PAYLOADS.keys())
def payload(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def script(payload: str) -> Script:
    """Every document, title and answer holds the payload."""
    texts = {id: f"Avant {payload} après {id}. Fin {payload}" for id in ("un", "deux", "trois")}
    return texts, dict.fromkeys(texts, f"Titre {payload}")


OURS = {"A", "BUTTON", "DETAILS", "DIV", "H2", "P", "SPAN", "SUMMARY"}


def test_a_hostile_text_is_shown_letter_by_letter_and_does_nothing(
    visit: Visit, assistant: ScriptedAssistant, payload: str
) -> None:
    page = visit.open()

    visit.ask_to_the_end(f"Question {payload} ?")
    visit.ask_to_the_end(f"Combien {payload} ?")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    visit.open_source(1)

    shown = page.locator("#conversation .message-content")
    tags = shown.locator("*").evaluate_all("all => all.map((each) => each.tagName.toUpperCase())")
    links = shown.locator("a").evaluate_all("all => all.map((each) => each.getAttribute('href'))")
    attributes = shown.locator("*").evaluate_all("all => all.flatMap((each) => each.getAttributeNames())")
    expect(shown).to_have_count(4)
    assert set(tags) <= OURS
    assert all(re.fullmatch(r"#source\?id=(un|deux|trois)(&(passage|quote)=\d+-\d+)+", link) for link in links)
    assert set(attributes) <= {"aria-current", "class", "dir", "href", "id", "open", "tabindex", "title", "type"}
    assert page.locator("h1").all_inner_texts() == ["Sourcier"]
    expect(page.locator("#question textarea")).to_be_visible()
    assert page.locator(".user-row .said").first.text_content() == as_typed(f"Question {payload} ?")
    quote = assistant.citations[0].quote
    assert len(quote) > len("Avant")
    assert page.locator(".card .quote").first.text_content() == as_shown(quote)
    assert page.locator(".card .title").first.text_content() == as_shown(f"Titre {payload}")
    panel = page.locator("#panel")
    assert panel.locator("mark").text_content() == quote
    assert panel.locator(".text").text_content() == assistant.passages[0].text
    assert panel.locator("h2").text_content() == f"Titre {payload}"
    assert set(panel.locator(".text *").evaluate_all("all => all.map((each) => each.tagName)")) == {"MARK", "SPAN"}
    assert visit.foreign_requests == []
    assert visit.complaints == []


def as_typed(text: str) -> str:
    """A text box knows one kind of line end."""
    return as_shown(text.replace("\r\n", "\n"))


def as_shown(text: str) -> str:
    """HTML has no character zero; a browser shows its stand-in."""
    return text.replace("\x00", "\ufffd")
