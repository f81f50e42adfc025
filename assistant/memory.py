"""How the C library gives out memory."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8
"""Of malloc.h."""
ARENAS = 2


def share_memory() -> None:
    """Let threads share two pools of memory, from now on.

    Each thread has one of its own otherwise, up to eight for each core: what was given back in one is of no use to the
    others, and a server that answers each question in a thread of its own fills one after the other. Where the C
    library is not glibc, nothing happens.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
