import threading

import pytest

from assistant.web.streams import Busy, Places


class Clock:
    """Stands still until somebody sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Line:
    """People who wait for a place, note their turn, and go."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._threads: list[threading.Thread] = []
        self._turns: list[str] = []

    def join(self, name: str) -> None:
        """Come, while all places are taken."""
        already = self._places.waiting
        self._threads.append(threading.Thread(target=self._wait, args=(name,)))
        self._threads[-1].start()
        while self._places.waiting == already:
            pass

    def turns(self) -> list[str]:
        """Wait until everybody had their turn, and say in which order."""
        for thread in self._threads:
            thread.join(30)
        return self._turns

    def _wait(self, name: str) -> None:
        with self._places.one():
            self._turns.append(name)


def answer(places: Places, clock: Clock, seconds: float) -> None:
    with places.one():
        clock.now += seconds


def test_who_comes_later_goes_later() -> None:
    places = Places(at_once=1, waiting=8)
    line = Line(places)

    with places.one():
        line.join("first")
        line.join("second")
    with places.one():
        turns = [*line.turns(), "third"]

    assert turns == ["first", "second", "third"]
    assert places.empty


def test_nobody_is_let_wait_longer_than_a_minute_as_the_answers_of_late_went() -> None:
    clock = Clock()
    places = Places(at_once=1, waiting=8, wait_seconds=60, clock=clock)
    line = Line(places)
    for _ in range(30):
        answer(places, clock, 40)

    with places.one():
        line.join("after 40 seconds")
        with pytest.raises(Busy) as refused:
            answer(places, clock, 40)

    assert line.turns() == ["after 40 seconds"]
    assert refused.value.retry_seconds == 40
    for _ in range(30):
        answer(places, clock, 1)
    with places.one():
        line.join("after 1 second")
        line.join("after 2 seconds")
    assert len(line.turns()) == 3


def test_a_full_line_says_when_it_may_have_been_answered() -> None:
    clock = Clock()
    places = Places(at_once=1, waiting=2, clock=clock)
    line = Line(places)
    for _ in range(50):
        answer(places, clock, 3)

    with places.one():
        line.join("one")
        line.join("two")
        with pytest.raises(Busy) as refused:
            answer(places, clock, 3)

    assert refused.value.retry_seconds == 6
    assert line.turns() == ["one", "two"]


def test_who_waits_in_vain_is_sent_away_and_leaves_the_line() -> None:
    places = Places(at_once=1, waiting=1, wait_seconds=0.01)

    with places.one(), pytest.raises(Busy, match="No answer could begin"), places.one():
        pass

    assert places.empty


def test_all_that_wait_go_when_there_is_room_for_all() -> None:
    places = Places(at_once=2, waiting=8)
    line = Line(places)

    with places.one(), places.one():
        for name in ("one", "two", "three"):
            line.join(name)

    assert sorted(line.turns()) == ["one", "three", "two"]
    assert places.empty
