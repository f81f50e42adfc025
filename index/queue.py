"""Syncs of one index, one at a time in the order in which they were asked for, and how far each has come."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock
from typing import Literal, Self

from index.build import Index
from index.stop import Stop, Stopped
from index.sync import plan, removal
from index.types import Progress, SyncReport

SILENCE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Waiting:
    """Other syncs are done first."""

    ahead: int
    """How many; at least one."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """The files are compared with what is indexed."""


Step = Waiting | Comparing | Progress


class Job:
    """A sync that was asked for. Any thread may watch it, stop it and wait for its report."""

    def __init__(self, step: Step) -> None:
        self._stop = Stop()
        self._step = step
        self._steps = 1
        self._told = Condition()
        self._future: Future[SyncReport] = Future()

    def steps(self, silence_seconds: float = SILENCE_SECONDS) -> Iterator[Step | None]:
        """Yield where it stands, then each new step until it is over; of several at once the newest, and the last.

        None says that nothing came for a while: whoever watches can look at something else, and is never held up.
        """
        seen, over = 0, False
        while not over:
            step, seen, over = self._await(seen, silence_seconds)
            if step or not over:
                yield step

    @property
    def over(self) -> bool:
        """Say whether it has come to its end; then its report is there at once."""
        return self._future.done()

    def report(self) -> SyncReport:
        """Wait for the end and give the report; a job that was stopped in the middle says so by `pending`.

        Raises what the sync raised, and Stopped where it was stopped before anything was done.
        """
        return self._future.result()

    def outcome(self) -> Literal["done", "stopped", "failed"]:
        """Wait for the end, and say in a word what became of it."""
        error = self._future.exception()
        if error is not None:
            return "stopped" if isinstance(error, Stopped) else "failed"
        return "stopped" if self._future.result().pending else "done"

    def stop(self) -> None:
        """Ask the work to end at the next document's boundary, and not to begin if it waits."""
        self._stop.ask()

    def _await(self, seen: int, timeout_seconds: float) -> tuple[Step | None, int, bool]:
        """Give the step if it is newer than number `seen`, its number, and whether all is over."""
        with self._told:
            self._told.wait_for(lambda: self._steps > seen or self._future.done(), timeout_seconds)
            return self._step if self._steps > seen else None, self._steps, self._future.done()

    def _tell(self, step: Step) -> None:
        with self._told:
            self._step = step
            self._steps += 1
            self._told.notify_all()

    def _run(self, work: Callable[["Job"], SyncReport]) -> None:
        try:
            self._stop.check()
            self._tell(Comparing())
            self._future.set_result(work(self))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the report; Stopped is one
            self._future.set_exception(error)
        with self._told:
            self._told.notify_all()


class SyncQueue:
    """Does what is asked for in a thread of its own, while other threads search."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._worker = ThreadPoolExecutor(1, "sync")
        self._jobs: list[Job] = []
        """In order, the one under way first."""
        self._changing = Lock()
        self.ended = dict.fromkeys(("done", "stopped", "failed"), 0)
        """How many jobs ended how."""

    @property
    def length(self) -> int:
        """How many jobs wait or are under way."""
        return len(self._jobs)

    def sync(self, paths: Sequence[Path]) -> Job:
        """Bring the index in step with folders and files; see Index.sync, and `plan` for what a report may raise."""

        def work(job: Job) -> SyncReport:
            with self._index.turn(job._stop):
                planned = plan(paths, self._index.catalog, job._stop)
                return self._index.sync(planned, job._tell, job._stop)

        return self._add(work)

    def remove(self, sources: Sequence[str]) -> Job:
        """Forget documents and folders; see Index.remove, and `removal` for what a report may raise."""

        def work(job: Job) -> SyncReport:
            with self._index.turn(job._stop):
                return self._index.remove(removal(sources, self._index.catalog))

        return self._add(work)

    def stop(self) -> None:
        """Stop what goes on and what waits."""
        with self._changing:
            jobs = [*self._jobs]
        for job in jobs:
            job.stop()

    def close(self) -> None:
        """Stop all, and wait for its end; nothing more can be asked for."""
        self.stop()
        self._worker.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, work: Callable[[Job], SyncReport]) -> Job:
        with self._changing:
            job = Job(Waiting(len(self._jobs)) if self._jobs else Comparing())
            self._worker.submit(self._run, job, work)
            self._jobs.append(job)
        return job

    def _run(self, job: Job, work: Callable[[Job], SyncReport]) -> None:
        job._run(work)
        with self._changing:
            self.ended[job.outcome()] += 1
            self._jobs.remove(job)
            for ahead, waiting in enumerate(self._jobs):
                if ahead:
                    waiting._tell(Waiting(ahead))
