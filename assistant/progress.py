"""Draws how far a sync has come, here or on a server: a bar in a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from index import Step

LINE_SECONDS = 5.0
"""How long no line is written after a line."""

Draw = Callable[["Step"], None]


@contextmanager
def bar(console: "Console") -> Iterator[Draw]:
    """Draw a bar; it is not left behind where there was nothing to do."""
    from rich import progress

    from index import Progress

    columns = (
        progress.TextColumn("Indexing"),
        progress.BarColumn(bar_width=None),
        progress.TextColumn("{task.description}"),
    )
    with progress.Progress(*columns, console=console, expand=True) as drawn:
        task = drawn.add_task("", total=None, visible=False)

        def draw(step: "Step") -> None:
            total, done = (step.documents_in_all, step.documents) if isinstance(step, Progress) else (None, 0)
            drawn.update(task, description=in_words(step), total=total, completed=done, visible=True)

        try:
            yield draw
        finally:
            drawn.update(task, visible=drawn.tasks[0].total is not None)


def lines(write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> Draw:
    """Write the first step, the last one, and between them one every few seconds. now: seconds, of any beginning."""
    from index import Comparing, Progress

    due = now()

    def draw(step: "Step") -> None:
        nonlocal due
        if isinstance(step, Comparing):
            return
        is_last = isinstance(step, Progress) and step.documents == step.documents_in_all
        if now() >= due or is_last:
            write(f"Indexing: {in_words(step)}")
            due = now() + LINE_SECONDS

    return draw


def in_words(step: "Step") -> str:
    """Say it: "12 of 840 documents, 340 chunks, 28.1 a second, about 6 min left"."""
    from index import Comparing, Waiting

    match step:
        case Waiting(ahead):
            return f"waiting for {ahead} other sync{'s' * (ahead > 1)} of this index"
        case Comparing():
            return "comparing the files with what is indexed"
    parts = [f"{step.documents} of {step.documents_in_all} documents", f"{step.chunks} chunks"]
    if step.chunks_per_second:
        parts.append(f"{step.chunks_per_second:.1f} a second")
    if step.seconds_left:
        parts.append(f"about {duration(step.seconds_left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Say how long something takes, no more exactly than it can be known: "40 s", "6 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
