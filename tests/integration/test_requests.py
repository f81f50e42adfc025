"""The id of each request, in its response and in what is logged of it."""

import json
import logging
from collections.abc import Iterator
from threading import Condition

import httpx
import pytest

from assistant.logs import TextFormatter
from assistant.web.app import create_app
from assistant.web.proxy import Proxy
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

ID = "of-the-proxy.1"
ASKED = {"question": "Où est le secret-7431 ?"}


class Logging(ScriptedAssistant):
    """Logs a line while it answers, as the real one does."""

    def stream(self, *asked):
        logging.getLogger("assistant.test").warning("Answering")
        yield from super().stream(*asked)


@pytest.fixture(scope="module")
def assistant() -> Logging:
    return Logging()


@pytest.fixture(scope="module")
def client(assistant: Logging) -> Iterator[httpx.Client]:
    app = create_app(assistant, SyncQueue(assistant.index), proxy=Proxy(("127.0.0.1",)))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


class Lines(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(TextFormatter())
        self.written: list[str] = []
        self._changed = Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.written.append(self.format(record))
            self._changed.notify_all()

    def of(self, id: str, count: int) -> list[str]:
        """Wait for so many lines of a request."""

        def found() -> list[str]:
            return [line.partition("] ")[2] for line in self.written if f"[{id}]" in line]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, 60)
            return found()


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, lines = logging.getLogger("assistant"), Lines()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(before)


@pytest.mark.parametrize("stream", [False, True])
def test_every_line_of_a_request_has_the_id_that_its_response_names(
    client: httpx.Client, lines: Lines, stream: bool
) -> None:
    response = client.post("/api/ask", json=ASKED | {"stream": stream})

    answering, ended = lines.of(response.headers["x-request-id"], 2)
    assert answering == "Answering"
    assert ended.startswith("POST /api/ask: 200 in ")
    assert not any("secret-7431" in line for line in lines.written)


def test_errors_have_it_too(client: httpx.Client, lines: Lines, assistant: Logging) -> None:
    assistant.raises = RuntimeError("unforeseen")
    try:
        broken = client.post("/api/ask", json=ASKED)
    finally:
        assistant.raises = None
    # On another connection: the server closes the one on which something unforeseen happened.
    refused = httpx.post(f"{client.base_url}/api/ask", content="{", headers={"content-type": "text/plain"})

    assert (broken.status_code, refused.status_code) == (500, 415)
    assert len({broken.headers["x-request-id"], refused.headers["x-request-id"]}) == 2
    assert lines.of(refused.headers["x-request-id"], 1)[0].startswith("POST /api/ask: 415")


def test_an_answer_on_the_page_is_logged_with_the_id_of_its_call(
    client: httpx.Client, lines: Lines, assistant: Logging
) -> None:
    dependencies = client.get("/config").json()["dependencies"]
    function = next(each for each in dependencies if len(each["inputs"]) == 2)
    assistant.raises = RuntimeError("unforeseen")
    try:
        call = {"data": ["Où ?", None], "fn_index": function["id"], "session_hash": "window"}
        joined = client.post("/gradio_api/queue/join", json=call, headers=visitor(client)).raise_for_status()
        with client.stream("GET", "/gradio_api/queue/data?session_hash=window") as stream:
            assert any("process_completed" in line for line in stream.iter_lines())
    finally:
        assistant.raises = None

    told = lines.of(joined.headers["x-request-id"], 2)
    assert told[0] == "Answering"
    assert told[1].startswith("A question was not answered")


def visitor(client: httpx.Client) -> dict[str, str]:
    origin = str(client.base_url).rstrip("/")
    token = client.post("/api/token", json={}, headers={"origin": origin}).json()["token"]
    return {"authorization": f"Bearer {token}"}


def test_the_id_of_a_trusted_proxy_is_kept_where_it_is_well_formed(client: httpx.Client) -> None:
    def id_given(id: bytes) -> str:
        return client.get("/api/health", headers={"x-request-id": id}).headers["x-request-id"]

    assert id_given(ID.encode()) == ID
    for bad in (b"short", b"a" * 65, b"two words", b"tab\tin-it", b'"quoted-id"', b"\xe9" * 8):
        assert id_given(bad) not in {bad.decode("latin-1"), ""}


def test_of_anybody_else_it_is_not(assistant: Logging) -> None:
    app = create_app(assistant, SyncQueue(assistant.index), proxy=Proxy(("192.0.2.0/24", "::1")))
    with serving(app) as address:
        response = httpx.get(f"{address}/api/health", headers={"x-request-id": ID}, timeout=60)

    assert response.headers["x-request-id"] != ID
    assert json.loads(response.text)["status"] == "ok"
