"""A sync that breaks off at any moment loses nothing that was acknowledged, and the next one comes to the same end.

The log (`pytest -s`) says where each kill struck. `make kills` kills forty.
"""

import logging
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
import tantivy

from index import IndexSettings
from index.build import open_or_create, own
from index.catalog import Catalog
from index.errors import IndexNotFound, StoreUnavailable
from index.sync import plan
from index.types import Progress
from tests.fakes import paragraph_recipe
from tests.processes import Tell, Telling, limit_files, listen, obey_permissions, run, start

KILLS = int(os.environ.get("KILLS", "0"))
"""How many there are at least; of each kind of moment there are two in any case, one of them in a first sync."""
SEED = 2026
LONG_SECONDS = 0.2
SENTENCES = 25
"""Of each document, each a chunk: together more than the 1,000 after which Chroma writes its HNSW files."""

recipe = paragraph_recipe("hashing", dimension=32)

Document = tuple[str, str, str, tuple[tuple[str, str, bytes], ...]]
"""Id, text and loader; and of each chunk id, text and vector."""


@dataclass(frozen=True)
class World:
    """A folder that changed after it was indexed; its index; the documents by path before and after a sync."""

    docs: Path
    index: Path
    before: Mapping[str, Document]
    after: Mapping[str, Document]
    end: Any
    """All that the three stores hold after a sync that nobody disturbs."""
    steps: Sequence[str]
    """What such a sync tells, message by message: see `step`."""
    pauses: Sequence[float]
    """How long it works after each, in seconds."""

    @property
    def weights(self) -> list[Sequence[float] | None]:
        """Where kills strike: after a message of each kind; after one like any other; rather where work takes long."""
        kinds = [[float(step == kind) for step in self.steps] for kind in dict.fromkeys(self.steps)]
        return [*kinds, None, [min(pause, LONG_SECONDS) for pause in self.pauses]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Index thirty documents; then change, delete, move, copy and add some."""
    folder = tmp_path_factory.mktemp("world")
    docs, index, undisturbed = folder / "docs", folder / "index", folder / "undisturbed"
    (docs / "deep").mkdir(parents=True)
    for number in range(30):
        write(docs / f"{number:02}.txt", version=1)
    run(sync_and_tell, index, docs)
    for number in range(10):
        write(docs / f"{number:02}.txt", version=2)
    for number in range(10, 14):
        (docs / f"{number}.txt").unlink()
    for number in range(14, 18):
        (docs / f"{number}.txt").rename(docs / "deep" / f"{number}.txt")
    shutil.copy(docs / "18.txt", docs / "copy.txt")
    for number in range(30, 50):
        write(docs / f"{number}.txt", version=1)
    shutil.copytree(index, undisturbed)
    process, said = start(sync_and_tell, undisturbed, docs)
    messages, times = zip(*((message, time.monotonic()) for message in listen(said)), strict=True)
    process.join()
    assert ("planned", "+20 ~10 -4 =16") in messages
    pauses = np.diff([*times, time.monotonic()])
    [end] = run(tell_state, undisturbed)
    steps = [step(message) for message in messages]
    return World(docs, index, documents(index), documents(undisturbed), end, steps, pauses.tolist())


@pytest.mark.timeout(1200)
def test_a_sync_killed_after_any_of_its_steps_is_finished_by_the_next(world: World, tmp_path: Path) -> None:
    numbers = range(max(KILLS, 2 * len(world.weights)))

    with ThreadPoolExecutor(2) as two:
        lines = list(two.map(partial(kill_and_finish, world, tmp_path), numbers))

    print("", *lines, sep="\n")
    assert len(lines) == len(numbers)


@pytest.mark.parametrize("size", [60_000, 250_000, 400_000])
def test_a_sync_on_a_full_disk_says_so_and_is_finished_by_the_next(world: World, tmp_path: Path, size: int) -> None:
    told = run(sync_where, partial(limit_files, size), tmp_path / "index", world.docs)

    assert "cannot be used" in told[-1]
    finish(world, tmp_path / "index", {}, acknowledged(told), f"file size {size}")


@pytest.mark.parametrize("last", ["planned", "document"])
def test_a_sync_in_a_folder_that_becomes_read_only_says_so_and_is_finished_by_the_next(
    world: World, tmp_path: Path, last: str
) -> None:
    index = Path(shutil.copytree(world.index, tmp_path / "index"))
    folders = [index, *(path for path in index.rglob("*") if path.is_dir())]
    process, said = start(sync_where, obey_permissions, index, world.docs)
    told = [said.recv()]
    while told[-1][0] != last:
        told.append(said.recv())
    for folder in folders:
        folder.chmod(0o555)
    told += listen(said)
    process.join()
    for folder in folders:
        folder.chmod(0o755)

    assert process.exitcode == 0
    assert "cannot be used" in told[-1]
    finish(world, index, world.before, acknowledged(told), f"read-only after {last}")


def sync_where(tell: Tell, fault: Callable[[], None], index: Path, docs: Path) -> None:
    """Sync where something goes wrong, and tell what is said about it."""
    fault()
    try:
        sync_and_tell(tell, index, docs)
    except StoreUnavailable as error:
        tell(str(error))


def kill_and_finish(world: World, folder: Path, number: int) -> str:
    """Kill a sync, look at what is left, let the next one finish and compare; say where the kill struck.

    Every other sync is the first of the folder.
    """
    seed = SEED + number
    index = folder / f"{number:02}"
    before = world.before if number % 2 else {}
    for attempt in range(20):
        shutil.rmtree(index, ignore_errors=True)
        if before:
            shutil.copytree(world.index, index)
        weights = world.weights[number // 2 % len(world.weights)]
        if (told := kill(random.Random(f"{seed} {attempt}"), world, weights, index)) is not None:
            break
    else:
        raise AssertionError(f"seed {seed}: no sync lived long enough to be killed")
    remarks = finish(world, index, before, acknowledged(told), f"seed {seed}, killed after {told[-1:]}")
    shutil.rmtree(index)
    kind = "update" if before else "first sync"
    last = " ".join(told[-1]).replace(f"{world.docs}/", "")
    left = "; ".join(remarks)
    return (
        f"kill {number + 1:2} (seed {seed}), {kind}, {len(acknowledged(told)):2} documents done, after {last}; {left}"
    )


def kill(chance: random.Random, world: World, weights: Sequence[float] | None, index: Path) -> list[Any] | None:
    """Kill a sync a moment after one of its messages; give all of them, None where it was done before."""
    process, said = start(sync_and_tell, index, world.docs)
    [number] = chance.choices(range(len(world.steps)), weights)
    kind = world.steps[number]
    left = world.steps[: number + 1].count(kind)
    told = []
    for message in listen(said):
        told.append(message)
        left -= step(message) == kind
        if not left:
            break
    process.join(chance.uniform(0, world.pauses[number]))
    process.kill()
    process.join()
    return [*told, *listen(said)] if process.exitcode == -signal.SIGKILL else None


def step(message: Any) -> str:
    """Say what kind of message it is: what is logged is one for each line."""
    kind, said = message
    return str(said if kind == "log" else kind)


def acknowledged(told: Iterable[Any]) -> list[str]:
    """Give the paths of the documents that a sync told of."""
    return [message[1] for message in told if message[0] == "document"]


def finish(
    world: World, index: Path, before: Mapping[str, Document], acknowledged: Iterable[str], what: str
) -> list[str]:
    """Look at what a sync has left and finish it; give remarks. what: happened to it, for whoever looks for a fault."""
    process, said = start(check_and_finish, index, world, before, acknowledged)
    *remarks, end = [None, *listen(said)]
    process.join()
    assert process.exitcode == 0, f"{what}: see the traceback on standard error"
    assert end == world.end, f"{what}: another end"
    return remarks[1:]


def sync_and_tell(tell: Tell, index: Path, docs: Path) -> None:
    """Sync, and tell each step."""
    logging.getLogger("index.build").setLevel(logging.DEBUG)
    logging.getLogger("index.build").addHandler(Telling(tell))
    documents = 0

    def on_progress(progress: Progress) -> None:
        nonlocal documents
        tell(("document" if progress.documents > documents else "embedded", progress.path))
        documents = progress.documents

    tell(("begun", ""))
    with own(IndexSettings(path=index), recipe, open_or_create) as opened:
        planned = plan([docs], opened.catalog)
        tell(("planned", str(planned.report)))
        opened.sync(planned, on_progress)
        tell(("synced", ""))


def check_and_finish(
    tell: Tell, index: Path, world: World, before: Mapping[str, Document], acknowledged: Iterable[str]
) -> None:
    """Make sure that documents are whole and that the index answers; then finish the sync and tell the state."""
    left = documents(index)
    assert set(left) <= set(before) | set(world.after)
    for path in set(before) | set(world.after):
        assert left.get(path) in (before.get(path), world.after.get(path)), path
    assert all(left[path] == world.after[path] for path in acknowledged)
    assert set(before.values()) & set(world.after.values()) <= set(left.values())

    remarks: list[str] = []
    logging.getLogger("index").addHandler(Telling(lambda message: remarks.append(message[1])))
    with own(IndexSettings(path=index), recipe, open_or_create) as opened:
        retriever = opened.retriever(3)
        for id, text, _, _ in sorted(set(left.values()))[::7]:
            question = text.partition(",")[0]
            best, *_ = retriever.search(question)
            assert (best.source, question in best.text) == (id, True)
        report = opened.sync(plan([world.docs], opened.catalog), lambda _: None)
    tell(f"left to do {report}")
    for remark in remarks:
        tell(remark.replace(str(index.parent), ""))
    tell_state(tell, index)


def tell_state(tell: Tell, index: Path) -> None:
    """Tell what the catalog, Chroma and the lexical index hold."""
    catalog = Catalog.open(index / "catalog.sqlite")
    roots, traces = catalog.roots(), catalog.has_traces
    catalog.close()
    client = chromadb.PersistentClient(str(index / "vectors"))
    rows = client.get_collection("chunks", embedding_function=None).get(include=["embeddings", "metadatas"])
    vectors = sorted(
        (id, row["source"], vector.tobytes())
        for id, row, vector in zip(rows["ids"], rows["metadatas"], rows["embeddings"], strict=True)
    )
    searcher = tantivy.Index.open(str(index / "lexical")).searcher()
    hits = searcher.search(tantivy.Query.all_query(), limit=searcher.num_docs).hits
    terms = sorted(searcher.doc(address)["id"][0] for _, address in hits)
    tell((documents(index), roots, traces, vectors, terms))


def documents(index: Path) -> dict[str, Document]:
    """Give the document under each path; none where nothing came to be made."""
    try:
        catalog = Catalog.open(index / "catalog.sqlite")
    except IndexNotFound:
        return {}
    stored = {change.source: change.document for change in catalog.changes(0) if change.document}
    hashes = catalog.hashes()
    catalog.close()
    assert {hash[:16] for hash in hashes.values()} == set(stored)
    whole = {
        id: (
            id,
            document.text,
            document.loader,
            tuple((chunk_id, chunk.text, chunk.vector.tobytes()) for chunk_id, chunk in document.chunks_by_id()),
        )
        for id, document in stored.items()
    }
    return {path: whole[hash[:16]] for path, hash in hashes.items()}


def write(file: Path, version: int) -> None:
    """Write a document whose every sentence is another."""
    name = f"d{file.stem}v{version}"
    sentences = (f"La colline {name}x{number} regarde le village {name}, calme et vert." for number in range(SENTENCES))
    file.write_text("\n\n".join(sentences), encoding="utf-8")
