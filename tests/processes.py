"""Processes of a test, to be killed: each is a fork of one that has imported everything, and so is there at once."""

import ctypes
import logging
import multiprocessing
import resource
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

Tell = Callable[[Any], None]
"""Tells something to the test, which has it whatever becomes of the process."""

forks = multiprocessing.get_context("forkserver")
# Imported, but nothing opened: Chroma's threads would not be in the forks.
forks.set_forkserver_preload([__name__, "index.build", "index.vectors", "index.lexical", "index.search", "tests.fakes"])


def run(function: Callable[..., None], *arguments: object) -> list[Any]:
    """Run a function, whose first argument is a Tell, in a process of its own; give all that it tells."""
    process, said = start(function, *arguments)
    messages = list(listen(said))
    process.join()
    assert process.exitcode == 0
    return messages


def start(function: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    """Start it, and give the process and what it tells."""
    receiving, sending = forks.Pipe(duplex=False)
    process = forks.Process(target=_tell_through, args=(sending, function, *arguments))
    process.start()
    sending.close()
    return process, receiving


def listen(said: Connection) -> Iterator[Any]:
    """Give what is told, until the process ends."""
    while True:
        try:
            yield said.recv()
        except (EOFError, OSError):
            return


def limit_files(size: int) -> None:
    """Let no file grow beyond this size, in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def obey_permissions() -> None:
    """Take from the superuser, if this is one, the right to write where permissions forbid it."""
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    capabilities = (ctypes.c_uint32 * 6)()
    assert library.capget(header, capabilities) == 0
    capabilities[0] &= ~0b1110  # effective: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    assert library.capset(header, capabilities) == 0


class Telling(logging.Handler):
    """Tells what is logged."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(("log", record.getMessage()))


def _tell_through(sending: Connection, function: Callable[..., None], *arguments: object) -> None:
    function(sending.send, *arguments)
