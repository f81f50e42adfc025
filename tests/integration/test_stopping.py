"""A server that is stopped: a real process with a real index, and answers that take as long as a test wants."""

import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import pytest

from index import IndexSettings, SyncQueue
from index.build import open_or_create, own
from tests import processes
from tests.browser.scripted import ScriptedAssistant
from tests.fakes import paragraph_recipe

QUESTION = {"question": "Quand fut signé l'armistice ?", "stream": True}


def serve_twice(tell: processes.Tell, folder: Path, resume: threading.Event) -> None:
    """Serve on a port, and once that was stopped again on the same; tell where, and of each end."""
    from assistant.cli import stopped_by_sigterm
    from assistant.port import listen
    from assistant.settings import AssistantSettings
    from assistant.web.app import serve

    assistant = ScriptedAssistant()
    assistant.hold, assistant.resume = True, resume
    settings = AssistantSettings(chats_days=0, api_keys=folder / "keys.json")
    recipe = paragraph_recipe("hashing", dimension=32)
    port = 0
    for _ in range(2):
        with stopped_by_sigterm(), own(IndexSettings(path=folder), recipe, open_or_create) as index:
            listener = listen("127.0.0.1", port)
            port = listener.getsockname()[1]
            tell(port)
            with SyncQueue(index) as queue:
                serve(assistant, queue, listener, folder, settings)
        tell(sorted({"owner", "server"} & {path.name for path in folder.iterdir()}))


def until_a_token(lines: Iterator[str]) -> None:
    assert any(line == "event: token" for line in lines)


def told(said: Connection) -> object:
    assert said.poll(240)
    return said.recv()


def test_sigterm_lets_answers_end_and_a_second_ctrl_c_does_not_wait_for_them(tmp_path: Path) -> None:
    resume = processes.forks.Event()
    process, said = processes.start(serve_twice, tmp_path / "index", resume)
    assert process.pid
    try:
        port = told(said)
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=240) as client,
            # What every open page holds, and never lets go.
            client.stream("GET", "/gradio_api/heartbeat/page") as page,
            client.stream("POST", "/api/ask", json=QUESTION) as answer,
        ):
            assert page.status_code == 200
            lines = answer.iter_lines()
            until_a_token(lines)
            os.kill(process.pid, signal.SIGTERM)
            refused_from_now_on(client)
            assert not said.poll(1.5), "longer than connections are let be"
            resume.set()

            assert "event: answer" in lines
            assert told(said) == [], "the index is closed, and nobody's"

        resume.clear()
        assert told(said) == port, "it serves again at once"
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=240) as client,
            client.stream("GET", "/gradio_api/heartbeat/page"),
            client.stream("POST", "/api/ask", json=QUESTION) as answer,
        ):
            until_a_token(answer.iter_lines())
            os.kill(process.pid, signal.SIGINT)
            refused_from_now_on(client)
            os.kill(process.pid, signal.SIGINT)

            assert told(said) == []
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()


def refused_from_now_on(client: httpx.Client) -> None:
    """Wait until no connection is taken any more."""
    with pytest.raises(httpx.ConnectError):
        while True:
            httpx.get(f"{client.base_url}/api/health", timeout=240)
