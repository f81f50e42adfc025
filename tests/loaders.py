"""Loaders that behave as a broken or subverted parser might; run in the child process of a sandbox, never here.

`load` does to a file what its name says: abort.txt aborts.
"""

import collections
import ctypes
import importlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from langchain_core.documents import Document

MEGABYTE = 1024 * 1024


def load(path: Path) -> Iterable[Document]:
    return globals()[path.stem](path)


def text(path: Path) -> Iterable[Document]:
    return [said(path.read_text("utf-8"))]


def said(content: object) -> Document:
    return Document(page_content=str(content), metadata={"title": "Title", "page": 1})


def process(path: Path) -> Iterable[Document]:
    """Say which process reads."""
    return [said(os.getpid())]


def surroundings(path: Path) -> Iterable[Document]:
    """Say what the process knows, once it has imported what reads real files."""
    importlib.import_module("index.load")
    return [said(json.dumps({"environment": dict(os.environ), "modules": sorted(sys.modules)}))]


def abort(path: Path) -> Iterable[Document]:
    os.abort()


def read_null(path: Path) -> Iterable[Document]:
    ctypes.string_at(0)
    return []


def crash_unless_first(path: Path) -> Iterable[Document]:
    """Crash in the process that the file names."""
    if path.read_text("utf-8") == str(os.getpid()):
        os.abort()
    return [said("Bonjour.")]


def leave(path: Path) -> Iterable[Document]:
    os._exit(0)


def raise_exit(path: Path) -> Iterable[Document]:
    raise SystemExit(3)


def raise_error(path: Path) -> Iterable[Document]:
    raise ValueError(f"\x1b[31mcannot\nread{'!' * 5_000}")


def recurse(path: Path) -> Iterable[Document]:
    return recurse(path)


def raise_disk_error(path: Path) -> Iterable[Document]:
    (path.parent / "vanished.txt").read_text("utf-8")
    return []


def loop(path: Path) -> Iterable[Document]:
    while True:
        pass


def loop_in_c(path: Path) -> Iterable[Document]:
    """Never let another thread of Python run."""
    collections.deque(itertools.count(), maxlen=0)
    return []


def read_then_loop_in_c(path: Path) -> Iterable[Document]:
    """Return from the pipe when somebody writes to it, then never again."""
    path.read_text("utf-8")
    return loop_in_c(path)


def work(path: Path) -> Iterable[Document]:
    """Keep the processor busy for 0.7 seconds."""
    end = time.process_time() + 0.7
    while time.process_time() < end:
        pass
    return process(path)


def sleep(path: Path) -> Iterable[Document]:
    time.sleep(1_000)
    return []


def stop(path: Path) -> Iterable[Document]:
    os.kill(os.getpid(), signal.SIGSTOP)
    return []


def read_input(path: Path) -> Iterable[Document]:
    return [said(sys.stdin.read())]


def allocate(path: Path) -> Iterable[Document]:
    held = [bytearray(MEGABYTE) for _ in itertools.count()]
    return [said(len(held))]


def allocate_at_once(path: Path) -> Iterable[Document]:
    return [said("x" * 10**12)]


def allocate_and_say_broken(path: Path) -> Iterable[Document]:
    """Take a refusal of memory for an error in the file, as libxml2 does."""
    held = []
    try:
        while True:
            held.append(b"x" * (MEGABYTE + len(held)))
    except MemoryError:
        held.clear()
        raise ValueError("unknown error") from None


def hold(path: Path) -> Iterable[Document]:
    """Leak 120 MB, as a library might."""
    hold.leaked = bytearray(b"x") * (120 * MEGABYTE)
    return process(path)


def print_garbage(path: Path) -> Iterable[Document]:
    print("garbage", flush=True)
    for descriptor in (1, 2):
        os.write(descriptor, b"\xff garbage \n" * 10_000)
    return text(path)


def answer_garbage(path: Path) -> Iterable[Document]:
    """Say on the channel to the parent what is no reply."""
    write_to_parent(b'{"pages": [["text", {"page": [1]}]]}\n')
    return text(path)


def answer_without_end(path: Path) -> Iterable[Document]:
    while True:
        write_to_parent(b"x" * MEGABYTE)


def write_to_parent(content: bytes) -> None:
    for descriptor in range(3, 256):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as channel:
                channel.sendall(content)
        except OSError:
            continue


def pages_without_end(path: Path) -> Iterable[Document]:
    return (Document(page_content="page", metadata={"page": number}) for number in itertools.count(1))


def text_without_end(path: Path) -> Iterable[Document]:
    return (said("x" * MEGABYTE) for _ in itertools.count())


def strange_text(path: Path) -> Iterable[Document]:
    return [said("a\nb\0c\ud800d\u2028e\U0001f600")]


def write(path: Path) -> Iterable[Document]:
    """Try to write beside the document, over it, and into the own temporary folder; say what came of it."""
    places = [path.parent / "escaped.txt", path, Path(os.environ["TMPDIR"]) / "scratch.txt"]
    return [said(json.dumps([outcome(lambda place=place: place.write_text("x")) for place in places]))]


def delete(path: Path) -> Iterable[Document]:
    return [said(outcome(path.unlink))]


def connect(path: Path) -> Iterable[Document]:
    port = int(path.read_text("utf-8"))
    return [said(outcome(lambda: socket.create_connection(("127.0.0.1", port))))]


def outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"


def start_a_process(path: Path) -> Iterable[Document]:
    """Start another process that does not end, and say which."""
    return [said(subprocess.Popen(["sleep", "1000"]).pid)]
