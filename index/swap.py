"""Puts a new index in the place of an old one: whole, or not at all, whenever the process dies.

The new one is made in a folder below the old one. Once it is whole the folder gets another name, in one step, and
from then on only the new one counts: its files are moved into place now, or by whoever owns the index next.
"""

import shutil
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
