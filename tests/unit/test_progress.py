import io
from itertools import count

import pytest
from rich.console import Console

from assistant.progress import bar, duration, in_words, lines
from index import Comparing, Progress, Waiting


def step(documents, seconds=10.0, chunks=300, in_all=12):
    return Progress(documents, in_all, chunks, "/docs/a.txt", seconds)


def test_progress_tells_documents_speed_and_the_time_left():
    assert in_words(step(3)) == "3 of 12 documents, 300 chunks, 30.0 a second, about 30 s left"


def test_no_time_is_foretold_before_the_first_document_nor_after_the_last():
    assert in_words(step(0)) == "0 of 12 documents, 300 chunks, 30.0 a second"
    assert in_words(step(12)) == "12 of 12 documents, 300 chunks, 30.0 a second"


def test_no_speed_is_told_before_anything_was_embedded():
    assert in_words(step(1, chunks=0)) == "1 of 12 documents, 0 chunks, about 2 min left"
    assert in_words(step(0, seconds=0.0)) == "0 of 12 documents, 300 chunks"


def test_a_sync_that_waits_for_others_says_for_how_many():
    assert in_words(Waiting(1)) == "waiting for 1 other sync of this index"
    assert in_words(Waiting(2)) == "waiting for 2 other syncs of this index"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (59.4, "59 s"), (61, "1 min"), (3540, "59 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_a_duration_is_told_no_more_exactly_than_it_is_known(seconds, words):
    assert duration(seconds) == words


def test_where_there_is_no_terminal_a_line_is_written_every_few_seconds_and_at_the_end():
    written = []
    seconds = count()
    draw = lines(written.append, now=lambda: next(seconds))

    for documents in range(1, 13):
        draw(step(documents))

    assert [line.split(" of ")[0] for line in written] == ["Indexing: 1", "Indexing: 6", "Indexing: 11", "Indexing: 12"]


def test_a_terminal_shows_a_bar_with_the_words():
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=100)) as draw:
        draw(step(6))

    shown = screen.getvalue()
    assert "━" in shown
    assert "6 of 12 documents, 300 chunks, 30.0 a second, about 10 s left" in shown


def test_where_nothing_is_to_do_no_bar_is_left():
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=100)) as draw:
        draw(Comparing())

    assert "Indexing" not in screen.getvalue().rpartition("\x1b[2K")[2]


def test_without_a_terminal_it_is_said_that_a_sync_waits_and_not_that_it_compares():
    written = []
    draw = lines(written.append)

    draw(Waiting(1))
    draw(Comparing())

    assert written == ["Indexing: waiting for 1 other sync of this index"]
