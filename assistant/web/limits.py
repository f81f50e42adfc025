"""How much may be asked: by one visitor, from one address, and of the whole service."""

import ipaddress
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from limits import RateLimitItem, parse_many

from assistant.clock import now
from assistant.errors import TooManyQuestions

VISITOR = "10/minute;200/day"
ADDRESS = "60/minute;1000/day"
SERVICE = "10000/day"
TIDY_SECONDS = 60.0
"""How often what is over is forgotten."""

Window = tuple[RateLimitItem, str]
"""How many questions in how long, and whose."""


class Windows(Protocol):
    """Moving windows, each of a limit and of what is counted in it."""

    def count(self, wanted: Sequence[Window]) -> float | None:
        """Count a question in each; or, where one is full, in none, and say in how many seconds there is room."""


class Limits:
    """Counts questions over moving windows; a question that is refused counts nowhere.

    Args:
        visitor: questions of one token, or of one user that a page's server names; `limits` notation.
        address: questions from one address. Addresses of IPv6 count by their first 64 bits: one line has them all.
        service: questions in all, so that a crowd costs no more than the owner means to spend.
        windows: where they are counted; by default in the memory of this process.
    """

    def __init__(
        self,
        visitor: str = VISITOR,
        address: str = ADDRESS,
        service: str = SERVICE,
        windows: Windows | None = None,
    ) -> None:
        self._visitor, self._address, self._service = parse_many(visitor), parse_many(address), parse_many(service)
        self._windows = windows or InMemory()

    def count(self, *, subject: str | None = None, address: str | None = None) -> None:
        """Count a question of a visitor and from an address, where there are such; it counts for the service too.

        Raises:
            TooManyQuestions: one of the limits is reached; it says in how many seconds there is room again.
        """
        seconds = self._windows.count(list(self._of(subject, address)))
        if seconds is not None:
            raise TooManyQuestions(max(1, math.ceil(seconds)))

    def _of(self, subject: str | None, address: str | None) -> Iterator[Window]:
        yield from ((window, "service") for window in self._service)
        if address:
            yield from ((window, f"address {_line(address)}") for window in self._address)
        if subject:
            yield from ((window, f"visitor {subject}") for window in self._visitor)


class InMemory:
    """Windows that end with the process.

    The storage of `limits` goes by the clock of the computer, which somebody may set back, and forgets no visitor.
    """

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self._clock = clock
        self._asked: dict[Window, deque[float]] = {}
        """When questions were asked, the oldest first."""
        self._tidied = clock()
        self._lock = threading.Lock()

    def count(self, wanted: Sequence[Window]) -> float | None:
        """Look at each window first, and count then."""
        with self._lock:
            time = self._clock()
            self._tidy(time)
            asked = {window: self._within(window, time) for window in wanted}
            for (limit, _), times in asked.items():
                if len(times) >= limit.amount:
                    return (times[0] if times else time) + limit.get_expiry() - time
            for window, times in asked.items():
                times.append(time)
                self._asked[window] = times
        return None

    def _within(self, window: Window, time: float) -> deque[float]:
        """Give when questions were asked that still count."""
        times = self._asked.get(window) or deque()
        while times and times[0] <= time - window[0].get_expiry():
            times.popleft()
        return times

    def _tidy(self, time: float) -> None:
        if time - self._tidied > TIDY_SECONDS:
            self._asked = {window: times for window in self._asked if (times := self._within(window, time))}
            self._tidied = time


def _line(address: str) -> str:
    """Give what is one line to the internet: an IPv4 address, or the first 64 bits of an IPv6 address.

    A proxy may name what is no address, as "unknown": all those are one line.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
