"""How long a connection may bring or take nothing: uvicorn alone waits for ever for a request, and for a reader."""

import resource
from asyncio import BaseTransport, TimerHandle
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""In which a request must have come, but for its body: from the connection, or from the end of the request before."""
READER_SECONDS = 60.0
"""In which whoever reads must have taken the 48 kB or so that make room for more."""
LOOK_SECONDS = 0.5
IDLE_SECONDS = 60
"""After which uvicorn would close a connection, to whoever is just asking on it again: longer than the first."""
OPEN_FILES = 65_536


class Patient(H11Protocol):
    """A connection that is cut where nothing is asked on it for too long, or nothing read.

    h11 and not httptools, which would let a header grow without end; a page is sent as fast by either.
    """

    request_seconds = REQUEST_SECONDS
    reader_seconds = READER_SECONDS

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._request_due: TimerHandle | None = None
        self._reader_due: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """Wait for whoever reads."""
        super().pause_writing()
        self._reader_due = self.loop.call_later(self.reader_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._reader_due:
            self._reader_due.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        for due in filter(None, (self._request_due, self._reader_due)):
            due.cancel()

    def _await_request(self) -> None:
        if self._request_due:
            self._request_due.cancel()
        self._request_due = self.loop.call_later(self.request_seconds, self._look_again)

    def _look_again(self) -> None:
        # A loop that was held up comes here before it reads what has come meanwhile.
        self._request_due = self.loop.call_later(LOOK_SECONDS, self._give_up)

    def _give_up(self) -> None:
        # Not closed, which would wait until what was written is read.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def allow_many() -> None:
    """Raise the limit of open files as far as this user may: by default it is 1,024, and each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
