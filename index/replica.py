"""Follows a catalog that other processes write to: what they indexed is found here a moment later."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from index.build import Index
from index.errors import IndexingError

LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


@contextmanager
def following(index: Index, look_seconds: float = LOOK_SECONDS) -> Iterator[None]:
    """Keep both indexes up to date until the block ends; there is nothing to do where nobody else writes.

    look_seconds: how often the catalog is asked whether it has changed. What goes wrong is logged, the same error once,
    and tried again.
    """
    if not index.shared:
        yield
        return
    stopped = Event()
    thread = Thread(target=_follow, args=(index, stopped, look_seconds), name="replica")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _follow(index: Index, stopped: Event, look_seconds: float) -> None:
    said = ""
    while not stopped.is_set():
        try:
            index.follow()
            said = ""
        except IndexingError as error:
            if str(error) != said:
                said = str(error)
                log.error("The catalog cannot be followed: %s", said)
        stopped.wait(look_seconds)
