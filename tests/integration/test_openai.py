"""The routes under /v1, asked by OpenAI's own client."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from assistant import Notice, Usage
from assistant.errors import InvalidQuestion, ModelFailed, ModelUnavailable, RateLimited
from assistant.web.app import create_app
from index import SyncQueue
from index.errors import StoreUnavailable
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture
def address(assistant: ScriptedAssistant) -> Iterator[str]:
    with serving(create_app(assistant, SyncQueue(assistant.index))) as address:
        yield address
        assistant.resume.set()


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


def complete(client: openai.OpenAI, messages: Any = ASKED, **more: Any) -> Any:
    return client.chat.completions.create(model="sourcier", messages=messages, **more)


def test_the_assistant_is_the_one_model(client: openai.OpenAI) -> None:
    [model] = client.models.list()

    assert model.id == "sourcier"
    assert client.models.retrieve("sourcier") == model


def test_an_answer_is_a_completion_with_its_citations(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    completion = complete(client)

    [choice] = completion.choices
    expected = json.loads(json.dumps(assistant.ask(QUESTION).as_dict()))
    assert choice.message.role == "assistant"
    assert choice.message.content == expected["answer"]
    assert "[1]" in choice.message.content
    assert choice.message.citations == expected["citations"]
    assert choice.message.answered
    assert choice.finish_reason == "stop"
    assert completion.model == "sourcier"


def test_a_declined_answer_has_no_citations(client: openai.OpenAI) -> None:
    message = complete(client, [{"role": "user", "content": "Combien de lunes a Jupiter ?"}]).choices[0].message

    assert message.citations == []
    assert not message.answered


def test_a_stream_is_the_same_completion_in_pieces(client: openai.OpenAI) -> None:
    whole = complete(client).choices[0].message

    chunks = list(complete(client, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert len(deltas) > 4
    assert "".join(delta.content or "" for delta in deltas) == whole.content
    assert deltas[-1].citations == whole.citations
    assert deltas[-1].query == whole.query == QUESTION
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_what_the_language_model_read_and_wrote_is_told(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    unknown = complete(client).usage
    assistant.usage = Usage("llama", 900, 40)
    usage = complete(client).usage
    unasked = list(complete(client, stream=True))
    streamed = list(complete(client, stream=True, stream_options={"include_usage": True}))

    assert unknown is None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (900, 40, 940)
    assert [chunk.usage for chunk in unasked] == [None] * len(unasked)
    assert streamed[-1].usage == usage
    assert streamed[-1].choices == []


def test_why_sentences_stand_in_for_the_language_model_is_told(
    client: openai.OpenAI, assistant: ScriptedAssistant
) -> None:
    assistant.notice = Notice("ModelFailed", "It broke off.")

    notice = complete(client).choices[0].message.notice
    chunks = list(complete(client, stream=True))

    assert notice == {"kind": "ModelFailed", "message": "It broke off."}
    assert chunks[-1].choices[0].delta.notice == notice


def test_the_example_in_readme_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(from openai import .*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)

    exec(example.replace("http://127.0.0.1:7860", address), {})

    assert "[1]" in capsys.readouterr().out


def test_chunks_arrive_while_the_answer_is_being_made(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    assistant.hold = True

    stream = complete(client, stream=True)
    first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    assistant.resume.set()

    assert first.choices[0].finish_reason is None
    assert list(stream)[-1].choices[0].finish_reason == "stop"


def test_an_answer_ends_when_its_client_goes_away(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    assistant.endless = True

    with complete(client, stream=True) as stream:
        next(iter(stream))
        assert not assistant.closed.is_set()

    assert assistant.closed.wait(10)


def test_the_turns_before_the_question_are_the_history(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    complete(
        client,
        [
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": [{"type": "text", "text": "Qui"}, {"type": "text", "text": "signa ?"}]},
            {"role": "assistant", "content": "Foch."},
            {"role": "tool", "content": "42", "tool_call_id": "1"},
            {"role": "user", "content": "Et quand ?"},
        ],
        temperature=1.5,
        tools=[{"type": "function", "function": {"name": "calculate"}}],
    )

    assert assistant.asked == [
        ("Et quand ?", [{"role": "user", "content": "Qui\nsigna ?"}, {"role": "assistant", "content": "Foch."}])
    ]


def test_of_a_long_conversation_the_last_turns_are_read(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"{i} {'a' * 9_000 * (i == 99)}"} for i in range(100)]

    complete(client, [*turns, *ASKED])

    [(question, history)] = assistant.asked
    assert question == QUESTION
    assert [message["content"].split()[0] for message in history] == [str(i) for i in range(80, 100)]
    assert len(history[-1]["content"]) == 8_000


@pytest.mark.parametrize(
    ("error", "status", "raised", "kind"),
    [
        (InvalidQuestion("No."), 400, openai.BadRequestError, "invalid_request_error"),
        (RateLimited("No."), 429, openai.RateLimitError, "rate_limit_error"),
        (ModelFailed("No."), 502, openai.InternalServerError, "server_error"),
        (ModelUnavailable("No."), 503, openai.InternalServerError, "server_error"),
        (StoreUnavailable("/srv/private"), 503, openai.InternalServerError, "server_error"),
        (KeyError("/srv/private"), 500, openai.InternalServerError, "server_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_the_one_that_the_client_knows(  # noqa: PLR0917
    client: openai.OpenAI, assistant: ScriptedAssistant, error: Exception, status: int, raised: Any, kind: str,
    stream: bool,
) -> None:  # fmt: skip
    assistant.raises = error

    with pytest.raises(raised) as caught:
        complete(client, stream=stream)

    assert caught.value.status_code == status
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.type == kind
    assert caught.value.body["message"]
    assert "/srv" not in str(caught.value)
    assert ("retry-after" in caught.value.response.headers) == (status in {429, 503})


def test_a_stream_that_breaks_off_raises_in_the_client(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    assistant.raises, assistant.raises_late = ModelFailed("It broke off."), True
    chunks = []

    with pytest.raises(openai.APIError, match="It broke off"):
        chunks.extend(complete(client, stream=True))


def test_another_model_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as asked:
        client.chat.completions.create(model="gpt-4o", messages=ASKED)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")

    assert asked.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "sourcier"}, "messages"),
        ({"model": "sourcier", "messages": []}, "messages"),
        ({"model": "sourcier", "messages": "Bonjour"}, "messages"),
        ({"model": "sourcier", "messages": [{"role": "root", "content": "a"}]}, "messages.0.role"),
        ({"model": "sourcier", "messages": [{"role": "user", "content": 3}]}, "messages.0.content.str"),
        ({"model": "sourcier", "messages": [{"role": "user", "content": "a"}] * 2_001}, "messages"),
        ({"model": "sourcier", "messages": ASKED, "n": 2}, "n"),
        ({"model": "sourcier", "messages": [{"role": "system", "content": "a"}]}, None),
        ({"model": "sourcier", "messages": [*ASKED, {"role": "assistant", "content": "a"}]}, None),
        ({"model": ["sourcier"], "messages": ASKED}, "model"),
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_body_that_makes_no_sense_is_refused_in_openais_shape(
    address: str, assistant: ScriptedAssistant, body: dict[str, Any], param: str | None
) -> None:
    response = httpx.post(f"{address}/v1/chat/completions", json=body)

    error = response.json()["error"]
    assert response.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]
    assert assistant.asked == []


def test_a_picture_is_refused_and_not_fetched(client: openai.OpenAI, assistant: ScriptedAssistant) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/pixel.png"}}

    with pytest.raises(openai.BadRequestError):
        complete(client, [{"role": "user", "content": [picture]}])

    assert assistant.asked == []


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b"\xff\xa1", 400),
        ({"Content-Type": "application/json"}, b'{"messages": "' + b"a" * 70_000, 413),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json", "Origin": "https://evil.example"}, b"{}", 403),
        ({"Content-Type": "application/json", "Host": "evil.example"}, b"{}", 421),
    ],
)
def test_the_routes_stand_behind_the_guard(address: str, headers: dict[str, str], content: bytes, status: int) -> None:
    response = httpx.post(f"{address}/v1/chat/completions", content=content, headers=headers)

    assert response.status_code == status
    assert response.json()["error"]["message"]
