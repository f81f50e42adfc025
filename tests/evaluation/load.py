"""Measures a server under load: people who ask at once, each the next question as soon as the last is answered.

    python -m tests.evaluation.load FOLDER … [--people 1 10 50 100] [--seconds 120] [--chunks 100000]
        [--real-chunks 1500] [--cache FOLDER]

FOLDER holds a corpus.jsonl and a questions.jsonl. About 1,500 chunks of the corpora are embedded by the real model; the
rest of the index are chunks of random words, with vectors of chance among those of real ones. It is kept in the cache:
to measure a second time builds nothing. `assistant serve` runs as a process of its own, on loopback, with the settings
of the environment. Printed are, one JSON object a line, and at the end as a table:

- alone: what one loop without a server does in a second, and its median seconds a question, by turns on the same
  questions: `bare`, the question embedded and one query of Chroma; `search`, the retriever; `ask`, the whole answer,
  for which up to eight passages are read;
- load: for each number of people what they got. The seconds of an answer begin with the request that was answered, but
  `longest_wait_seconds` with the question: who is refused (503) asks again after the time that Retry-After names;
- search: the retriever over HTTP, by ten people, on the route by which the owner's own programs ask;
- compared: what share of these loops ten people get.

No two people ask the same question at once, so that the question, which each answer holds, is a marker of its own.
Answers are compared: whoever asks what somebody asked before must get the same. The server's own count of answers is
compared with what arrived. Whatever is lost, mixed up or an error ends the program with status 1.

Whatever else the machine does falsifies it: run it alone. The people are on the same machine, and take a part of it.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import chain, cycle, zip_longest
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import platformdirs
from prometheus_client.parser import text_string_to_metric_families

from assistant.build import open_assistant
from assistant.evaluation.corpus import corpus_key, default_cache, folder_settings, kept_index
from assistant.evaluation.data import Record, read_questions
from assistant.owner import Owner, owner_of
from assistant.settings import AssistantSettings
from index import open_index
from index.build import open_matching, own, recipe
from tests.evaluation.bench import RandomEmbeddings, by_turns, random_recipe, synced, tell, words_of, write_random
from tests.processes import Tell, run

PASSAGES = 8
CHUNK_CHARACTERS = 700
"""About as many a real chunk has."""
DOCUMENT_CHARACTERS = 5_000
"""Longer documents are left out, so that there are many."""
PATIENCE_SECONDS = 300
"""Nothing may take longer than this: a question waits a minute at the most, and a busy machine begins slowly."""
COMPARED_PEOPLE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 10, 50, 100])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--real-chunks", type=int, default=1_500)
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("sourcier") / "load")
    asked = parser.parse_args()
    records = real_records(asked.folders, asked.real_chunks)
    questions = questions_about(records, asked.folders)
    kept = kept_load_index(records, asked.chunks, asked.cache)
    with TemporaryDirectory() as folder:
        # Whoever opens an index may write to it: the kept one stays as it is.
        index = shutil.copytree(kept, Path(folder) / "kept")
        [by_itself] = run(alone, index, questions, asked.seconds)
        tell({"measured": "alone"} | by_itself)
        with server(index, Path(folder)) as (owner, process):
            lines, search = asyncio.run(measured(owner, process, questions, asked.people, asked.seconds))
    ends = compared(by_itself, lines, search)
    tell({"measured": "compared"} | ends)
    print(f"\n{table(lines)}\n")
    faults = ("lost", "mixed_up", "unlike_before", "errors")
    if wrong := [line for line in lines if any(line[fault] for fault in faults)]:
        sys.exit(
            f"Lost, mixed up, unlike before or failed with {', '.join(str(line['people']) for line in wrong)} people"
        )


def real_records(folders: Sequence[Path], chunks: int) -> list[Record]:
    """Give documents of all corpora by turns, up to so many chunks."""
    chosen: list[Record] = []
    room = chunks * CHUNK_CHARACTERS
    for record in by_turns(folders):
        if len(record.text) <= DOCUMENT_CHARACTERS and room > 0:
            chosen.append(record)
            room -= len(record.text)
    return chosen


def questions_about(records: Sequence[Record], folders: Sequence[Path]) -> list[str]:
    """Give the questions about these documents, those of all data sets by turns, in the order of chance."""
    ids = {record.id for record in records}
    groups = []
    for folder in folders:
        found = [one.text.strip() for one in read_questions(folder / "questions.jsonl") if one.document in ids]
        random.Random(0).shuffle(found)
        groups.append(found)
    return list(dict.fromkeys(question for question in chain.from_iterable(zip_longest(*groups)) if question))


def kept_load_index(records: Sequence[Record], chunks: int, cache: Path) -> Path:
    """Give the folder of an index of these documents and of as many chunks of chance as it takes; made if need be."""
    folder = cache / f"{corpus_key(records)}-{chunks}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print("Building the index: some minutes, once", file=sys.stderr)
        with TemporaryDirectory(dir=cache) as scratch:
            opened, _ = kept_index(records, default_cache(), lambda _: None)
            with opened:
                _, real = opened.counts()
                vectors = np.stack([*opened.catalog.vectors(real).values()])
            made = shutil.copytree(opened.folder, Path(scratch) / "index")
            docs = Path(scratch) / "docs"
            write_random(docs, chunks - real, words_of([record.text for record in records]))
            settings = folder_settings(made)
            filling = random_recipe(recipe(settings).name, RandomEmbeddings(vectors))
            with own(settings, filling, open_matching) as index:
                synced(index, docs)
            made.rename(folder)
    return folder


def alone(tell: Tell, folder: Path, questions: list[str], seconds: float) -> None:
    """Do what a server does in a loop without one, for so many seconds in all, and tell how often in a second."""
    with open_index(folder_settings(folder)) as index:
        assistant = open_assistant(index, AssistantSettings())
        assistant.load()
        retriever, (vectors, _) = index.retriever(PASSAGES), index._followers
        ways = {
            "bare": lambda question: vectors.search(index.embeddings.embed_query(question), PASSAGES),
            "search": retriever.search,
            "ask": assistant.ask,
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for question in cycle(questions):
            for name, way in ways.items():
                began = time.perf_counter()
                way(question)
                took[name].append(time.perf_counter() - began)
            if sum(map(sum, took.values())) > seconds:
                break
        medians = {name: median(own) for name, own in took.items()}
        tell(
            {"questions": len(took["ask"]), "ask_p50_of_bare": round(medians["ask"] / medians["bare"], 2)}
            | {f"{name}_p50_seconds": round(own, 4) for name, own in medians.items()}
            | {f"{name}_per_second": round(len(own) / sum(own), 2) for name, own in took.items()}
        )


@contextmanager
def server(index: Path, scratch: Path) -> Iterator[tuple[Owner, int]]:
    """Run `assistant serve` over an index; give where it is and its process id once it is ready."""
    own_files = {
        "INDEX_PATH": str(index),
        "ASSISTANT_CHATS_PATH": str(scratch / "chats.sqlite"),
        "ASSISTANT_API_KEYS": str(scratch / "keys.json"),
        "ASSISTANT_UPLOADS": "none",
    }
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_KEY"))}
    command = [sys.executable, "-m", "assistant", "serve", "--port", str(free_port())]
    log = scratch / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=scratch, env=environment | own_files, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ((owner := owner_of(index)) and is_ready(owner)):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.2)
        yield owner, process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, log.read_text("utf-8")
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_ready(owner: Owner) -> bool:
    try:
        return httpx.get(f"{owner.url}/api/ready").is_success
    except httpx.TransportError:
        return False


async def measured(
    owner: Owner, process: int, questions: Sequence[str], groups: Sequence[int], seconds: float
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let each group of people ask; and ten of them search."""
    lines = []
    first: dict[str, Any] = {}
    async with asking(owner.url) as client:
        for people in groups:
            lines.append({"measured": "load"} | await load(client, process, questions, seconds, Seen(people, first)))
            tell(lines[-1])
    headers = {"Authorization": f"Bearer {owner._secret}"}
    async with asking(owner.url, headers=headers) as client:
        search = {"measured": "search"} | await searches(client, questions, seconds)
    tell(search)
    return lines, search


@asynccontextmanager
async def asking(url: str, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=PATIENCE_SECONDS, trust_env=False, **more
    ) as client:
        yield client


@dataclass
class Seen:
    """What people saw."""

    people: int
    first: dict[str, Any]
    """What each question was answered with, when it was asked first."""
    answers: list[float] = field(default_factory=list)
    """Seconds from the request that was answered to the answer."""
    waits: list[float] = field(default_factory=list)
    """Seconds from the question to its answer, or to giving up at the end."""
    answered_people: set[int] = field(default_factory=set)
    declined: int = 0
    refused: int = 0
    given_up: int = 0
    mixed_up: int = 0
    unlike_before: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def take(self, person: int, question: str, answer: dict[str, Any]) -> None:
        """Take an answer, and compare it with its question and with what that was answered before."""
        self.answered_people.add(person)
        self.declined += not answer["answered"]
        said = answer["answer"], [(one["source"], one["start"], one["end"]) for one in answer["citations"]]
        self.mixed_up += answer["question"] != question
        self.unlike_before += self.first.setdefault(question, said) != said


async def load(
    client: httpx.AsyncClient, process: int, questions: Sequence[str], seconds: float, seen: Seen
) -> dict[str, Any]:
    """Let people ask for so long, and say what they saw."""
    assert len(questions) > seen.people, "two people would ask the same question at once"
    asked = cycle(questions)
    counted = await answers_counted(client)
    began = time.perf_counter()
    async with memory(process) as megabytes:
        everybody = (ask(person, client, asked, began + seconds, seen) for person in range(seen.people))
        await asyncio.gather(*everybody)
    took = time.perf_counter() - began
    return {
        "people": seen.people,
        "seconds": round(took, 1),
        "answers": len(seen.answers),
        "declined": seen.declined,
        "per_second": round(len(seen.answers) / took, 2),
        **percentiles(seen.answers),
        "longest_wait_seconds": round(max(seen.waits, default=0.0), 1),
        "refused": seen.refused,
        "given_up": seen.given_up,
        "people_without_answer": seen.people - len(seen.answered_people),
        "lost": await answers_counted(client) - counted - len(seen.answers),
        "mixed_up": seen.mixed_up,
        "unlike_before": seen.unlike_before,
        "errors": dict(seen.errors),
        "megabytes": round(max(megabytes)),
    }


async def ask(person: int, client: httpx.AsyncClient, questions: Iterator[str], until: float, seen: Seen) -> None:
    """Ask one question after the other; one that is refused again, when there is said to be room."""
    while time.perf_counter() < until:
        question = next(questions)
        began = time.perf_counter()
        while True:
            sent = time.perf_counter()
            try:
                response = await client.post("/api/ask", json={"question": question})
            except httpx.HTTPError as error:
                seen.errors[type(error).__name__] += 1
                break
            if response.status_code == 200:
                seen.answers.append(time.perf_counter() - sent)
                seen.take(person, question, response.json())
                break
            if response.status_code != 503 or "retry-after" not in response.headers:
                seen.errors[f"status {response.status_code}"] += 1
                break
            seen.refused += 1
            # People are no clocks: a little later than told, and not all at once.
            again = time.perf_counter() + float(response.headers["retry-after"]) * random.uniform(1.0, 1.2)
            await asyncio.sleep(max(0.0, min(again, until) - time.perf_counter()))
            if again > until:
                seen.given_up += 1
                break
        seen.waits.append(time.perf_counter() - began)


async def searches(client: httpx.AsyncClient, questions: Sequence[str], seconds: float) -> dict[str, Any]:
    """Let ten people search, one after the other, and say how long it took them."""
    asked, took, empty = cycle(questions), [], 0
    began = time.perf_counter()

    async def search() -> None:
        nonlocal empty
        while time.perf_counter() < began + seconds:
            query = {"query": next(asked), "limit": PASSAGES, "where": {}}
            sent = time.perf_counter()
            response = (await client.post("/owner/search", json=query)).raise_for_status()
            took.append(time.perf_counter() - sent)
            [line] = filter(None, response.text.splitlines())
            empty += not json.loads(line).get("Found", {}).get("passages")

    await asyncio.gather(*(search() for _ in range(COMPARED_PEOPLE)))
    per_second = round(len(took) / (time.perf_counter() - began), 2)
    return {"people": COMPARED_PEOPLE, "per_second": per_second, **percentiles(took), "without_passages": empty}


async def answers_counted(client: httpx.AsyncClient) -> int:
    """Say how many answers the server has made so far, once it makes none."""
    while True:
        told = (await client.get("/metrics")).raise_for_status().text
        found = {
            (sample.name, sample.labels.get("outcome")): int(sample.value)
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }
        if not found["sourcier_answering", None]:
            return sum(found["sourcier_questions_total", outcome] for outcome in ("answered", "declined"))


@asynccontextmanager
async def memory(process: int) -> AsyncIterator[list[float]]:
    """Give what memory a process holds, in megabytes, again and again until the block ends."""
    pages = Path(f"/proc/{process}/statm")
    held: list[float] = []

    async def look() -> None:
        while True:
            held.append(int(pages.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2)
            await asyncio.sleep(0.5)

    looking = asyncio.create_task(look())
    try:
        # Before anything else is begun, it has looked once.
        await asyncio.sleep(0)
        yield held
    finally:
        looking.cancel()


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return dict.fromkeys(("p50_seconds", "p95_seconds", "p99_seconds"))
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return {"p50_seconds": round(p50, 3), "p95_seconds": round(p95, 3), "p99_seconds": round(p99, 3)}


def compared(alone: dict[str, Any], lines: Sequence[dict[str, Any]], search: dict[str, Any]) -> dict[str, Any]:
    """Say what share of loops without a server ten people get."""
    ten = next((line["per_second"] for line in lines if line["people"] == COMPARED_PEOPLE), None)
    return {
        "people": COMPARED_PEOPLE,
        "search_of_bare": round(search["per_second"] / alone["bare_per_second"], 2),
        "search_of_search_alone": round(search["per_second"] / alone["search_per_second"], 2),
        "ask_of_bare": ten and round(ten / alone["bare_per_second"], 2),
        "ask_of_ask_alone": ten and round(ten / alone["ask_per_second"], 2),
    }


COLUMNS = {
    "people": "people",
    "per_second": "answers a second",
    "p50_seconds": "p50, s",
    "p95_seconds": "p95, s",
    "p99_seconds": "p99, s",
    "megabytes": "memory, MB",
    "refused": "refused (503)",
    "people_without_answer": "people without any answer",
    "errors": "errors",
}


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Write the lines as Markdown."""
    rows = [COLUMNS.values(), ["---:"] * len(COLUMNS)]
    rows += [
        [str(sum(line["errors"].values()) if name == "errors" else line[name]) for name in COLUMNS] for line in lines
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
