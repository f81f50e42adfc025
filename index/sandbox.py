"""Loads documents in a child process with limits: one that breaks its parser is a row of the report.

    with Sandbox(Limits()) as sandbox:
        documents = sandbox.load(path)

The child reads one file after the other. It is replaced when it has crashed, when a file took too much, and
when it holds too much. Where it crashes on a file after others, a new child reads that file once more: the
damage may be from before.

Parent and child exchange lines of JSON. What comes back is plain data of limited size, whatever a document
may have made of the child.
"""

import errno
import fcntl
import importlib
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Self

from langchain_core.documents import Document
from pydantic import Field, TypeAdapter, ValidationError

from index.errors import IndexingError, UnreadableFile
from index.landlock import confine

Load = Callable[[Path], Iterable[Document]]
"""As index.load.load does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may take."""

    seconds: int = 60
    """Of processor time, all threads together."""
    wall_seconds: float = 120
    """Longer than the processor may work: disks are slow, and other programs busy."""
    memory_bytes: int = 2 * 1024**3
    """All that the child holds; 30 MB of it before it reads anything."""
    characters: int = 20_000_000
    pages: int = 10_000
    """Slides and sheets too: the highest number that a loader gives as `page`."""

    @property
    def reply_bytes(self) -> int:
        """How much the child may say: in JSON, 6 bytes at the most for a character, and as much for metadata."""
        return 12 * self.characters


class Sandbox:
    """A child process that loads documents; started when it is first needed, stopped by `close`.

    One thread at a time may use it.
    """

    def __init__(
        self, limits: Limits, loader: str = "index.load:load", check: Callable[[], None] = lambda: None
    ) -> None:
        """Start nothing yet.

        Args:
            loader: `module:function`, as index.load.load; imported in the child only.
            check: called a few times a second while a file is read; what it raises stops the reading at once.
        """
        self._limits = limits
        self._check = check
        self._loader = loader
        self._child: _Child | None = None
        self._scratch = TemporaryDirectory(prefix="sourcier-", ignore_cleanup_errors=True)

    def load(self, path: Path) -> list[Document]:
        """Load a file as the loader does.

        Raises:
            UnreadableFile: the loader raised it or another error, crashed, or took more than the limits allow.
            IndexingError: no child can be started.
        """
        if self._child and self._child.lives:
            with suppress(_Crash):
                return self._child.load(path)
        try:
            return self._new_child().load(path)
        except _Crash as crash:
            raise UnreadableFile(str(crash)) from None

    def close(self) -> None:
        """Stop the child, whatever it is doing."""
        if self._child:
            self._child.stop()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_child(self) -> "_Child":
        try:
            self._child = _Child(self._limits, self._loader, self._scratch.name, self._check)
            self._child.wait_until_ready()
        except (_Crash, UnreadableFile, OSError) as error:
            raise IndexingError(
                f"The process that reads documents does not start: {error}. Check the installation: "
                f"{sys.executable} -c 'import {self._loader.partition(':')[0]}'"
            ) from error
        return self._child


class _Crash(Exception):
    """The child died; the message is the reason for the report, should the file be to blame."""


Value = str | Annotated[int, Field(ge=0, lt=2**31)] | None
"""Of metadata."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the child says, once when it is ready and then of each file."""

    pages: list[tuple[str, dict[str, Value]]]
    """Text and metadata."""
    unreadable: str | None = None
    """Why there are no pages."""


_REPLY = TypeAdapter(_Reply)

ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "TESSDATA_PREFIX")
"""All that the child is told of our environment: in the rest there may be keys."""
OUT_OF_MEMORY = errno.ENOMEM
"""Exit status of a child whose loader raised MemoryError."""
WAIT_SECONDS = 0.25
"""Between two looks at whether to go on."""
START_SECONDS = 120
DYING_SECONDS = 5
"""From its last word to its end the child needs a moment; this is ample."""
RECEIVED_BYTES = 1024**2
REASON_CHARACTERS = 300


class _Child:
    """A process that loads files, and the channel to it."""

    def __init__(self, limits: Limits, loader: str, scratch: str, check: Callable[[], None]) -> None:
        """Start it; it may write below the folder `scratch`."""
        self._limits = limits
        self._check = check
        self._channel, theirs = socket.socketpair()
        with theirs, ExitStack() as undone:
            undone.callback(self._channel.close)
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "index.sandbox", str(theirs.fileno()), loader, json.dumps(asdict(limits))],
                cwd=Path(__file__).resolve().parent.parent,
                # What libraries keep in between, or hand to other programs, is gone at the end.
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
                | {"TMPDIR": scratch, "XDG_CACHE_HOME": scratch},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Ctrl-C in the terminal is for us alone.
                start_new_session=True,
            )
            undone.pop_all()
        self._channel.settimeout(WAIT_SECONDS)

    @property
    def lives(self) -> bool:
        """Whether it was not stopped; it may have died by itself."""
        return self._channel.fileno() != -1

    def wait_until_ready(self) -> None:
        """Return when it can load files; raises UnreadableFile or _Crash if it never will."""
        self._exchange(b"", START_SECONDS)

    def load(self, path: Path) -> list[Document]:
        """Let it load a file; raises UnreadableFile, or _Crash where another file may be to blame."""
        reply = self._exchange(_line(str(path.absolute())), self._limits.wall_seconds)
        return [Document(page_content=text, metadata=metadata) for text, metadata in reply.pages]

    def stop(self) -> None:
        """End it, and what it started."""
        if not self.lives:
            return
        self._channel.close()
        with self._process, suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _exchange(self, request: bytes, seconds: float) -> _Reply:
        try:
            self._channel.sendall(request)
            reply = _REPLY.validate_json(self._listen(seconds))
        except (EOFError, ConnectionError):
            raise self._end() from None
        except ValidationError:
            self.stop()
            raise _Crash("the reader crashed on it (what it says is no text)") from None
        except BaseException:
            # Ctrl-C among them: a reply that comes later would be taken for that to the next request.
            self.stop()
            raise
        if reply.unreadable is not None:
            raise UnreadableFile(_plain(reply.unreadable))
        return reply

    def _listen(self, seconds: float) -> bytearray:
        """Receive a line. Until it begins, only time that we were awake counts: the clock goes on without us."""
        waits = math.ceil(seconds / WAIT_SECONDS)
        while not (line := self._received()):
            waits -= 1
            if not waits:
                raise UnreadableFile(_too_long(f"{seconds:g} seconds"))
        end = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            line += self._received()
            if len(line) > self._limits.reply_bytes:
                raise UnreadableFile(_too_much_text(self._limits))
            if time.monotonic() > end:
                raise UnreadableFile(_too_long(f"{seconds:g} seconds"))
        return line

    def _received(self) -> bytearray:
        """Receive what there is; nothing, when for a moment there is nothing."""
        self._check()
        try:
            part = self._channel.recv(RECEIVED_BYTES)
        except TimeoutError:
            return bytearray()
        if not part:
            raise EOFError
        return bytearray(part)

    def _end(self) -> Exception:
        """Say what it died of."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)
        self.stop()
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return UnreadableFile(_too_long(f"{self._limits.seconds} seconds of processor time"))
        if status == OUT_OF_MEMORY:
            megabytes = self._limits.memory_bytes // 1024**2
            return _Crash(f"reading it takes more than {megabytes:,} MB of memory; {MORE_MEMORY}")
        if status in (-signal.SIGABRT, -signal.SIGKILL):
            # Libraries abort when they are refused memory; the kernel kills when there is none left.
            return _Crash(f"the reader crashed on it, perhaps for want of memory; {MORE_MEMORY}")
        return _Crash(f"the reader crashed on it ({_death(status)})")


MORE_MEMORY = "INDEX_FILE_MEMORY_MEGABYTES allows more"


def _too_long(time: str) -> str:
    return f"reading it takes more than {time}; INDEX_FILE_SECONDS allows more"


def _too_much_text(limits: Limits) -> str:
    return f"more than {limits.characters:,} characters of text; split it into smaller files"


def _death(status: int) -> str:
    return f"{signal.strsignal(-status)}" if status < 0 else f"exit status {status}"


def _plain(reason: str) -> str:
    """Give a reason as one line that can be printed: libraries quote the document in theirs."""
    line = "".join(sign if sign.isprintable() else " " for sign in reason)
    return " ".join(line.split())[:REASON_CHARACTERS]


def _line(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode(errors="replace") + b"\n"


def main(descriptor: str, loader: str, limits: str) -> None:
    """Be the child: load the files that the parent names, one a line, until it is gone."""
    _end_with_the_parent()
    allowed = Limits(**json.loads(limits))
    with socket.socket(fileno=int(descriptor)) as channel:
        channel.set_inheritable(False)
        try:
            load = _loader(loader)
            _confine(allowed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent says it
            channel.sendall(_line(asdict(_Reply([], _failure(error)))))
            return
        channel.sendall(_line(asdict(_Reply([]))))
        for request in channel.makefile("rb"):
            channel.sendall(_load(load, Path(json.loads(request)), allowed))
            if _memory_bytes("VmRSS") > allowed.memory_bytes // 2:
                return


def _end_with_the_parent() -> None:
    """Let the kernel end this process, in the midst of whatever it does, when the parent's end of the pipe closes.

    Not by PR_SET_PDEATHSIG, which is sent when the thread ends that started this process.
    """
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    fcntl.fcntl(sys.stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sys.stdin, fcntl.F_SETFL, fcntl.fcntl(sys.stdin, fcntl.F_GETFL) | os.O_ASYNC)


def _confine(limits: Limits) -> None:
    most = {
        resource.RLIMIT_CORE: 0,
        # Not RLIMIT_AS: every thread reserves 64 MB of addresses, and fills few of them.
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.memory_bytes,
    }
    for kind, wanted in most.items():
        _, inherited = resource.getrlimit(kind)
        limit = wanted if inherited == resource.RLIM_INFINITY else min(wanted, inherited)
        resource.setrlimit(kind, (limit, limit))
    with suppress(OSError):
        # When memory runs out, the kernel kills this process before others.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    confine([Path(os.environ["TMPDIR"]), Path(os.devnull)])


def _load(load: Load, path: Path, limits: Limits) -> bytes:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + limits.seconds, hard))
    try:
        return _line(asdict(_Reply(_pages(load(path), limits))))
    except UnreadableFile as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or str(error)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - of any library
        reason = f"the reader failed on it: {_failure(error)}"
    if _memory_bytes("VmHWM") > 0.9 * limits.memory_bytes:
        # Some libraries say then that the file is broken. This one, or what was read before it: a new child will see.
        os._exit(OUT_OF_MEMORY)
    return _line(asdict(_Reply([], reason)))


def _pages(documents: Iterable[Document], limits: Limits) -> list[tuple[str, dict[str, Value]]]:
    pages: list[tuple[str, dict[str, Value]]] = []
    characters = 0
    for document in documents:
        characters += len(document.page_content)
        if characters > limits.characters:
            raise UnreadableFile(_too_much_text(limits))
        if (document.metadata.get("page") or 0) > limits.pages:
            raise UnreadableFile(f"more than {limits.pages:,} pages; split it into smaller files")
        pages.append((document.page_content, document.metadata))
    return pages


def _loader(name: str) -> Load:
    module, _, function = name.partition(":")
    load: Load = getattr(importlib.import_module(module), function)
    return load


def _failure(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _memory_bytes(which: str) -> int:
    """How much memory this process holds, `VmRSS`, or has held at the most, `VmHWM`; 0 where there is no /proc."""
    with suppress(OSError), Path("/proc/self/status").open(encoding="utf-8", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(which))
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
