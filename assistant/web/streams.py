"""Answers under way: how many at once, and how a face reads one without being held up by a silent model."""

import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

from assistant.errors import AssistantError
from assistant.types import Answer, Event, Message
from index.types import EVERYTHING, Filter

if TYPE_CHECKING:
    from assistant.answer import Assistant

AT_ONCE = 2
WAITING = 24
"""Fewer than the threads that each of them holds: 40, of the API and the page together."""
LATELY = 0.2
"""What the last answer counts in how long answers take of late."""
RESTART_SECONDS = 10
BATCH_SECONDS = 0.05
SILENCE_SECONDS = 0.25

Events = Generator[Event, None, None]
Batches = Generator[list[Event], None, None]
Inbox = queue.SimpleQueue[Event | Exception]


class Busy(AssistantError):
    """Too many questions are waiting for an answer.

    Args:
        message: says why no more are taken.
        retry_seconds: when there may be room again.
    """

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class Places:
    """How many answers are made at once, on the page and over HTTP together, and how many may wait, in their order.

    Args:
        at_once: answers being made.
        waiting: questions that wait for a place; the next one is refused.
        wait_seconds: how long a question waits before it is refused. One that would wait longer, as the last answers
            went, is refused at once.
        clock: tells seconds.

    `on_end` is told how each question ended: with its answer, an error, or GeneratorExit where whoever asked went away.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        wait_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_end: Callable[[Answer | BaseException], None] = lambda _: None
        self.taken = 0
        """Answers being made now."""
        self._line: list[object] = []
        self._answer_seconds = 0.0
        """Of late, on average."""
        self._at_once = at_once
        self._may_wait = waiting
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._closed = False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """Say how many questions wait now."""
        return len(self._line)

    @property
    def empty(self) -> bool:
        """Say whether no answer is being made, and none is waited for."""
        with self._changed:
            return not (self.taken or self._line)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place, waiting for it if need be.

        Raises:
            Busy: too many wait, the wait would be or was too long, or no more questions are taken.
        """
        with self._changed:
            if self._closed:
                raise Busy("The server is being stopped. Try again in a few seconds.", RESTART_SECONDS)
            if self.taken >= self._at_once or self._line:
                self._wait()
            self.taken += 1
        began = self._clock()
        try:
            yield
        finally:
            with self._changed:
                self.taken -= 1
                self._answer_seconds += LATELY * (self._clock() - began - self._answer_seconds)
                self._changed.notify_all()

    def close(self) -> None:
        """Take no more questions; those that were taken are answered."""
        with self._changed:
            self._closed = True

    def _wait(self) -> None:
        """Stand in line until it is one's turn: who comes later goes later."""
        mine = object()
        if len(self._line) >= self._may_wait or self._seconds_for(len(self._line) + 1) > self._wait_seconds:
            raise Busy("Too many questions at once. Try again in a few seconds.", self._retry_seconds)
        self._line.append(mine)
        try:
            if not self._changed.wait_for(
                lambda: self.taken < self._at_once and self._line[0] is mine, self._wait_seconds
            ):
                raise Busy(
                    f"No answer could begin within {self._wait_seconds:g} seconds. Try again later.",
                    self._retry_seconds,
                )
        finally:
            self._line.remove(mine)
            self._changed.notify_all()

    def _seconds_for(self, questions: int) -> float:
        """Say how long so many questions take, as the last answers went."""
        return questions * self._answer_seconds / self._at_once

    @property
    def _retry_seconds(self) -> int:
        """Say when those who wait now may have been answered."""
        return max(1, math.ceil(self._seconds_for(len(self._line))))


def answer_events(
    assistant: "Assistant", places: Places, question: str, history: Sequence[Message], where: Filter = EVERYTHING
) -> Events:
    """Give the events of one answer, holding a place from the first to the last.

    Raises:
        Busy: see Places.one.
        AssistantError, IndexingError: see Assistant.stream.
    """
    end: Answer | BaseException = RuntimeError("no answer")
    try:
        with places.one():
            for event in assistant.stream(question, history, where):
                if isinstance(event, Answer):
                    end = event
                yield event
    except BaseException as error:
        end = error
        raise
    finally:
        places.on_end(end)


def in_batches(events: Events, stopped: threading.Event) -> Batches:
    """Read `events` in a thread of their own and give those that came, at most 20 times a second.

    An empty batch says that nothing came for a quarter of a second. So the reader of the batches is never
    held up for longer, whatever the model does: it can be stopped, and can tell its client that it is alive.
    Once `stopped` is set, by anyone or by closing this generator, no further event is read and `events` is closed.

    Raises:
        Exception: whatever `events` raised, after the events that came before it.
    """
    inbox: Inbox = queue.SimpleQueue()

    def read() -> None:
        try:
            with closing(events):
                for event in events:
                    if stopped.is_set():
                        return
                    inbox.put(event)
            inbox.put(StopIteration())
        except Exception as error:  # noqa: BLE001 - raised again by whoever reads the batches
            inbox.put(error)
        except BaseException as error:
            # A panic of a library in Rust, say. Nobody should wait for what does not come.
            inbox.put(RuntimeError(f"an answer broke off: {error!r}"))
            raise

    # With the context of its request: what is logged names it.
    threading.Thread(target=copy_context().run, args=(read,), name="answer", daemon=True).start()
    try:
        end = None
        while end is None and not stopped.is_set():
            batch, end = _batch(inbox)
            yield batch
            time.sleep(BATCH_SECONDS)
        if end is not None and not isinstance(end, StopIteration):
            raise end
    finally:
        stopped.set()


def _batch(inbox: Inbox) -> tuple[list[Event], Exception | None]:
    """Take what is in the inbox, waiting a little for the first; second, what ended the stream, if it did."""
    batch: list[Event] = []
    timeout = SILENCE_SECONDS
    while True:
        try:
            event = inbox.get(timeout=timeout)
        except queue.Empty:
            return batch, None
        if isinstance(event, Exception):
            return batch, event
        batch.append(event)
        timeout = 0.0
