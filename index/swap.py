"""Puts something new in the place of something old: whole, or not at all, whenever the process dies.

A new index is made in a folder below the old one. Once it is whole the folder gets another name, in one step, and
from then on only the new one counts: its files are moved into place now, or by whoever owns the index next.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import StoreUnavailable

NEW = "rebuild"
WHOLE = "rebuilt"
DATABASE_LOGS = ("catalog.sqlite-wal", "catalog.sqlite-shm")
"""Of the old catalog: SQLite would read them into the new one."""


def commit(folder: Path) -> None:
    """Let what is in `folder / NEW`, whole and closed, take the place of the index; the folder must be owned."""
    (folder / NEW).rename(folder / WHOLE)
    settle(folder)


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Give a place for a folder that is to be `put` in the place of this one; what is left there at the end goes."""
    new = folder.with_name(f"{folder.name}.{NEW}")
    if new.exists():
        shutil.rmtree(new)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def put(new: Path, folder: Path) -> None:
    """Put a folder that is whole in the place of another; where the process dies in between, there is none."""
    if folder.exists():
        shutil.rmtree(folder)
    new.rename(folder)


def settle(folder: Path) -> None:
    """Throw away a new index that did not become whole, and move one that did into place.

    Raises:
        StoreUnavailable: the folder cannot be written to.
    """
    try:
        if (folder / NEW).exists():
            shutil.rmtree(folder / NEW)
        if (folder / WHOLE).exists():
            _move(folder / WHOLE, folder)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder {folder} cannot be written to: {error.strerror or error}. Make it writable and try again."
        ) from error


def _move(whole: Path, folder: Path) -> None:
    for name in DATABASE_LOGS:
        (folder / name).unlink(missing_ok=True)
    for piece in sorted(whole.iterdir()):
        place = folder / piece.name
        if place.is_dir():
            shutil.rmtree(place)
        piece.replace(place)
    whole.rmdir()
