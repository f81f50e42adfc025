import json
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest

from assistant.errors import InvalidQuestion, ModelFailed, ModelUnavailable, RateLimited
from assistant.types import Notice
from assistant.web.app import create_app
from assistant.web.streams import AT_ONCE, WAITING
from index import SyncQueue
from index.errors import IndexNotFound, InvalidFilter, StoreUnavailable
from index.types import EVERYTHING, Filter
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = "Quand fut signé l'armistice ?"


@pytest.fixture
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture
def client(assistant: ScriptedAssistant) -> Iterator[httpx.Client]:
    with (
        serving(create_app(assistant, SyncQueue(assistant.index))) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client
        assistant.resume.set()


def ask(client: httpx.Client, question: str = QUESTION, **more: object) -> httpx.Response:
    return client.post("/api/ask", json={"question": question, **more})


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.splitlines() for block in response.text.split("\n\n")]
    return [
        (block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: ")))
        for block in blocks
        if block and block[0].startswith("event: ")
    ]


def test_health_is_told_while_the_model_loads(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.ready = False

    assert client.get("/api/health").json() == {"status": "ok", "ready": False, "documents": 3}


def test_ready_is_said_once_all_is_loaded_and_until_then_why_not(
    client: httpx.Client, assistant: ScriptedAssistant
) -> None:
    assert client.get("/api/ready").json() == {"ready": True}

    assistant.ready = False
    loading = client.get("/api/ready")
    assistant.fault = StoreUnavailable("/srv/private/index cannot be read")
    broken = client.get("/api/ready")

    assert (loading.status_code, broken.status_code) == (503, 503)
    assert "Retry-After" in loading.headers
    assert loading.json()["error"]["message"] == "Index and models are being loaded."
    assert "StoreUnavailable" in broken.json()["error"]["message"]
    assert "/srv/private" not in broken.text
    assert {"200", "503"} <= client.get("/api/openapi.json").json()["paths"]["/api/ready"]["get"]["responses"].keys()


def test_an_answer_is_the_object_of_the_command_line(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    response = ask(client)

    assert response.json() == json.loads(json.dumps(assistant.ask(QUESTION).as_dict()))
    assert response.json()["answered"]


def test_a_declined_answer_is_not_an_error(client: httpx.Client) -> None:
    response = ask(client, "Combien de lunes a Jupiter ?")

    assert response.status_code == 200
    assert not response.json()["answered"]


def test_a_streamed_answer_is_passages_then_tokens_then_the_answer(client: httpx.Client) -> None:
    response = ask(client, stream=True)

    streamed = events(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in streamed[:1] + streamed[-1:]] == ["passages", "answer"]
    assert {name for name, _ in streamed[1:-1]} == {"token"}
    assert "".join(data["text"] for _, data in streamed[1:-1]) == streamed[-1][1]["answer"]
    assert streamed[0][1]["passages"] == streamed[-1][1]["passages"]
    assert streamed[-1][1] == ask(client).json()


def test_a_notice_is_streamed_before_the_words_it_is_about(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.notice = Notice("RateLimited", "Too many questions.")

    streamed = events(ask(client, stream=True))

    assert [name for name, _ in streamed[:3]] == ["passages", "notice", "token"]
    assert streamed[1][1] == streamed[-1][1]["notice"] == {"kind": "RateLimited", "message": "Too many questions."}


def test_tokens_arrive_while_the_answer_is_being_made(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.hold = True

    with client.stream("POST", "/api/ask", json={"question": QUESTION, "stream": True}) as response:
        lines = response.iter_lines()
        until_token = next(line for line in lines if line == "event: token")
        assistant.resume.set()
        rest = list(lines)

    assert until_token
    assert "event: answer" in rest


def test_the_history_reaches_the_assistant(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    history = [{"role": "user", "content": "Bonjour"}, {"role": "assistant", "content": "Bonjour."}]

    ask(client, history=history)

    assert assistant.asked == [(QUESTION, history)]


def test_the_filter_reaches_the_assistant(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    ask(client, sources=["tour"], since="2024-01-01", until="2024-12-31", languages=["fr", "en"], stream=True)
    ask(client)

    assert assistant.filters == [Filter(("tour",), "2024-01-01", "2024-12-31", ("fr", "en")), EVERYTHING]


def test_a_filter_that_makes_no_sense_is_refused_with_what_to_write(
    client: httpx.Client, assistant: ScriptedAssistant
) -> None:
    response = ask(client, since="hier")
    assistant.raises = InvalidFilter("No document 'x' is indexed.")
    unknown = ask(client, sources=["x"], stream=True)

    assert (response.status_code, unknown.status_code) == (422, 422)
    assert response.json()["error"] == {
        "type": "InvalidFilter",
        "message": "since is 'hier', which is not a day. Write it as 2025-11-01",
    }
    assert "No document 'x'" in unknown.json()["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidQuestion("No."), 422),
        (RateLimited("No."), 429),
        (ModelFailed("No."), 502),
        (ModelUnavailable("No."), 503),
        (StoreUnavailable("No."), 503),
        (IndexNotFound("No."), 503),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_has_its_own_status_and_the_one_shape(
    client: httpx.Client, assistant: ScriptedAssistant, error: Exception, status: int, stream: bool
) -> None:
    assistant.raises = error

    response = ask(client, stream=stream)

    assert response.status_code == status
    assert response.json()["error"]["type"] == type(error).__name__
    assert response.json()["error"]["message"]
    assert ("retry-after" in response.headers) == (status in {429, 503})


def test_an_error_of_the_index_does_not_name_folders(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.raises = IndexNotFound("No index at /srv/private/index.")

    assert "/srv" not in ask(client).text


def test_an_unexpected_error_tells_nothing_of_the_inside(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.raises = KeyError("secret")

    response = ask(client)

    assert response.status_code == 500
    assert response.json()["error"]["type"] == "Unexpected"
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def test_an_error_in_the_middle_of_a_stream_is_its_last_event(
    client: httpx.Client, assistant: ScriptedAssistant
) -> None:
    assistant.raises, assistant.raises_late = ModelFailed("It broke off."), True

    streamed = events(ask(client, stream=True))

    assert [name for name, _ in streamed] == ["passages", "token", "token", "error"]
    assert streamed[-1][1] == {"error": {"type": "ModelFailed", "message": "It broke off."}}


def test_an_answer_ends_when_its_client_goes_away(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.endless = True

    with client.stream("POST", "/api/ask", json={"question": QUESTION, "stream": True}) as response:
        next(response.iter_lines())
        assert not assistant.closed.is_set()

    assert assistant.closed.wait(10)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "   "},
        {"question": "a" * 2001},
        {"question": 3},
        {"question": "a", "history": [{"role": "system", "content": "a"}]},
        {"question": "a", "history": [{"role": "user", "content": "a" * 8001}]},
        {"question": "a", "history": [{"role": "user", "content": "a"}] * 21},
        {"question": "a", "histroy": []},
        {"question": "a", "since": 20251101},
        {"question": "a", "sources": "tour"},
        {"question": "a", "languages": ["f" * 65]},
        {"question": "a", "sources": ["x"] * 1_001},
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_request_that_makes_no_sense_is_refused_in_words(client: httpx.Client, body: dict[str, Any]) -> None:
    response = client.post("/api/ask", json=body)

    assert response.status_code == 422
    assert response.json()["error"]["message"]


def test_the_longest_question_and_history_are_answered(client: httpx.Client) -> None:
    history = [{"role": "user", "content": "a" * 2_500}] * 20

    assert ask(client, "é" * 2_000, history=history).status_code == 200


def test_more_questions_than_may_wait_are_sent_away_at_once(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.hold = True
    at_once_and_waiting = AT_ONCE + WAITING

    with ThreadPoolExecutor(at_once_and_waiting + 1) as threads:
        asked = {threads.submit(ask, client) for _ in range(at_once_and_waiting + 1)}
        done, held = wait(asked, timeout=30, return_when=FIRST_COMPLETED)
        refused = [future.result() for future in done]
        assistant.resume.set()
        answered = [future.result() for future in held]

    assert [response.status_code for response in refused] == [503]
    assert refused[0].json()["error"]["type"] == "Busy"
    assert refused[0].headers["retry-after"]
    assert [response.status_code for response in answered] == [200] * at_once_and_waiting


def test_a_place_is_free_again_after_an_error(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assistant.raises = ModelFailed("It broke off.")
    for _ in range(3):
        ask(client)
    assistant.raises = None

    assert ask(client).status_code == 200


def test_a_source_keeps_its_place_on_this_computer_to_itself(client: httpx.Client) -> None:
    listed = client.get("/api/sources").json()
    one = client.get("/api/sources/tour").json()

    assert [source["path"] for source in listed] == ["armistice.txt", "tour.txt", "traite.txt"]
    assert one["title"] == "La tour Eiffel"
    assert one["text"].startswith("La tour Eiffel mesure")
    assert "/srv" not in json.dumps([listed, one])


def test_a_citation_stands_in_the_text_of_its_source(client: httpx.Client) -> None:
    citations = ask(client).json()["citations"]

    texts = [client.get(f"/api/sources/{citation['source']}").json()["text"] for citation in citations]

    assert len(citations) == 2
    for citation, text in zip(citations, texts, strict=True):
        assert text[citation["start"] : citation["end"]] == citation["quote"]


@pytest.mark.parametrize("path", ["/api/sources/none", "/api/sources/../../etc/passwd", "/api/nothing"])
def test_what_is_not_there_is_a_404_in_the_one_shape(client: httpx.Client, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert set(response.json()["error"]) == {"type", "message"}


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/sources"), ("DELETE", "/api/ask"), ("PUT", "/v1/models")])
def test_a_method_that_a_route_does_not_know_is_told_so(client: httpx.Client, method: str, path: str) -> None:
    refused = client.request(method, path, json={} if method == "POST" else None)

    assert refused.status_code == 405
    assert refused.headers["allow"] == ("POST" if path == "/api/ask" else "GET")
    assert refused.json()["error"]["type"] == "MethodNotAllowed"


def test_the_api_describes_itself_without_pages_from_elsewhere(client: httpx.Client) -> None:
    described = client.get("/api/openapi.json").json()

    assert {"/api/health", "/api/ask", "/api/sources"} <= set(described["paths"])
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
