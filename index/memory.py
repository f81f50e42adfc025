"""How much memory the libraries under us hold on to."""

import ctypes
import os
from contextlib import suppress

M_PERTURB, M_ARENA_MAX = -6, -8
"""Of malloc.h."""
ARENAS = 2
SHAPES = 64


def overwrite_memory() -> None:
    """Have all memory overwritten, from now on, when it is given back and when it is given out; glibc only.

    Chroma writes memory that it has not filled to its files: an id or a text that was forgotten could be in it.
    """
    _set(M_PERTURB, 1)


def share_memory() -> None:
    """Let threads share two pools of memory, from now on; glibc only.

    Each thread has one of its own otherwise, up to eight for each core: what was given back in one is of no use to the
    others, and a server that answers each question in a thread of its own fills one after the other.
    """
    _set(M_ARENA_MAX, ARENAS)


def remember_few_shapes() -> None:
    """Have PyTorch keep what it prepared for the last few shapes of a product of matrices; before it is imported.

    As it comes, it keeps half a megabyte for each of 1,024, once in PyTorch and once in oneDNN, and texts come in ever
    new lengths. To prepare anew takes no time that could be measured.
    """
    for cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache, str(SHAPES))


def _set(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(option, value)
