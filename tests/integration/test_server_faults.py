"""What goes wrong around a server that runs: a real process with a real index, and a model that is faked."""

import json
import os
import re
import resource
import secrets
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from langchain_core.runnables import RunnableGenerator

from assistant import Assistant
from assistant.cite import Citer
from assistant.owner import Owner, owner_of
from assistant.settings import AssistantSettings
from assistant.types import Claim, Confidence, Waiting
from assistant.web.connections import allow_many
from assistant.web.conversations import Conversations
from index import IndexSettings, Progress, Stop, StoreUnavailable, SyncQueue, SyncReport
from index.build import open_or_create, own
from tests.fakes import paragraph_recipe
from tests.processes import Tell, obey_permissions, start

SLOWLY = "lentement"
"""A question with this word is answered when the test ends."""
CROWD = 1_000


def serve_real(tell: Tell, folder: Path, port: int) -> None:
    """Serve a real index, as `assistant serve` does; tell where, once it is ready."""
    from assistant.cli import stopped_by_sigterm
    from assistant.port import listen
    from assistant.web.app import serve

    obey_permissions()
    # As many systems have it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    recipe = paragraph_recipe("hashing", dimension=256)
    settings = AssistantSettings(
        chats_path=folder / "chats" / "chats.sqlite",
        api_keys=folder / "keys.json",
        uploads_path=folder / "uploads",
    )
    with stopped_by_sigterm(), own(IndexSettings(path=folder / "index"), recipe, open_or_create) as index:
        assistant = Assistant(
            index, index.retriever(3), RunnableGenerator(first_sentence), Citer(recipe.embeddings, index.text)
        )
        assistant.load()
        with listen("127.0.0.1", port) as listener, SyncQueue(index) as queue:
            tell(listener.getsockname()[1])
            serve(assistant, queue, listener, folder / "index", settings)


def first_sentence(tasks):
    for task in tasks:
        yield Confidence(1.0)
        while SLOWLY in task["question"]:
            yield Waiting()
            sleep(0.05)
        yield Claim(task["passages"][0].text, (1,))


@dataclass
class Server:
    """A server, and what it has."""

    folder: Path
    process: BaseProcess
    said: Connection
    port: int
    client: httpx.Client
    owner: Owner
    docs: Path

    def ask(self, word: str) -> str:
        """Ask about the document of a word; give what is answered."""
        answer = self.client.post("/api/ask", json={"question": f"Où est {word} ?"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["answer"])

    def sync(self, on_step: Callable[[Any], None] = lambda _: None) -> SyncReport:
        return self.owner.sync([self.docs], on_step, Stop())

    def add(self, word: str) -> None:
        (self.docs / f"{word}.txt").write_text(f"La ferme {word} est sur la colline {word}.", "utf-8")


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[Server]:
    process, said = start(serve_real, folder, port)
    try:
        assert said.poll(240)
        port = said.recv()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=240) as client:
            while not is_ready(client):
                process.join(0.05)
                assert process.is_alive()
            owner = owner_of(folder / "index")
            assert owner
            yield Server(folder, process, said, port, client, owner, folder / "docs")
    finally:
        process.kill()
        process.join()


def is_ready(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/api/ready").is_success
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "docs").mkdir()
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Server]:
    with served(folder) as server:
        for word in ("avoine", "orge", "seigle"):
            server.add(word)
        server.sync()
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server; a test leaves it as it was."""
    assert running.ask("avoine") == "La ferme avoine est sur la colline avoine. [1]"
    return running


@dataclass
class Window:
    """The chat page, as a browser speaks with it."""

    server: Server
    place: dict[str, str] = field(
        default_factory=lambda: {
            "key": secrets.token_hex(32),
            "conversation": secrets.token_hex(16),
            "language": "en",
        }
    )

    def ask(self, question: str, begun: Callable[[], None] = lambda: None) -> str:
        """Ask; give what the page shows in the end. begun: called when the question stands on the page."""
        client, session = self.server.client, secrets.token_hex(6)
        dependencies = client.get("/config").json()["dependencies"]
        [function] = [each["id"] for each in dependencies if len(each["inputs"]) == 2]
        call = {"data": [question, json.dumps(self.place)], "fn_index": function, "session_hash": session}
        client.post("/gradio_api/queue/join", json=call, headers=self._visitor()).raise_for_status()
        shown = ""
        with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                event = json.loads(line.removeprefix("data:") or "{}")
                if event.get("msg") == "process_generating":
                    begun()
                if event.get("msg") == "process_completed":
                    assert event["success"], event
                    shown = json.dumps(event["output"]["data"], ensure_ascii=False)
        return shown

    def rate(self, comment: str) -> httpx.Response:
        address = f"/conversations/{self.place['conversation']}/turns/1/opinion"
        headers = {"x-conversation-key": self.place["key"]}
        return self.server.client.post(address, json={"good": True, "comment": comment}, headers=headers)

    def kept(self) -> str:
        """Give what the server has kept of the conversation."""
        address = f"/conversations/{self.place['conversation']}/markdown"
        return self.server.client.get(address, headers={"x-conversation-key": self.place["key"]}).text

    def _visitor(self) -> dict[str, str]:
        client = self.server.client
        token = client.post("/api/token", json={}, headers={"origin": str(client.base_url).rstrip("/")}).json()["token"]
        return {"authorization": f"Bearer {token}"}


def test_a_thousand_connections_that_ask_nothing_hold_up_nobody_and_are_cut(server: Server) -> None:
    """Most send nothing; some begin a request, a body, or go on with one that was refused, a byte now and then."""
    allow_many()
    post, size = b"POST /api/ask HTTP/1.1\r\nHost: %s\r\n", b"Content-Length: 999\r\n\r\n"
    beginnings = {
        b"G": b"x",
        b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n": b"X-Y: z\r\n",
        post % b"127.0.0.1" + b"Content-Type: application/json\r\n" + size: b" ",
        post % b"elsewhere" + size: b" ",
    }
    waiting = select.poll()
    crowd: dict[int, tuple[socket.socket, bytes]] = {}
    begun = monotonic()
    for number in range(CROWD):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        head, more = list(beginnings.items())[number % 4] if number >= CROWD - 40 else (b"", b"")
        connection.sendall(head)
        crowd[connection.fileno()] = connection, more
        waiting.register(connection, select.POLLIN)

    assert server.ask("orge") == "La ferme orge est sur la colline orge. [1]"
    answered_after = monotonic() - begun

    while crowd and monotonic() < begun + 120:
        for descriptor, _ in waiting.poll(500):
            connection, _ = crowd[descriptor]
            if is_over(connection):
                waiting.unregister(descriptor)
                connection.close()
                del crowd[descriptor]
        for connection, more in crowd.values():
            with suppress(OSError):
                connection.sendall(more)
    print(f"answered after {answered_after:.1f} s, all {CROWD} cut after {monotonic() - begun:.1f} s")
    assert not crowd
    assert server.ask("orge")


def is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except OSError:
        return True


def test_an_index_folder_that_goes_away_is_told_and_answers_again_once_it_is_back(server: Server) -> None:
    index, away = server.folder / "index", server.folder / "away"
    server.add("froment")
    index.rename(away)
    try:
        refused = server.client.post("/api/ask", json={"question": "Où est avoine ?"})
        page = Window(server).ask("Où est avoine ?")
        with pytest.raises(StoreUnavailable, match="is gone, or another is in its place"):
            server.sync()
        health, ready = server.client.get("/api/health"), server.client.get("/api/ready")
    finally:
        away.rename(index)

    said = {"type": "StoreUnavailable", "message": "The documents cannot be searched. The log of the server says more."}
    assert (refused.status_code, refused.json()) == (503, {"error": said})
    assert "Something went wrong" in page
    assert (health.status_code, health.json()["documents"]) == (200, None)
    assert ready.status_code == 503
    assert server.ask("orge") == "La ferme orge est sur la colline orge. [1]"
    assert server.sync().added == 1
    assert server.ask("froment") == "La ferme froment est sur la colline froment. [1]"


def noise(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\xa5" * file.stat().st_size)


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [noise, halve, Path.unlink])
def test_vectors_and_words_that_are_damaged_under_a_running_server_are_made_again(
    server: Server, damage: Callable[[Path], None]
) -> None:
    for name in ("vectors/chroma.sqlite3", "lexical/*.idx", "lexical/*.term"):
        file = next((server.folder / "index").glob(name))
        damage(file)

        assert any(fault.part == file.parent.name for fault in server.owner.check())
        for word in ("avoine", "orge", "seigle"):
            assert server.ask(word) == f"La ferme {word} est sur la colline {word}. [1]"
        server.sync()
        assert server.owner.check() == []


@pytest.mark.parametrize("damage", [noise, halve])
def test_a_catalog_that_is_damaged_under_a_running_server_is_told_and_what_was_said_is_kept(
    server: Server, damage: Callable[[Path], None]
) -> None:
    window = Window(server)
    window.ask("Où est avoine ?")
    assert window.rate(damage.__name__).status_code == 200
    catalog = server.folder / "index" / "catalog.sqlite"
    whole = catalog.read_bytes()
    damage(catalog)
    try:
        asked = server.client.post("/api/ask", json={"question": "Où est orge ?"})
        said = [fault.says for fault in server.owner.check() if fault.part == catalog.name]
    finally:
        with catalog.open("r+b") as file:
            file.write(whole)
            file.truncate()

    assert re.search("not a database|damaged|malformed", said[0])
    right = asked.status_code == 200 and asked.json()["answer"] == "La ferme orge est sur la colline orge. [1]"
    assert right or (asked.status_code, asked.json()["error"]["type"]) == (503, "StoreUnavailable")
    assert comments(server)[-1] == damage.__name__
    assert "La ferme avoine est sur la colline avoine. [1]" in window.kept()
    assert server.ask("orge") == "La ferme orge est sur la colline orge. [1]"


def test_an_index_folder_that_becomes_read_only_answers_on_and_says_so_to_a_sync(server: Server) -> None:
    server.add("maïs")
    paths = [server.folder / "index", *(server.folder / "index").rglob("*")]
    modes = {path: path.stat().st_mode for path in paths if path.exists()}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            server.sync()
        assert server.ask("orge") == "La ferme orge est sur la colline orge. [1]"
    finally:
        for path, mode in modes.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)

    server.sync()
    assert server.ask("maïs") == "La ferme maïs est sur la colline maïs. [1]"


def test_on_a_full_disk_questions_are_answered_and_what_is_not_kept_is_not_called_kept(server: Server) -> None:
    window = Window(server)
    others = set(comments(server))
    window.ask("Où est avoine ?")
    assert window.rate("before").status_code == 200
    server.add("sarrasin")
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        assert server.ask("orge") == "La ferme orge est sur la colline orge. [1]"
        shown = window.ask("Où est orge ?")
        rated = window.rate("during")
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            server.sync()
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    assert "colline" in shown
    assert "This conversation cannot be kept" in shown
    assert (rated.status_code, rated.json()["error"]["type"]) == (503, "ConversationsUnavailable")
    assert {*comments(server)} - others == {"before"}

    assert "cannot be kept" not in window.ask("Où est seigle ?")
    assert window.rate("after").status_code == 200
    assert {*comments(server)} - others == {"after"}
    assert window.kept().count("## ") == 3
    server.sync()
    assert server.ask("sarrasin") == "La ferme sarrasin est sur la colline sarrasin. [1]"


def comments(server: Server) -> list[str]:
    return [opinion.comment for opinion in Conversations(server.folder / "chats" / "chats.sqlite").opinions().values()]


def test_what_a_killed_server_had_acknowledged_is_there_when_it_runs_again(server: Server) -> None:
    """It is killed while it answers, syncs and takes an opinion."""
    window, other = Window(server), Window(server)
    window.ask("Où est avoine ?")
    rated: list[str] = []
    indexed: list[str] = []
    answering = threading.Event()

    def rate() -> None:
        with suppress(httpx.TransportError):
            while window.rate(f"{len(rated)}").status_code == 200:
                rated.append(f"{len(rated)}")

    def ask() -> None:
        with suppress(httpx.TransportError):
            other.ask(f"Où est avoine, {SLOWLY} ?", answering.set)

    def sync() -> None:
        for number in range(60):
            server.add(f"champ{number:02}")
        before = 0

        def on_step(step: Any) -> None:
            nonlocal before
            if isinstance(step, Progress) and step.documents > before:
                before = step.documents
                indexed.append(Path(step.path).stem)

        with suppress(Exception):
            server.sync(on_step)

    threads = [threading.Thread(target=work) for work in (rate, ask, sync)]
    for thread in threads:
        thread.start()
    assert answering.wait(60)
    while not (len(rated) > 3 and indexed):
        sleep(0.01)
    os.kill(server.process.pid or 0, signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "nobody waits for a server that is gone"

    with served(server.folder, server.port) as again:
        print(f"acknowledged: {len(rated)} opinions, {len(indexed)} documents")
        window.server = other.server = again
        assert int(comments(again)[-1]) >= int(rated[-1])
        assert "La ferme avoine est sur la colline avoine. [1]" in window.kept()
        assert f"## Où est avoine, {SLOWLY} ?" in other.kept()
        for word in {*indexed, "avoine"}:
            assert again.ask(word) == f"La ferme {word} est sur la colline {word}. [1]"
        report = again.sync()
        assert report.indexed == len(list(again.docs.iterdir()))
