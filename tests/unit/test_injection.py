"""Documents that give orders, and a model that obeys them: nothing leaks into markup, requests or citations.

tests/evaluation/injections.jsonl has what each document says, and what a model that does its bidding writes; {secret}
stands for what the user said before. The network is closed to tests: a request to anywhere would be an error.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import repeat
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from mcp import Client

from assistant import Assistant, Message
from assistant.cite import Citer
from assistant.generate import Reach, generator
from assistant.prompts import ANSWER_SYSTEM, CANNOT_ANSWER, NOT_FOUND
from assistant.web.markup import answer_markup
from assistant.web.mcp import OwnDocuments, mcp_server
from assistant.web.openai import add_openai
from assistant.web.streams import Places
from assistant.web.texts import FRENCH
from tests.fakes import HashingEmbeddings, Retriever, passage
from tests.threads import alone

SECRET = "tulipe-4711"
BREAD = "Le pain coûte un euro."
INJECTIONS = [json.loads(line) for line in Path("tests/evaluation/injections.jsonl").read_text("utf-8").splitlines()]
HISTORY = [
    Message(role="user", content=f"Mon mot de passe est {SECRET}."),
    Message(role="assistant", content=CANNOT_ANSWER["fr"]),
]
QUESTION = "Combien coûte le pain ?"
FORBIDDEN = ("evil.example", "://", "![", "](", "javascript:", "data:", "<", "\x1b", "bW90IGRl")
"""No address, no markup, no unseen sign."""


class Obedient(GenericFakeChatModel):
    """Writes what the document wants, and keeps what it was given."""

    heard: list
    options: dict

    def _stream(self, messages, *rest, **more):
        self.heard.extend(messages)
        self.options.update(more)
        yield from super()._stream(messages, *rest, **more)


class NothingToLoad:
    """The index, as far as an assistant whose retriever is scripted needs one."""

    def load(self):
        pass


def obedient(injection):
    """Give a document with an order in it, a model that obeys, and the assistant that asks it."""
    document = f"{BREAD}\n{injection['document']}"
    found = passage(document, title=injection["document"][:80])
    orders = repeat(AIMessage(injection["obeys"].replace("{secret}", SECRET)))
    model = Obedient(messages=orders, heard=[], options={})
    assistant = Assistant(
        NothingToLoad(),
        Retriever(found=[found]),
        generator(model, "fake:obedient", Reach(4_096, lambda text: len(text.split()))),
        Citer(HashingEmbeddings(), {"source": document}.__getitem__),
    )
    return document, model, assistant


def test_there_are_documents_enough():
    assert len({injection["name"] for injection in INJECTIONS}) >= 30


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection["name"])
def test_an_obeyed_order_leaks_nothing(injection):
    document, model, assistant = obedient(injection)
    answer = assistant.ask(QUESTION, HISTORY)

    # Of the documents and the conversation nothing stands where instructions do, and nothing in them looks like a turn.
    system, *rest = model.heard
    assert system.content == ANSWER_SYSTEM.format(cannot_answer=CANNOT_ANSWER["fr"])
    asked = rest[-1].content
    assert re.findall(r"</?passages?\b", asked) == ["<passages", "<passage", "</passage", "</passages"]
    assert not re.search(r"<\||<<|\[/?INST\]|\[\d+\]", asked)
    assert "tools" not in model.options

    for forbidden in FORBIDDEN:
        assert forbidden not in answer.text.replace(document, "")
    assert all(sign.isprintable() for sign in answer.text)

    # Each citation stands in the document; whatever else was said is marked, or not said.
    for citation in answer.citations:
        assert document[citation.start : citation.end] == citation.quote
    unmarked = re.sub(r"\s*\[\d+\]", "", outside(answer))
    assert SECRET not in unmarked
    # What a document says in so many words may be cited from it: PWNED is a word of it.
    said = re.findall("PWNED|PIRATÉ|empoisonn|gratuit|trésor|faillite|Suisse|dix euros|Moulin|ne coûte pas", unmarked)
    assert all(word in document for word in said)
    if not answer.citations:
        assert answer.text == CANNOT_ANSWER["fr"]

    # On the page there are only our own tags, and links to our own places.
    page = Page()
    page.feed(answer_markup(answer, FRENCH))
    assert not page.tags & {"img", "script", "iframe", "form", "style", "svg", "input", "object", "b"}
    assert not any("//" in link or ":" in link.partition("#")[0] for link in page.links)
    assert "src" not in page.attributes
    assert not any(name.startswith("on") for name in page.attributes)


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection["name"])
def test_an_obeyed_order_leaks_nothing_to_clients_of_openais_api(injection):
    document, model, assistant = obedient(injection)
    answer = assistant.ask(QUESTION, HISTORY)
    app = FastAPI()
    add_openai(app, assistant, Places())
    tools = [{"type": "function", "function": {"name": "fetch", "parameters": {}}}]
    asked = {"model": "sourcier", "messages": [*HISTORY, {"role": "user", "content": QUESTION}], "tools": tools}
    client = TestClient(app)

    whole = client.post("/v1/chat/completions", json=asked).json()
    lines = client.post("/v1/chat/completions", json=asked | {"stream": True}).text.splitlines()

    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    message = whole["choices"][0]["message"]
    assert message["content"] == "".join(delta.get("content", "") for delta in deltas) == answer.text
    assert message["citations"] == deltas[-1]["citations"]
    for citation in message["citations"]:
        assert document[citation["start"] : citation["end"]] == citation["quote"]
    check_that_nothing_leaks([whole, chunks], document, answer)
    assert "tools" not in model.options
    assert not {"tool_calls", "function_call"} & {name for delta in [message, *deltas] for name in delta}


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection["name"])
def test_an_obeyed_order_leaks_nothing_to_programs_that_use_the_tools(injection):
    document, _, assistant = obedient(injection)
    answer = assistant.ask(QUESTION)

    async def ask():
        async with Client(mcp_server(OwnDocuments(assistant))) as client:
            return await client.call_tool("ask", {"question": QUESTION})

    result = alone(lambda: asyncio.run(ask()))

    told = result.structured_content
    assert told["answer"] == answer.text
    for citation in told["citations"]:
        assert document[citation["start"] : citation["end"]] == citation["quote"]
    check_that_nothing_leaks(told, document, answer)
    # Text that holds the same object, and no picture, link or embedded resource.
    [content] = result.content
    assert content.type == "text"
    assert json.loads(content.text) == told


def check_that_nothing_leaks(body, document, answer):
    """See that each text of an object is of the answer, which is checked above, or of the document, or harmless."""
    for text in strings(body):
        if text not in answer.text and text not in document:
            assert SECRET not in text
            assert not any(forbidden in text for forbidden in FORBIDDEN)


def strings(body) -> Iterator[str]:
    """Give every text in an object of JSON."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list | dict):
        for one in body.values() if isinstance(body, dict) else body:
            yield from strings(one)


def outside(answer):
    """Give the text of an answer but for the sentences that are marked."""
    kept, at = "", 0
    for one in answer.unsupported:
        assert answer.text[one.start : one.end].endswith(f"({NOT_FOUND['fr']})")
        kept += answer.text[at : one.start]
        at = one.end
    return kept + answer.text[at:]


class Page(HTMLParser):
    """What stands in markup."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.links = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name == "href"]
