"""Whatever stands in a text that others wrote is shown as characters, and does nothing.

Each text of payloads.jsonl is put wherever the page shows what others wrote. The trap: the page must have asked for
nothing elsewhere, opened no dialog, complained of nothing, and every element that it ever had must be one that it has
with harmless texts too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.cite import OWN_MARK
from assistant.types import Answer, Citation, Unsupported, Usage
from assistant.web.app import create_app
from assistant.web.conversations import TITLE_CHARACTERS, Conversations, Place
from index import File, Passage, Source, SyncQueue
from tests.browser.conftest import Visit, watched
from tests.browser.scripted import Index, ScriptedAssistant
from tests.browser.serving import serving

PAYLOADS = [json.loads(line)["text"] for line in Path("tests/browser/payloads.jsonl").read_text("utf-8").splitlines()]
HARMLESS = [f"mot {number}" for number in range(len(PAYLOADS))]
ALL = "f" * 32
"""A conversation with every text in it."""

TRAP = """
window.met = new Set();
const meet = (node) => {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  const named = ["id", "name"].map((name) => node.getAttribute(name)?.replace(/\\d+|^html-.*/g, "") ?? "");
  const attributes = node.getAttributeNames().filter((name) => !name.startsWith("data-svelte"));
  met.add([node.localName, ...attributes.sort(), ...named].join(" "));
  node.childNodes.forEach(meet);
  node.content?.childNodes?.forEach(meet);
};
new MutationObserver((changes) => changes.forEach((change) => {
  if (change.type === "attributes") meet(change.target);
  change.addedNodes.forEach(meet);
})).observe(document, { subtree: true, childList: true, attributes: true });
window.outline = (root) => [...root.querySelectorAll("*")].map((one) =>
  `${one.localName} ${one.getAttributeNames().sort().join(" ")}`).join("\\n");
"""
"""Meets each element that the document ever has, if only for a moment, with the names of its attributes."""

READ_EACH = """
async (many) => {
  const found = [];
  for (const card of [...document.querySelectorAll(".cited .card")].slice(0, many).reverse()) {
    card.click();
    while (document.querySelector("#panel .status").textContent || !document.querySelector("#panel mark")) {
      await new Promise((go) => setTimeout(go));
    }
    found.push(["h2", ".details", ".text", "mark"].map((one) => document.querySelector(`#panel ${one}`).textContent));
  }
  return found.reverse();
}
"""


HOLE = """
async (texts) => {
  const unseen = texts.filter((text) => {
    const [hole, before] = [document.createElement("div"), outline(document.body)];
    document.body.append(hole);
    hole.innerHTML = text;
    const seen = outline(document.body) !== `${before}\\ndiv `;
    hole.remove();
    return !seen;
  });
  await null;  // The trap meets what was there for a moment.
  return [unseen, [...met]];
}
"""


class HostileIndex(Index):
    """Knows as little of the world as of these texts."""

    written: list[str]

    def sources(self) -> list[Source]:
        texts = dict(zip(self.texts, self.written, strict=True))
        return [
            replace(one, author=texts[one.id], date=texts[one.id], paths=("/" + texts[one.id].replace("\0", ""),))
            for one in super().sources()
        ]


class Hostile(ScriptedAssistant):
    """Has a document for each text, which is all that is known of it, and cites every one."""

    def __init__(self, written: list[str]) -> None:
        self.written = written
        super().__init__()
        documents = {f"{place}": f"Avant {text} après. Fin {text}" for place, text in enumerate(written)}
        self.index = HostileIndex(documents, dict(zip(documents, written, strict=True)))
        self.index.written = written
        self.usage = Usage(" ".join(written), 1, 2)

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(
            replace(one, section=text, date=text, file=text, also_in=(File("0", text, text),))
            for one, text in zip(super().passages, self.written, strict=True)
        )

    @property
    def citations(self) -> tuple[Citation, ...]:
        quotes = [text[: text.index(" après.") + 7] for text in self.index.texts.values()]
        return tuple(
            Citation(number, passage, quote, 0, len(quote), passage.also_in)
            for number, (passage, quote) in enumerate(zip(self.passages, quotes, strict=True), start=1)
        )

    def _answer(self, question: str) -> Answer:
        if question.startswith("Combien"):
            return super()._answer(question)
        said = [f"{OWN_MARK.sub('', one.quote)} [{one.number}]" for one in self.citations]
        apart = OWN_MARK.sub("", " ".join(self.written))
        text = " ".join([*said, apart])
        unsupported = (Unsupported(len(text) - len(apart), len(text), "meaning"),)
        return Answer(question, question, text, self.citations, (), unsupported=unsupported, usage=self.usage)


@dataclass
class Drawn:
    """What a page has drawn of its texts."""

    outlines: list[str]
    met: set[str]
    questions: list[str]
    titles: list[str]
    said: str
    cards: list[list[str]]
    panels: list[list[str]]
    near: list[str]


@pytest.fixture(scope="module")
def harmless(browser: Browser) -> Drawn:
    with page_with(browser, HARMLESS) as (visit, kept):
        return drawn(visit, kept, HARMLESS, read=1)


class page_with:  # noqa: N801 - a context
    """A server whose every text is one of these, and a window on it."""

    def __init__(self, browser: Browser, written: list[str]) -> None:
        self.kept = Conversations()
        assistant = Hostile(written)
        app = create_app(
            assistant,
            SyncQueue(assistant.index),
            title=written[0],
            greeting=written[1],
            conversations=self.kept,
            tries_examples=False,
        )
        self.serving, self.browser = serving(app), browser

    def __enter__(self) -> tuple[Visit, Conversations]:
        self.page = self.browser.new_page(locale="fr-FR")
        self.page.set_default_timeout(60_000)
        self.page.add_init_script(TRAP)
        return watched(self.page, self.serving.__enter__()), self.kept

    def __exit__(self, *error: object) -> None:
        self.page.close()
        self.serving.__exit__(*error)


def drawn(visit: Visit, kept: Conversations, written: list[str], read: int) -> Drawn:
    """Let the page draw these texts wherever it can; the first documents are opened, as many as are to be read."""
    page = visit.open()
    key = page.evaluate("localStorage.getItem('sourcier.key')")
    for place, text in enumerate(written):
        keep_broken_off(kept, key, f"{place:032x}", [text])
    keep_broken_off(kept, key, ALL, written)
    expect(page.locator(".greeting .example")).to_have_count(3)
    outlines = [outline(page, "#header"), outline(page, ".greeting")]

    page.locator("#history-open").click()
    page.locator("#history li").nth(len(written)).wait_for()
    outlines.append(outline(page, "#history"))
    titles = page.locator("#history .open").all_text_contents()
    page.locator("#history .open").nth(titles.index(as_titled(written[0]))).press("Enter")
    page.locator(".user-row").first.wait_for()
    page.evaluate(f"sessionStorage.setItem('sourcier.conversation', '{ALL}'); sourcier.show()")
    page.locator(".user-row").nth(len(written) - 1).wait_for()
    page.locator(".answer").nth(len(written) - 1).wait_for()
    outlines.append(outline(page, "#conversation .message-content"))
    questions = page.locator(".user-row .said").all_text_contents()

    page.locator("#new").click()
    page.locator(".greeting").wait_for()
    visit.ask_to_the_end(written[2])
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    outlines.append(outline(page, "#conversation .message-content"))
    cards = page.locator(".cited .card").evaluate_all(
        "all => all.map((card) => [...card.querySelectorAll('.title, .section, .quote')].map((one) => one.textContent))"
    )
    panels = page.evaluate(READ_EACH, read)
    outlines.append(outline(page, "#panel"))
    said = page.locator(".answer .said").text_content() or ""
    visit.ask_to_the_end("Combien ?")
    near = page.locator(".others .card .quote").all_text_contents()
    outlines.append(outline(page, "#conversation .message-content"))
    return Drawn(outlines, set(page.evaluate("[...met]")), questions, titles, said, cards, panels, near)


def keep_broken_off(kept: Conversations, key: str, id: str, written: list[str]) -> None:
    """Keep a conversation in which each text is a question, what there is of its answer, and why there is no more."""
    conversation = kept.at(Place(key=key, conversation=id))
    for text in written:
        turn = conversation.begin(text)
        turn.text = text
        turn.break_off(text)
    kept.keep(conversation)


def outline(page: Page, root: str) -> str:
    return str(page.locator(root).evaluate_all("all => all.map(outline).join('\\n')"))


def test_there_are_texts_enough_of_each_kind() -> None:
    lines = Path("tests/browser/payloads.jsonl").read_text("utf-8").splitlines()

    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 150
    assert len({json.loads(line)["kind"] for line in lines}) >= 15


def test_hostile_texts_are_shown_letter_by_letter_and_do_nothing(browser: Browser, harmless: Drawn) -> None:
    with page_with(browser, PAYLOADS) as (visit, kept):
        hostile = drawn(visit, kept, PAYLOADS, read=len(PAYLOADS))
        page = visit.page
        assert (page.title(), page.locator("h1").text_content()) == (PAYLOADS[0], PAYLOADS[0])
        assert page.url.startswith(visit.address)
        assert page.evaluate("document.baseURI").startswith(visit.address)
        expect(page.locator("#question textarea")).to_be_visible()
        assert visit.foreign_requests == []
        assert visit.complaints == []

    assert hostile.met - harmless.met == set()
    assert hostile.outlines == harmless.outlines
    assert hostile.questions == [as_shown(text) for text in PAYLOADS]
    assert sorted(hostile.titles) == sorted(map(as_titled, [*PAYLOADS, PAYLOADS[0]]))
    assert as_shown(Hostile(PAYLOADS)._answer("").text.partition(" [1]")[0]) in hostile.said
    assert hostile.near == [as_shown(f"Avant {text} après. Fin {text}") for text in PAYLOADS]
    for text, card, panel in zip(PAYLOADS, hostile.cards, hostile.panels, strict=True):
        assert card == [as_shown(text), as_shown(text), as_shown(f"Avant {text} après.")]
        assert panel[0] == text
        assert panel[1].startswith(text)
        assert panel[2:] == [f"Avant {text} après. Fin {text}", f"Avant {text} après."]


def test_a_hole_in_the_page_would_be_seen(browser: Browser, harmless: Drawn) -> None:
    tags = [text for text in PAYLOADS if re.search("<[a-z]", text, re.IGNORECASE)]
    with page_with(browser, HARMLESS) as (visit, _):
        page = visit.open()
        with page.expect_event("dialog"):
            unseen, met = page.evaluate(HOLE, tags)
        assert visit.complaints

    assert len(tags) > 100
    # Of these a browser makes nothing within an element.
    assert all(re.search(r"<body|<frameset|onerror=alert\(1\)//$|example/\?$", text) for text in unseen), unseen
    assert len(set(met) - harmless.met) > 50


class Outline(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def test_the_name_of_the_assistant_opens_no_element_in_the_page() -> None:
    def page(title: str) -> Iterator[str]:
        assistant = ScriptedAssistant()
        app = create_app(assistant, SyncQueue(assistant.index), title=title, greeting=title, tries_examples=False)
        with serving(app) as address:
            yield from (httpx.get(address + path, timeout=60).text for path in ("/", "/?embed=1"))

    outlines = [[Outline(text).found for text in page(title)] for title in ("Sourcier", " ".join(PAYLOADS))]

    assert outlines[0] == outlines[1]
    assert all(len(found) > 10 for found in outlines[0])


def as_shown(text: str) -> str:
    """HTML has no character zero, and a browser shows its stand-in."""
    return text.replace("\0", "\ufffd")


def as_titled(question: str) -> str:
    return as_shown(" ".join(question.split())[:TITLE_CHARACTERS])
