from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from assistant.errors import ModelFailed
from assistant.keys import Keys
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.streams import Places
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

QUESTION = {"question": "Quand fut signé l'armistice ?"}


@pytest.fixture(scope="module")
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture
def client(assistant: ScriptedAssistant) -> Iterator[httpx.Client]:
    assistant.begin()
    app = create_app(assistant, SyncQueue(assistant.index), places=Places(at_once=1, waiting=0))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client
        assistant.let_go()


def metrics(client: httpx.Client, **headers: str) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics", headers=headers).raise_for_status()
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "le")): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def questions(client: httpx.Client) -> dict[str, int]:
    """Give the questions that were counted, by outcome."""
    found = metrics(client)
    return {key[1]: int(value) for key, value in found.items() if key[0] == "sourcier_questions_total" and value}


def test_questions_are_counted_by_what_became_of_them(client: httpx.Client, assistant: ScriptedAssistant) -> None:
    assert questions(client) == {}, "another server's are not counted"
    client.post("/api/ask", json=QUESTION).raise_for_status()
    client.post("/api/ask", json={"question": "Combien de lunes ?"}).raise_for_status()
    assistant.raises = ModelFailed("broke off")
    assert client.post("/api/ask", json=QUESTION).status_code == 502
    assistant.raises, assistant.endless = None, True
    with client.stream("POST", "/api/ask", json=QUESTION | {"stream": True}) as answer:
        next(answer.iter_lines())
        assert metrics(client)["sourcier_answering",] == 1
        assert client.post("/api/ask", json=QUESTION).status_code == 503
    assert assistant.closed.wait(30)

    while metrics(client)["sourcier_answering",]:
        pass
    assert questions(client) == {"answered": 1, "declined": 1, "failed": 1, "refused": 1, "stopped": 1}


def test_seconds_and_what_is_indexed_are_told(client: httpx.Client) -> None:
    client.post("/api/ask", json=QUESTION).raise_for_status()
    client.post("/v1/chat/completions", json={"model": "sourcier", "messages": [{"role": "user", "content": "Où ?"}]})

    found = metrics(client)

    for stage in ("retrieve", "answer", "first_token"):
        assert found["sourcier_stage_seconds_count", stage] == 2
    assert (found["sourcier_documents",], found["sourcier_chunks",], found["sourcier_ready",]) == (3, 3, 1)
    assert {name[1] for name in found if name[0] == "sourcier_syncs_total"} == {"done", "stopped", "failed"}


def test_from_elsewhere_they_need_a_key(assistant: ScriptedAssistant, tmp_path) -> None:
    keys = Keys(tmp_path / "keys.json")
    app = create_app(assistant, SyncQueue(assistant.index), hosts=None, access=Access(keys=keys))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        refused = client.get("/metrics")
        allowed = metrics(client, authorization=f"Bearer {keys.create('prometheus')}")

    assert refused.status_code == 401
    assert "sourcier" not in refused.text
    assert allowed["sourcier_chunks",] == 3
