import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

from assistant.types import Answer, Citation, Token
from assistant.web.conversations import Conversations
from assistant.web.page_routes import page_routes
from assistant.web.start import Start
from tests.browser.scripted import ScriptedAssistant
from tests.fakes import passage
from tests.unit.test_conversations import ID, MINE, OTHER, TEXT, asked, place

PAYLOADS = Path("tests/browser/payloads.jsonl")
FORBIDDEN = {"image", "link_open", "html_inline", "html_block", "table_open", "s_open", "em_open", "fence"}


@pytest.fixture
def conversations() -> Conversations:
    conversations = Conversations()
    asked(conversations)
    return conversations


@pytest.fixture
def client(conversations: Conversations) -> TestClient:
    app = FastAPI()
    app.include_router(page_routes(conversations, Start(ScriptedAssistant(), "Sourcier")))
    return TestClient(app, headers={"X-Conversation-Key": MINE})


@pytest.mark.parametrize("key", [OTHER, "", "a", "A" * 64, "*"])
def test_a_forged_key_sees_and_changes_nothing(client: TestClient, conversations: Conversations, key: str) -> None:
    forged = {"X-Conversation-Key": key}
    assert client.get("/conversations", headers=forged).json() in ([], {"detail": "There is no such conversation."})
    assert client.get(f"/conversations/{ID}/markdown", headers=forged).status_code == 404
    assert client.patch(f"/conversations/{ID}", json={"title": "x"}, headers=forged).status_code == 404
    assert client.delete(f"/conversations/{ID}", headers=forged).status_code == 404
    opinion = client.post(f"/conversations/{ID}/turns/1/opinion", json={"good": True}, headers=forged)
    assert opinion.status_code == 404

    assert [row["title"] for row in conversations.listed(MINE)] == ["Combien ?"]
    assert conversations.opinions() == {}


def test_a_conversation_is_renamed_exported_and_deleted(client: TestClient) -> None:
    client.patch(f"/conversations/{ID}", json={"title": " Le pain "}).raise_for_status()
    [listed] = client.get("/conversations").json()
    exported = client.get(f"/conversations/{ID}/markdown", params={"language": "fr"})
    client.delete(f"/conversations/{ID}").raise_for_status()

    assert (listed["id"], listed["title"]) == (ID, "Le pain")
    assert exported.text == f"## Combien ?\n\n{TEXT} [1]\n\n[1] Prix\n> {TEXT}\n"
    assert client.get("/conversations").json() == []


@pytest.mark.parametrize("title", ["", "  ", "a" * 81])
def test_a_title_is_neither_blank_nor_endless(client: TestClient, title: str) -> None:
    assert client.patch(f"/conversations/{ID}", json={"title": title}).status_code == 422


def test_an_opinion_of_a_kind_that_is_unknown_is_refused(client: TestClient) -> None:
    address = f"/conversations/{ID}/turns/1/opinion"

    assert client.post(address, json={"good": False, "reason": "x"}).status_code == 422
    assert client.post(address, json={"good": False, "comment": "a" * 1_001}).status_code == 422
    assert client.post(address, json={"good": False, "reason": "wrong"}).status_code == 200


def test_an_exported_conversation_shows_what_others_wrote_and_asks_for_nothing(
    client: TestClient, conversations: Conversations
) -> None:
    hostile = " ".join(json.loads(line)["text"] for line in PAYLOADS.read_text("utf-8").splitlines())
    cited = passage(hostile, title=" ".join(hostile.split()), section="![x](https://evil.example/beacon)")
    said = f"{hostile} [1]\n[1]: https://evil.example"
    answer = Answer(hostile, hostile, said, (Citation(1, cited, hostile, 0, len(hostile)),), (cited,))
    conversation = conversations.at(place(id="d" * 32))
    conversation.begin(hostile).take(answer)
    conversation.begin(hostile).take(Token(hostile))
    conversations.keep(conversation)

    exported = client.get(f"/conversations/{'d' * 32}/markdown").text

    page = MarkdownIt("gfm-like", {"linkify": False}).parse(exported)
    tokens = {inner.type for token in page for inner in [token, *(token.children or [])]}
    assert FORBIDDEN & tokens == set()
    shown = "".join(inner.content for token in page for inner in token.children or [])
    assert all(word in shown for word in hostile.split() if word.isalnum())
    assert "<script>alert(1)</script>" in shown
