from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from index import Comparing, Index, IndexSettings, Progress, Step, Stopped, SyncQueue, Waiting
from index.build import open_or_create, own
from index.errors import NothingToIndex, SourceNotFound
from tests.fakes import Gate, paragraph_recipe


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def index(tmp_path: Path, gate: Gate) -> Iterator[Index]:
    recipe = replace(paragraph_recipe("hashing", dimension=32), reader=gate.reader)
    with own(IndexSettings(path=tmp_path / "index"), recipe, open_or_create) as index:
        yield index


@pytest.fixture
def queue(index: Index, gate: Gate) -> Iterator[SyncQueue]:
    with SyncQueue(index) as queue:
        yield queue
        gate.open.set()


def folder(tmp_path: Path, name: str, files: int = 1) -> Path:
    made = tmp_path / name
    made.mkdir()
    for number in range(files):
        (made / f"{number}.txt").write_text(f"Le {name} {number} dort.", encoding="utf-8")
    return made


def until(steps: Iterator[Step | None], kind: type) -> Step:
    return next(step for step in steps if isinstance(step, kind))


def test_a_sync_tells_each_step_and_then_its_report(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    job = queue.sync([folder(tmp_path, "chat", files=2)])
    steps = job.steps()

    assert next(steps) == Comparing()
    gate.open.set()
    told = [step for step in steps if step]

    assert isinstance(told[-1], Progress)
    assert (told[-1].documents, told[-1].documents_in_all) == (2, 2)
    assert str(job.report()) == "+2 ~0 -0 =0"


def test_what_became_of_each_job_is_counted(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    queue.sync([folder(tmp_path, "chat")]).report()
    with pytest.raises(NothingToIndex):
        queue.sync([tmp_path / "nowhere"]).report()
    gate.close()
    stopped = queue.sync([folder(tmp_path, "chien", files=2)])
    assert gate.reached.wait(30)
    stopped.stop()
    gate.open.set()

    assert stopped.report().pending
    queue.close()
    assert queue.ended == {"done": 1, "failed": 1, "stopped": 1}
    assert queue.length == 0


def test_whoever_watches_hears_something_while_nothing_happens(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    steps = queue.sync([folder(tmp_path, "chat")]).steps(silence_seconds=0.01)

    assert next(steps) == Comparing()
    assert [next(steps), next(steps)] == [None, None]


def test_two_syncs_are_done_one_after_the_other_and_the_second_knows_that_it_waits(
    queue: SyncQueue, gate: Gate, tmp_path: Path
) -> None:
    gate.close()
    first = queue.sync([folder(tmp_path, "chat")])
    second = queue.sync([folder(tmp_path, "chien")])
    third = queue.sync([folder(tmp_path, "loup")])
    assert gate.reached.wait(30)
    waiting = third.steps()

    assert next(second.steps()) == Waiting(1)
    assert next(waiting) == Waiting(2)
    first.stop()
    second.stop()
    gate.open.set()

    assert isinstance(until(waiting, Comparing | Progress), Comparing | Progress)
    assert str(third.report()) == "+1 ~0 -0 =0"


def test_a_plan_is_made_when_its_turn_has_come(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    docs = folder(tmp_path, "chat")
    first, second = queue.sync([docs]), queue.sync([docs])
    gate.open.set()

    assert str(first.report()) == "+1 ~0 -0 =0"
    assert str(second.report()) == "+0 ~0 -0 =1"


def test_a_sync_that_is_stopped_says_what_is_left(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    job = queue.sync([folder(tmp_path, "chat", files=3)])
    assert gate.reached.wait(30)

    job.stop()
    gate.open.set()

    assert job.report().pending == 3


def test_a_sync_that_is_stopped_while_it_waits_does_not_begin(queue: SyncQueue, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    queue.sync([folder(tmp_path, "chat")])
    second = queue.sync([folder(tmp_path, "chien")])

    second.stop()
    gate.open.set()

    with pytest.raises(Stopped):
        second.report()


def test_what_goes_wrong_is_told_to_whoever_asked_and_the_next_is_done(queue: SyncQueue, tmp_path: Path) -> None:
    lost = queue.sync([tmp_path / "nowhere"])
    unknown = queue.remove(["nothing"])
    next_one = queue.sync([folder(tmp_path, "chat")])

    with pytest.raises(NothingToIndex):
        lost.report()
    with pytest.raises(SourceNotFound):
        unknown.report()
    assert str(next_one.report()) == "+1 ~0 -0 =0"


def test_documents_are_forgotten_in_their_turn(queue: SyncQueue, index: Index, tmp_path: Path) -> None:
    docs = folder(tmp_path, "chat", files=2)
    queue.sync([docs])

    assert str(queue.remove([str(docs / "0.txt")]).report()) == "+0 ~0 -1 =0"
    assert [Path(source.path).name for source in index.sources()] == ["1.txt"]


def test_questions_are_answered_from_what_is_whole_while_a_sync_goes_on(
    queue: SyncQueue, index: Index, gate: Gate, tmp_path: Path
) -> None:
    queue.sync([folder(tmp_path, "chat")]).report()
    gate.close()
    job = queue.sync([folder(tmp_path, "chien")])
    assert gate.reached.wait(30)

    found = [passage.text for passage in index.retriever(5).search("le chien dort")]
    gate.open.set()
    job.report()

    assert found == ["Le chat 0 dort."]
    assert index.retriever(5).search("le chien dort")[0].text == "Le chien 0 dort."


def test_closing_stops_what_goes_on_and_what_waits(index: Index, gate: Gate, tmp_path: Path) -> None:
    gate.close()
    queue = SyncQueue(index)
    first = queue.sync([folder(tmp_path, "chat", files=3)])
    second = queue.sync([folder(tmp_path, "chien")])
    assert gate.reached.wait(30)

    closing = Thread(target=queue.close)
    closing.start()
    gate.open_when_asked()
    closing.join(30)

    assert first.report().pending
    with pytest.raises(Stopped):
        second.report()
