"""Processes of a test, to be killed: each is a fork of one that has imported everything, and so is there at once."""

import ctypes
import logging
import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Tell = Callable[[Any], None]
"""Tells something to the test, which has it whatever becomes of the process."""

forks = multiprocessing.get_context("forkserver")
# Imported, but nothing opened: Chroma's threads would not be in the forks.
forks.set_forkserver_preload(
    [
        __name__,
        "pytest",
        "index.build",
        "index.vectors",
        "index.lexical",
        "index.search",
        "sentence_transformers",
        "assistant.web.app",
        "assistant.web.mcp",
        "tests.fakes",
    ]
)
COMMAND_SECONDS = 240
NOTHING = Path(os.devnull)


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


def command(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, with this environment alone, without a network: see tests.network."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        process = start_command(*arguments, env=env, stdout=files[0], stderr=files[1])
        process.join(COMMAND_SECONDS)
        process.kill()
        process.join()
        shown, said = (file.read_bytes().decode() for file in files)
    return subprocess.CompletedProcess(arguments, process.exitcode, shown, said)


def start_command(
    *arguments: str, env: Mapping[str, str], stdout: Path, stderr: Path, stdin: Path = NOTHING
) -> BaseProcess:
    """Start the command line as `command` does; what it writes comes to the end of these files."""
    files = {0: stdin, 1: stdout, 2: stderr}
    process = forks.Process(target=_command, args=(arguments, dict(env), files))
    process.start()
    return process


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


def _command(arguments: tuple[str, ...], env: Mapping[str, str], files: Mapping[int, Path]) -> None:
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # As it is where nobody has asked for it yet.
    for number, file in files.items():
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["assistant", *arguments]
    runpy.run_module("tests.network", run_name="__main__", alter_sys=True)


def _tell_through(sending: Connection, function: Callable[..., None], *arguments: object) -> None:
    function(sending.send, *arguments)
