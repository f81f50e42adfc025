"""One process owns the folder of an index: Chroma loses rows, silently, when two processes write to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import IndexLocked, StoreUnavailable


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Own `folder`, made if need be, until the block ends or the process dies, however it dies.

    Take it before anything in the folder is opened. Nobody waits: whoever comes second is told who owns it.

    Raises:
        IndexLocked: another process owns the folder; the message names its process id.
        StoreUnavailable: the folder cannot be made or written to.
    """
    owner = folder / "owner"
    # Not thread-local: a server may be closed by another thread than the one that opened it.
    held = FileLock(folder / "lock", thread_local=False)
    try:
        # The text of documents will stand in it: no other user of the computer reads it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        raise IndexLocked(
            f"{_process(owner)} is using the index at {folder}. Ask through its page or its API, or stop it first."
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        try:
            owner.write_text(f"{os.getpid()}\n", encoding="ascii")
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield
    finally:
        # Where it cannot be deleted it does no harm: only the lock counts.
        with suppress(OSError):
            owner.unlink()
        held.release()


def held_by(folder: Path) -> int | None:
    """Give the id of the process that owns the folder; None where nobody does, or it has not said so yet."""
    try:
        with FileLock(folder / "lock", timeout=0):
            return None
    except Timeout:
        return _process_id(folder / "owner")
    except OSError:
        return None


def _unwritable(folder: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The folder {folder} cannot be written to: {error.strerror or error}. "
        "Free space, make it writable, or set INDEX_PATH to another folder."
    )


def _process(owner: Path) -> str:
    """Name the process that owns the lock."""
    id = _process_id(owner)
    return "Another process" if id is None else f"Process {id}"


def _process_id(owner: Path) -> int | None:
    """Read its id, which it writes a moment after it took the lock."""
    try:
        return int(owner.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
