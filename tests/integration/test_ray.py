"""Indexing spread over a Ray cluster of two workers on this machine, with the real model."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from index import IndexSettings, Stop, create_index, open_catalog, plan
from index.cluster import TASK_DOCUMENTS, ray_engine
from index.errors import IndexingError

DOCUMENTS = 5 * TASK_DOCUMENTS


@pytest.fixture(scope="module")
def docs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    for number in range(DOCUMENTS):
        (folder / f"{number:03}.txt").write_text(f"Le pain numéro {number} coûte {number + 1} euros.", "utf-8")
    (folder / "empty.txt").touch()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


@pytest.fixture(scope="module")
def engine():
    """The cluster, for all tests."""
    with ray_engine(IndexSettings()) as engine:
        yield engine


def stored(settings):
    """All documents of a catalog by path: id, text, and of each chunk id, text and vector."""
    catalog = open_catalog(settings)
    found = {
        change.source: (
            change.document.content_hash,
            change.document.text,
            change.document.loader,
            [(chunk.start, chunk.text) for chunk in change.document.chunks],
            np.array([chunk.vector for chunk in change.document.chunks]),
        )
        for change in catalog.changes(0)
        if change.document
    }
    catalog.close()
    return found


def workers() -> list[int]:
    """The processes of Ray that make documents just now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::_made"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def kill_a_worker(killed: list[int], done: threading.Event) -> None:
    while not killed and not done.is_set():
        for worker in workers()[:1]:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
        time.sleep(0.05)


def test_a_stop_ends_the_waiting_for_a_cluster(docs, engine, tmp_path):
    settings, stop = IndexSettings(path=tmp_path / "index"), Stop()
    with create_index(settings) as index:
        # By then the workers, of which this is the first work, have not loaded the model.
        asked = threading.Timer(0.3, stop.ask)
        asked.start()
        report = index.sync(plan([docs], index.catalog), lambda _: None, stop, engine)
        asked.join()

    assert report.pending == DOCUMENTS + 2 - report.added


def test_the_index_is_that_of_one_process_id_by_id_also_where_a_worker_is_killed(docs, engine, tmp_path):
    plain, spread = IndexSettings(path=tmp_path / "plain"), IndexSettings(path=tmp_path / "spread")
    with create_index(plain) as index:
        report = index.sync(plan([docs], index.catalog), lambda _: None)
    killed, done, told = [], threading.Event(), []
    killer = threading.Thread(target=kill_a_worker, args=(killed, done))
    with create_index(spread) as index:
        killer.start()
        spread_report = index.sync(plan([docs], index.catalog), told.append, engine=engine)
        done.set()
        killer.join()

    assert killed
    assert spread_report == report
    assert report.added == DOCUMENTS
    assert len(report.unreadable) == 2
    assert told[-1].chunks == DOCUMENTS
    one, other = stored(plain), stored(spread)
    assert one.keys() == other.keys()
    for path, (*facts, vectors) in one.items():
        *same, vectors_there = other[path]
        assert same == facts
        assert (vectors * vectors_there).sum(1).min() > 0.999


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(IndexingError, match=r"pip install 'sourcier\[ray\]'"), ray_engine(IndexSettings()):
        pass
