"""Measures whether a server's memory grows over a long run.

    python -m tests.evaluation.soak FOLDER [--questions 5000] [--syncs 200] [--minutes 45]

FOLDER holds corpus.jsonl and questions.jsonl. A real `assistant serve`, with the settings of the environment but for
where it keeps things, is asked by several people at once: over the API, whole, streamed and after a conversation, and
on the chat page, with windows that are opened and closed, and thumbs. Meanwhile files of its folder are changed, added
and deleted, and synced or removed as commands of the owner do it. Printed are, one JSON object a line, what the process
holds as it goes on, and the verdict: how much its memory has grown since it was warm. The exit status is 1 where that
is too much.
"""

import argparse
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from assistant.evaluation.data import Record, read_questions, read_records
from assistant.owner import Owner, owner_of
from index import Stop

DOCUMENTS = 60
"""How many there are at each time."""
DOCUMENT_CHARACTERS = 1_000
"""Short ones, so that the time goes into questions and syncs and not into embedding."""
PEOPLE = 4
"""How many ask at once."""
SAMPLES = 50
"""How many times it is looked, over the whole run."""
WARM = 0.2
"""The share of the run after which everything is loaded and has been used."""
COMPARED = 0.2
"""The share of the samples after that, at their beginning and their end, whose medians are compared."""
GROWTH = 0.05
"""How much the memory may grow from the one to the other."""
LOG_CHARACTERS = 5_000
"""Of the server's log, shown where something went wrong."""
TURNS = 3
"""Questions of a conversation on the page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=5_000)
    parser.add_argument("--syncs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which it ends, whatever was done")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        sys.exit(soak(asked.folder, Path(folder), asked.questions, asked.syncs, asked.minutes))


def soak(data: Path, place: Path, questions: int, syncs: int, minutes: float) -> int:
    """Ask and sync in rounds, each a sync while some questions are asked; give the exit status."""
    asked = [question.text for question in read_questions(data / "questions.jsonl")]
    shelf = Shelf(place / "docs", read_records(data))
    in_round = max(PEOPLE, questions // syncs)
    deadline = time.monotonic() + 60 * minutes
    samples: list[dict[str, float]] = []
    with served(place) as (process, url), ThreadPoolExecutor(PEOPLE) as people:
        owner = owner_of(place / "index")
        assert owner
        owner.sync([shelf.folder], lambda _: None, Stop())
        visitors = [Visitor(url, asked, seed) for seed in range(PEOPLE)]
        begun, asked_in_all = time.monotonic(), 0
        for turn in range(1, syncs + 1):
            asking = people.map(Visitor.ask, visitors, shares(in_round))
            shelf.change(owner)
            asked_in_all += sum(asking)
            if turn % max(1, syncs // SAMPLES) == 0:
                done = {"questions": asked_in_all, "syncs": turn, "seconds": round(time.monotonic() - begun)}
                samples.append(done | held(process.pid))
                tell(samples[-1])
            if time.monotonic() > deadline:
                break
        for visitor in visitors:
            visitor.leave()
    return verdict(samples)


def shares(questions: int) -> list[int]:
    """Part questions among people."""
    return [len(range(person, questions, PEOPLE)) for person in range(PEOPLE)]


def verdict(samples: Sequence[dict[str, float]]) -> int:
    warm = samples[int(WARM * len(samples)) :]
    compared = max(1, int(COMPARED * len(warm)))
    before, after = (median(one["rss_mb"] for one in some) for some in (warm[:compared], warm[-compared:]))
    growth = after / before - 1
    last = {name: samples[-1][name] for name in ("questions", "syncs")}
    tell(last | {"warm_mb": before, "last_mb": after, "growth": round(growth, 4), "good": growth < GROWTH})
    return int(growth >= GROWTH)


def tell(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


def held(process: int) -> dict[str, float]:
    """Give what a process holds: memory, and how much of it is not of files, in megabytes; open files; threads."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines())
    rss, anonymous = (round(int(status[name].split()[0]) / 1024, 1) for name in ("VmRSS", "RssAnon"))
    files = len([*Path(f"/proc/{process}/fd").iterdir()])
    return {"rss_mb": rss, "anonymous_mb": anonymous, "files": files, "threads": int(status["Threads"])}


@contextmanager
def served(place: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Serve an empty index; give the process and its address once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    paths = {
        "INDEX_PATH": place / "index",
        "ASSISTANT_CHATS_PATH": place / "chats.sqlite",
        "ASSISTANT_API_KEYS": place / "keys.json",
        "ASSISTANT_UPLOADS_PATH": place / "uploads",
    }
    environment = os.environ | {name: str(path) for name, path in paths.items()}
    with (place / "log").open("wb") as log:
        command = [sys.executable, "-m", "assistant", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        while not ready(url):
            assert process.poll() is None, (place / "log").read_text("utf-8")
            time.sleep(0.2)
        yield process, url
    except BaseException:
        sys.stderr.write((place / "log").read_text("utf-8")[-LOG_CHARACTERS:])
        raise
    finally:
        process.terminate()
        process.wait(60)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/ready", timeout=60).is_success
    except httpx.TransportError:
        return False


class Shelf:
    """A folder of documents that change, come and go, as many as there were."""

    def __init__(self, folder: Path, records: Sequence[Record]) -> None:
        self.folder = folder
        self._records = records
        self._chance = random.Random(0)
        self._numbers = count()
        folder.mkdir()
        for _ in range(DOCUMENTS):
            self._write(self._new())

    def change(self, owner: Owner) -> None:
        """Change three documents, add one, and take one away: of ten, nine by a sync and one for good."""
        files = sorted(self.folder.iterdir())
        *changed, gone = self._chance.sample(files, 4)
        for file in [*changed, self._new()]:
            self._write(file)
        gone.unlink()
        if self._chance.random() < 0.1:
            owner.remove([str(gone)], lambda _: None, Stop())
        report = owner.sync([self.folder], lambda _: None, Stop())
        assert not report.unreadable
        assert report.indexed == DOCUMENTS, report

    def _new(self) -> Path:
        return self.folder / f"{next(self._numbers):06}.txt"

    def _write(self, file: Path) -> None:
        """Write what never stood there before."""
        text = self._chance.choice(self._records).text[:DOCUMENT_CHARACTERS]
        file.write_text(f"{text}\n\nVersion {secrets.token_hex(4)}.", "utf-8")


class Visitor:
    """Asks one question after the other, in every way."""

    def __init__(self, url: str, questions: Sequence[str], seed: int) -> None:
        self._client = httpx.Client(base_url=url, timeout=300)
        self._questions = questions
        self._chance = random.Random(seed)
        self._ways: list[Callable[[str], None]] = [self._whole, self._streamed, self._going_on, self._on_the_page]
        self._window: Window | None = None

    def ask(self, times: int) -> int:
        """Ask so many questions; give how many."""
        for _ in range(times):
            way = self._chance.choice(self._ways)
            way(self._chance.choice(self._questions))
        return times

    def leave(self) -> None:
        if self._window:
            self._window.close()
        self._client.close()

    def _whole(self, question: str) -> None:
        answer = self._client.post("/api/ask", json={"question": question}).raise_for_status().json()
        assert answer["question"] == question

    def _going_on(self, question: str) -> None:
        before = self._chance.choice(self._questions)
        history = [{"role": "user", "content": before}, {"role": "assistant", "content": "Les documents le disent."}]
        self._client.post("/api/ask", json={"question": question, "history": history}).raise_for_status()

    def _streamed(self, question: str) -> None:
        with self._client.stream("POST", "/api/ask", json={"question": question, "stream": True}) as response:
            assert "event: answer" in response.iter_lines()

    def _on_the_page(self, question: str) -> None:
        if self._window and self._window.turns == TURNS:
            self._window.rate()
            self._window.close()
            self._window = None
        self._window = self._window or Window(self._client)
        self._window.ask(question)


class Window:
    """What a browser does with the page, over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._session = secrets.token_hex(6)
        self._place = {"key": secrets.token_hex(32), "conversation": secrets.token_hex(16), "language": "fr"}
        self.turns = 0
        client.get("/").raise_for_status()
        dependencies = client.get("/config").raise_for_status().json()["dependencies"]
        [self._ask] = [each["id"] for each in dependencies if len(each["inputs"]) == 2]
        origin = str(client.base_url).rstrip("/")
        token = client.post("/api/token", json={}, headers={"origin": origin}).raise_for_status().json()["token"]
        self._headers = {"authorization": f"Bearer {token}"}
        # As long as this is open, the page is.
        self._open = client.send(client.build_request("GET", f"/gradio_api/heartbeat/{self._session}"), stream=True)

    def ask(self, question: str) -> None:
        data = [question, json.dumps(self._place)]
        call = {"data": data, "fn_index": self._ask, "session_hash": self._session}
        self._client.post("/gradio_api/queue/join", json=call, headers=self._headers).raise_for_status()
        with self._client.stream("GET", f"/gradio_api/queue/data?session_hash={self._session}") as stream:
            [last] = [line for line in stream.iter_lines() if "process_completed" in line]
        assert json.loads(last.removeprefix("data:"))["success"]
        self.turns += 1

    def rate(self) -> None:
        address = f"/conversations/{self._place['conversation']}/turns/1/opinion"
        headers = {"x-conversation-key": self._place["key"]}
        rated = self._client.post(address, json={"good": True}, headers=headers)
        assert rated.is_success or rated.status_code == 404  # of what was declined

    def close(self) -> None:
        self._open.close()


if __name__ == "__main__":
    main()
