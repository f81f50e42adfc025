"""A real PostgreSQL server on loopback, to be cut off and brought back in the middle of things.

It sorts words as French does, so that what depends on the order of characters is seen to ask for it.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

UNPACKED = Path(".venv/postgresql").absolute()
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/bin", f"{UNPACKED}/usr/lib/postgresql/*/bin")
PROGRAMS = next(
    (file.parent for place in PLACES for file in sorted(Path("/").glob(f"{place[1:]}/initdb"), reverse=True)), None
)
MISSING = "PostgreSQL is missing: make postgresql"
NAME, PASSWORD = "sourcier", "très-secret"
numbers = count(1)


class PostgresServer:
    """A server with a database of its own, on a free port, which stays the same from start to start."""

    def __init__(self) -> None:
        assert PROGRAMS, MISSING
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        (self._folder / "password").write_text(PASSWORD, "utf-8")
        if os.geteuid() == 0:
            for path in (self._folder, self._folder / "password"):
                shutil.chown(path, "nobody", "nogroup")
        sorting = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=fr"]
        access = [f"--username={NAME}", f"--pwfile={self._folder / 'password'}", "--auth=scram-sha-256"]
        command = self._program("initdb", f"--pgdata={self._folder / 'data'}", "--no-sync", *sorting, *access)
        done = subprocess.run(command, capture_output=True, check=False, text=True, cwd="/", env=_environment())
        assert done.returncode == 0, done.stderr

    @property
    def url(self) -> URL:
        """The address of the database."""
        return URL.create("postgresql", NAME, PASSWORD, "127.0.0.1", self.port, "postgres")

    def run(self) -> None:
        """Wait until it answers, started if it does not run."""
        if self._process:
            return
        # What is written is not brought to the disk: here the computer never dies.
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        options = [part for setting in settings for part in ("-c", setting)]
        command = self._program("postgres", "-D", str(self._folder / "data"), *options)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", env=_environment())
        deadline = monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and monotonic() < deadline, (self._folder / "log").read_text("utf-8")
            sleep(0.02)

    def cut(self) -> None:
        """Let it die where it stands, with all connections."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it take connections and what is sent, and answer nothing, until the block ends."""
        assert self._process
        first = self._process.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text("ascii").split()
        try:
            for process in (first, *map(int, children)):
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in (*map(int, children), first):
                os.kill(process, signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.cut()
        shutil.rmtree(self._folder)

    @contextmanager
    def schema(self) -> Iterator[URL]:
        """Make an empty place in the database, and give its address."""
        name = f"test_{next(numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        yield self.url.update_query_dict({"options": f"-csearch_path={name}"})
        self.run()
        self.execute(f"DROP SCHEMA {name} CASCADE")

    def execute(self, statement: str) -> None:
        """Do something as another client would."""
        url = self.url.set(drivername="postgresql+psycopg")
        with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(statement))

    def _program(self, name: str, *arguments: str) -> list[str]:
        """Give the command, as nobody where root runs the tests: PostgreSQL refuses to run as root."""
        drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        return [*drop, str(PROGRAMS / name), *arguments]

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True


def _environment() -> dict[str, str]:
    libraries = [str(folder) for folder in UNPACKED.glob("usr/lib/*-linux-gnu")]
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {**os.environ}
