"""How the C library gives out memory; where that is not glibc, nothing of this happens."""

import ctypes
from contextlib import suppress

M_PERTURB, M_ARENA_MAX = -6, -8
"""Of malloc.h."""
ARENAS = 2


def overwrite_memory() -> None:
    """Have all memory overwritten, from now on, when it is given back and when it is given out.

    Chroma writes memory that it has not filled to its files: an id or a text that was forgotten could be in it.
    """
    _set(M_PERTURB, 1)


def share_memory() -> None:
    """Let threads share two pools of memory, from now on.

    Each thread has one of its own otherwise, up to eight for each core: what was given back in one is of no use to the
    others, and a server that answers each question in a thread of its own fills one after the other.
    """
    _set(M_ARENA_MAX, ARENAS)


def _set(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(option, value)
