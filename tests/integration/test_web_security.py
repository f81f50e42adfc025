import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant.port import PortInUse, listen
from assistant.web.app import create_app
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

BODY = {"question": "Quand fut signé l'armistice ?"}
FOREIGN = "https://evil.example"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    assistant = ScriptedAssistant()
    return create_app(assistant, SyncQueue(assistant.index))


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def post(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/api/ask", json=BODY, headers={name.replace("_", "-"): headers[name] for name in headers})


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/api/health", "/api/nothing", "/gradio_api/info"])
def test_every_response_forbids_framing_sniffing_and_other_hosts(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    policy = headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "form-action 'self'" in policy
    assert "img-src 'self' data: blob:" in policy
    assert not re.search(r"https?:|\*", policy)
    assert headers["x-content-type-options"] == "nosniff"


def test_a_refusal_carries_the_headers_too(client: httpx.Client) -> None:
    assert "content-security-policy" in post(client, origin=FOREIGN).headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost@evil", ""])
def test_a_name_pointed_at_this_computer_reaches_nothing(client: httpx.Client, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421
    assert post(client, host=host).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7860", "[::1]:7860", "[::1]", "LOCALHOST"])
def test_this_computer_may_be_called_by_each_of_its_names(client: httpx.Client, host: str) -> None:
    assert client.get("/api/health", headers={"host": host}).status_code == 200


def test_a_server_opened_to_the_network_answers_to_its_public_name() -> None:
    assistant = ScriptedAssistant()
    with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None)) as address:
        response = httpx.get(f"{address}/api/health", headers={"host": "chat.example.com"})

    assert response.status_code == 200


def test_no_other_origin_may_read_even_from_a_public_name() -> None:
    assistant = ScriptedAssistant()
    with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None)) as address:
        headers = {"host": "chat.example.com", "origin": FOREIGN}
        responses = [httpx.get(address + path, headers=headers) for path in ("/", "/config", "/api/health")]
        preflight = httpx.options(
            f"{address}/api/ask",
            headers=headers | {"access-control-request-method": "POST"},
        )

    for response in [*responses, preflight]:
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1:1", "http://localhost", "", "garbage"])
@pytest.mark.parametrize("path", ["/api/ask", "/gradio_api/queue/join"])
def test_a_page_of_another_origin_cannot_ask(client: httpx.Client, origin: str, path: str) -> None:
    assert client.post(path, json=BODY, headers={"origin": origin}).status_code == 403


def test_a_page_of_ours_can_ask(client: httpx.Client) -> None:
    assert post(client, origin=str(client.base_url).rstrip("/")).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["/api/ask", "/gradio_api/queue/join"])
def test_a_write_that_needs_no_permission_across_origins_is_refused(
    client: httpx.Client, media_type: str, path: str
) -> None:
    response = client.post(path, content=json.dumps(BODY), headers={"content-type": media_type})

    assert response.status_code == 415


@pytest.mark.parametrize("path", ["/api/ask", "/gradio_api/queue/join"])
def test_a_long_body_is_refused_with_or_without_its_length(client: httpx.Client, path: str) -> None:
    long = json.dumps(BODY | {"history": "a" * 64 * 1024}).encode()
    headers = {"content-type": "application/json"}

    told = client.post(path, content=long, headers=headers)
    untold = client.post(path, content=iter([long[:1000], long[1000:]]), headers=headers)

    assert "content-length" not in untold.request.headers
    assert [told.status_code, untold.status_code] == [413, 413]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload",
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/file=https://evil.example/x",
        "/gradio_api/file/etc/hostname",
        "/gradio_api/proxy=https://evil.example/x",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/call/answer",
        "/gradio_api/call/v2/answer",
        "/gradio_api/run/predict",
        "/gradio_api/api/predict",
        "/gradio_api/component_server",
        "/gradio_api/token",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-code",
        "/gradio_api/deep_link",
        "/gradio_api//upload",
        "/gradio_api/heartbeat/../upload",
        "/assets/../gradio_api/upload",
        "/monitoring",
        "/monitoring/summary",
        "/login",
        "/manifest.json",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_gradio_offers_beyond_the_page_is_not_there(client: httpx.Client, method: str, path: str) -> None:
    url = httpx.URL(str(client.base_url), raw_path=path.encode())

    response = client.request(method, url, json={"data": []} if method == "POST" else None)

    assert response.status_code == 404


@pytest.mark.parametrize("as_message", [False, True], ids=["file", "file message of a chatbot"])
@pytest.mark.parametrize("secret", ["/etc/hostname", "of the test"])
def test_a_file_that_a_client_names_is_not_read(
    client: httpx.Client, tmp_path: Path, as_message: bool, secret: str
) -> None:
    if secret == "of the test":
        secret = str(tmp_path / "secret.conf")
        Path(secret).write_text("the secret")
    file = {"path": secret, "orig_name": "x.txt", "meta": {"_type": "gradio.FileData"}}
    named: Any = [{"role": "user", "content": [{"type": "file", "file": file}]}] if as_message else file

    completed = [
        run(client, function, *[named] * len(function["inputs"])) for function in functions_with_inputs(client)
    ]

    assert any(message["success"] is False for message in completed)
    assert "the secret" not in json.dumps(completed)
    assert not [path for path in gradio_folder().rglob("*") if path.is_file()]


def test_what_was_said_before_is_never_taken_from_a_browser(client: httpx.Client) -> None:
    config = client.get("/config").json()
    kinds = {component["id"]: component["type"] for component in config["components"]}

    assert {kinds[id] for each in config["dependencies"] for id in each["inputs"]} == {"textbox"}


def test_nobody_else_sees_or_stops_a_conversation_whatever_they_say_of_themselves(
    client: httpx.Client, app: FastAPI
) -> None:
    mine, theirs, id = "a" * 64, "b" * 64, "c" * 32
    show, answer, stop = functions_with_inputs(client)
    asked = run(client, answer, "Quand fut signé l'armistice ?", place(mine, id))
    assert "Rethondes" in json.dumps(run(client, show, place(mine, id)))

    seen = [
        run(client, function, *["Et ?"] * (len(function["inputs"]) - 1), forged)
        for function in (show, stop)
        for forged in (
            place(theirs, id),
            place(theirs, "d" * 32, leaves=id),
            place(theirs, id, replaces=1),
            place("", id),
            place(mine.upper(), id),
            place("%" * 64, id),
            json.dumps({"key": [mine], "conversation": id}),
            json.dumps({"owner": mine, "conversation": id}),
            f"{place(theirs, id)}{place(mine, id)}",
            None,
        )
    ]

    assert asked["success"]
    assert not any("Rethondes" in json.dumps(message) for message in seen)
    assert "Rethondes" in json.dumps(run(client, show, place(mine, id)))


def place(key: str, conversation: str, **more: object) -> str:
    return json.dumps({"key": key, "conversation": conversation, **more})


def functions_with_inputs(client: httpx.Client) -> list[dict[str, Any]]:
    dependencies: list[dict[str, Any]] = client.get("/config").json()["dependencies"]
    return [each for each in dependencies if each["inputs"]]


def run(client: httpx.Client, function: dict[str, Any], *data: object) -> dict[str, Any]:
    """Call a function as the page does; give how it ended."""
    session = secrets.token_hex(8)
    client.post(
        "/gradio_api/queue/join", json={"data": [*data], "fn_index": function["id"], "session_hash": session}
    ).raise_for_status()
    with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        messages = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line)
        return next(message for message in messages if message["msg"] == "process_completed")


def gradio_folder() -> Path:
    import gradio.utils

    return Path(gradio.utils.get_upload_folder())


def test_a_window_that_lost_its_line_can_ask_again() -> None:
    assistant = ScriptedAssistant()
    assistant.endless = True
    with (
        serving(create_app(assistant, SyncQueue(assistant.index))) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        function = next(each for each in functions_with_inputs(client) if len(each["inputs"]) == 2)
        call = {"data": ["Un ?", None], "fn_index": function["id"], "session_hash": "window"}
        line = "/gradio_api/queue/data?session_hash=window"
        client.post("/gradio_api/queue/join", json=call).raise_for_status()
        with client.stream("GET", line) as stream:
            next(text for text in stream.iter_lines() if "encore" in text)
        assert assistant.closed.wait(10)
        assistant.endless = False

        client.post("/gradio_api/queue/join", json=call | {"data": ["Deux ?", None]}).raise_for_status()
        with client.stream("GET", line) as stream:
            next(text for text in stream.iter_lines() if "process_completed" in text)

    assert [question for question, _ in assistant.asked] == ["Un ?", "Deux ?"]


def test_the_files_of_gradio_are_in_a_folder_of_this_user_alone(client: httpx.Client) -> None:
    assert gradio_folder().stat().st_mode & 0o077 == 0


def test_a_taken_port_is_told_before_anything_is_loaded(client: httpx.Client) -> None:
    port = client.base_url.port
    assert port

    with pytest.raises(PortInUse, match=f"Port {port} is in use. Choose another: --port {port + 1}"):
        listen("127.0.0.1", port)
