"""Follows folders: what changes in them is indexed soon after."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from watchfiles import watch

from index import Stopped, SyncQueue, SyncReport
from index.database import identity

QUIET_MILLISECONDS = 500
"""A change is followed once nothing has changed for so long,"""
BUSY_MILLISECONDS = 5_000
"""or, where there is no rest, after so long."""
LOOK_MILLISECONDS = 1_000
"""How often it is looked whether the folder is still there, and is the same."""
RETRY_SECONDS = 10.0
"""How long after an error it is tried again."""

log = logging.getLogger(__name__)


@contextmanager
def watching(
    folders: Sequence[Path],
    queue: SyncQueue,
    ignored: Path,
    say: Callable[[str], None],
    retry_seconds: float = RETRY_SECONDS,
) -> Iterator[None]:
    """Keep the index in step with folders until the block ends: each at the beginning, and after changes in it.

    A folder that vanishes empties nothing (see `plan`): that is said, and it is followed again once it is back.

    Args:
        folders: each is followed for itself.
        queue: does the syncs.
        ignored: the folder of the index, should it lie in one of them.
        say: is told what was done, and what went wrong; of the same error again and again, the first.
        retry_seconds: how long after an error it is tried again.
    """
    stopped = Event()
    threads = [
        Thread(target=_follow, args=(folder.absolute(), queue, ignored, say, stopped, retry_seconds), name="watch")
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def counts(path: Path, root: Path, ignored: Path) -> bool:
    """Say whether a change of a path calls for a sync: what is hidden is not indexed, and a sync changes the index."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return not hidden and not path.is_relative_to(ignored)


def _follow(  # noqa: PLR0913, PLR0917 - of a thread
    folder: Path, queue: SyncQueue, ignored: Path, say: Callable[[str], None], stopped: Event, retry_seconds: float
) -> None:
    said = ""
    while not stopped.is_set():
        try:
            for _ in _changes(folder, ignored, stopped):
                report = _synced(folder, queue, stopped)
                if report.added or report.updated or report.deleted or said:
                    say(f"{folder}: {report}")
                said = ""
        except Stopped:
            return
        # Whatever it was: a folder that is watched is watched on.
        except Exception as error:
            if str(error) != said:
                said = str(error)
                say(f"{folder} is not in step: {said}")
                log.debug("A folder could not be followed", exc_info=True)
            stopped.wait(retry_seconds)


def _synced(folder: Path, queue: SyncQueue, stopped: Event) -> SyncReport:
    job = queue.sync([folder])
    for _ in job.steps():
        if stopped.is_set():
            job.stop()
    return job.report()


def _changes(folder: Path, ignored: Path, stopped: Event) -> Iterator[None]:
    """Yield at the beginning and after each burst of changes, for as long as the folder is there and the same."""
    before = identity(folder)
    if before is None:
        # The sync says what is wrong.
        yield
        return
    root, ignored = folder.resolve(), ignored.resolve()
    begun = False
    for changes in watch(
        root,
        watch_filter=lambda _, path: counts(Path(path), root, ignored),
        step=QUIET_MILLISECONDS,
        debounce=BUSY_MILLISECONDS,
        rust_timeout=LOOK_MILLISECONDS,
        yield_on_timeout=True,
        stop_event=stopped,
    ):
        # The first look comes after the watch began, so that no change is missed between the two.
        if changes or not begun:
            yield
        begun = True
        if identity(folder) != before:
            return
