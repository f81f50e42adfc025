"""Whoever reads or sends too slowly is cut, and holds no place."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from assistant.web.app import create_app
from assistant.web.connections import Patient
from assistant.web.security import unless_still
from assistant.web.streams import Places
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.threads import alone

LONG = "Une phrase. " * 1_000_000
"""More than the buffers of a connection take."""


class Impatient(Patient):
    """Cuts those who read nothing after a moment."""

    reader_seconds = 0.5
    cut = threading.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.cut.set()


@pytest.fixture(scope="module")
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture(scope="module")
def places() -> Places:
    return Places(at_once=1)


@pytest.fixture(scope="module")
def client(assistant: ScriptedAssistant, places: Places) -> Iterator[httpx.Client]:
    app = create_app(assistant, SyncQueue(assistant.index), places=places)
    with serving(app, Impatient) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.mark.parametrize("stream", [True, False])
def test_a_reader_that_takes_nothing_is_cut_and_holds_no_place(
    client: httpx.Client, assistant: ScriptedAssistant, places: Places, stream: bool
) -> None:
    assistant.begin({"long": LONG})
    Impatient.cut.clear()
    connection = reading_nothing(client, {"question": "Où ?", "stream": stream})

    assert assistant.closed.wait(30)
    assistant.begin()
    answered = client.post("/api/ask", json={"question": "Où ?"})

    assert answered.status_code == 200, "the one place is free"
    assert places.empty
    assert Impatient.cut.wait(30)
    assert taken(connection) < len(LONG), "it was cut in the middle"


def taken(connection: socket.socket) -> int:
    """Read what there is up to the end of the connection; give how much."""
    bytes_taken = 0
    with connection, suppress(ConnectionResetError):
        while block := connection.recv(1 << 20):
            bytes_taken += len(block)
    return bytes_taken


def reading_nothing(client: httpx.Client, body: dict[str, object]) -> socket.socket:
    """Ask on a connection of which nothing is read."""
    content = json.dumps(body).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect((client.base_url.host, client.base_url.port))
    head = (
        f"POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    connection.sendall(f"{head}\r\n\r\n".encode() + content)
    return connection


def test_a_file_that_stands_still_while_it_is_sent_counts_as_broken_off() -> None:
    pieces = [{"type": "http.request", "body": b"a", "more_body": True}]

    async def send_one_piece():
        if not pieces:
            await asyncio.Event().wait()
        return pieces.pop()

    async def receive():
        received = unless_still(send_one_piece, seconds=0.05)
        return [await received(), await received()]

    first, second = alone(lambda: asyncio.run(receive()))

    assert first["body"] == b"a"
    assert second == {"type": "http.disconnect"}
