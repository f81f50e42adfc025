"""Stops long work from outside: between two steps, and never in the middle of a write."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


class Stopped(KeyboardInterrupt):
    """Somebody asked to stop. It is no Exception, so that nothing on its way takes it for a fault of its own."""


class Stop:
    """A request to stop one piece of work; asked from another thread, or by a signal in the thread that works."""

    def __init__(self) -> None:
        self._asked = Event()
        self._interruptible = False

    @property
    def asked(self) -> bool:
        """Say whether somebody asked."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask from any thread; the work stops at its next check."""
        self._asked.set()

    def interrupt(self) -> None:
        """Ask from a signal handler in the thread that works; raise Stopped there at once if it is interruptible."""
        self.ask()
        if self._interruptible:
            raise Stopped

    def check(self) -> None:
        """Raise Stopped when somebody asked."""
        if self.asked:
            raise Stopped

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Check, then let an `interrupt` leave the block wherever it is: nothing is written in it.

        So work ends soon that cannot check: a model that loads, a long text that is cut, a batch that is embedded.
        """
        self.check()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False


NEVER = Stop()
"""For work that nobody stops."""
