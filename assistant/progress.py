"""Draws how far a sync has come: a bar in a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from index import Progress

LINE_SECONDS = 5.0
"""How long no line is written after a line."""

Draw = Callable[["Progress"], None]


@contextmanager
def bar(console: "Console") -> Iterator[Draw]:
    """Draw a bar; nothing before the first step, so that nothing is seen where there is nothing to do."""
    from rich import progress

    columns = (
        progress.TextColumn("Indexing"),
        progress.BarColumn(bar_width=None),
        progress.TextColumn("{task.description}"),
    )
    with progress.Progress(*columns, console=console, expand=True) as drawn:
        task = drawn.add_task("", total=None, visible=False)

        def draw(step: "Progress") -> None:
            total, done = step.documents_in_all, step.documents
            drawn.update(task, description=in_words(step), total=total, completed=done, visible=True)

        yield draw


def lines(write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> Draw:
    """Write the first step, the last one, and between them one every few seconds. now: seconds, of any beginning."""
    due = now()

    def draw(step: "Progress") -> None:
        nonlocal due
        if now() >= due or step.documents == step.documents_in_all:
            write(f"Indexing: {in_words(step)}")
            due = now() + LINE_SECONDS

    return draw


def in_words(step: "Progress") -> str:
    """Say it: "12 of 840 documents, 340 chunks, 28.1 a second, about 6 min left"."""
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
