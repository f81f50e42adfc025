"""Takes from this process what a reader of documents never needs: to write files and to open connections.

By Landlock, which asks for no privilege: Linux 5.13 or newer, unless the distribution has turned it off.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path


def version() -> int:
    """Say which version of Landlock the kernel has: 1 knows files, 4 connections too (Linux 6.7); 0 is none."""
    return max(0, _landlock(CREATE_RULESET, None, 0, VERSION)) if sys.platform == "linux" else 0


def confine(writable: Iterable[Path]) -> None:
    """Write only to these files and below these folders from now on, and open no TCP connection.

    Holds for this thread and whatever it starts; reading stays as it is. What the kernel's version does not know
    stays allowed.

    Raises:
        OSError: one of the paths is not there.
    """
    known = version()
    if not known:
        return
    writing = sum(1 << bit for bit, since in WRITING.items() if since <= known)
    handled = (ctypes.c_uint64 * 2)(writing, TCP)
    size = ctypes.sizeof(handled) if known >= TCP_SINCE else ctypes.sizeof(ctypes.c_uint64)
    with ExitStack() as opened:
        ruleset = _checked(_landlock(CREATE_RULESET, handled, size, 0))
        opened.callback(os.close, ruleset)
        for path in writable:
            place = os.open(path, os.O_PATH)
            opened.callback(os.close, place)
            beneath = _PathBeneath(writing if path.is_dir() else writing & OF_A_FILE, place)
            _checked(_landlock(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(beneath), 0))
        _checked(_libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(_landlock(RESTRICT_SELF, ruleset, 0))


# Numbers of <linux/landlock.h> and <linux/prctl.h>; these system calls are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
PATH_BENEATH = 1
NO_NEW_PRIVILEGES = 38
WRITING = {1: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1, 11: 1, 12: 1, 13: 2, 14: 3}
"""Bits of the rights to write, remove, make, link and truncate → the version of Landlock that knows them."""
OF_A_FILE = 1 << 1 | 1 << 14
"""To write and to truncate."""
TCP = 1 << 0 | 1 << 1
"""To listen and to connect."""
TCP_SINCE = 4


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("place", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def _landlock(call: int, *arguments: object) -> int:
    return int(_libc.syscall(call, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
