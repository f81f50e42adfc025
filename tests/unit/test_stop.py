import signal
from collections.abc import Iterator
from threading import Thread

import pytest

from index.stop import NEVER, Stop, Stopped


@pytest.fixture
def stop() -> Iterator[Stop]:
    """Let Ctrl-C interrupt the work of this thread."""
    stop = Stop()
    before = signal.signal(signal.SIGINT, lambda *_: stop.interrupt())
    yield stop
    signal.signal(signal.SIGINT, before)


def test_work_goes_on_until_somebody_asks(stop: Stop) -> None:
    stop.check()
    thread = Thread(target=stop.ask)
    thread.start()
    thread.join()

    with pytest.raises(Stopped):
        stop.check()
    with pytest.raises(Stopped), stop.interruptible():
        raise AssertionError("the block was entered")


def test_an_interrupt_leaves_what_is_interruptible_at_once(stop: Stop) -> None:
    with pytest.raises(Stopped), stop.interruptible():
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the signal was not heard")


def test_an_interrupt_waits_for_the_next_check_where_something_may_be_written(stop: Stop) -> None:
    with stop.interruptible():
        pass

    signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped):
        stop.check()


def test_what_catches_every_exception_does_not_catch_a_stop(stop: Stop) -> None:
    with pytest.raises(Stopped), stop.interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except Exception as error:
            raise AssertionError from error


def test_what_nobody_stops_goes_on() -> None:
    NEVER.check()
    with NEVER.interruptible():
        pass
