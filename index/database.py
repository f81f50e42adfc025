"""Where a catalog is: in a SQLite file of this computer, or in PostgreSQL, for several assistants.

The statements of a catalog are the same for both. What each does in its own way is here: how a reader sees one
moment, how writers come one after the other, how old text leaves the disk, and what an error means for the user.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from index.errors import StoreUnavailable
from index.stop import Stop

Place = Path | URL
"""The path of a SQLite file, or the address of a database in PostgreSQL."""

CATALOG = "catalog.sqlite"
"""Name of the file in the folder of an index."""
PATIENCE_MILLISECONDS = 30_000
"""How long a writer waits for another."""
TURN_SECONDS = 0.2
"""How often it is asked whether another sync has ended."""


class Database(Protocol):
    """What a catalog asks of the database it is in. Raises StoreUnavailable wherever it cannot be used."""

    place: Place
    index: str
    """Where the index is, for messages."""

    def exists(self) -> bool:
        """Say whether there may be a catalog."""

    def make(self) -> None:
        """Make room for a catalog."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Read, as everything is at one moment, while others may write."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Write all or nothing, after whoever writes now."""

    def turn(self, stop: Stop) -> AbstractContextManager[None]:
        """Wait until nobody else syncs, and let nobody until the block ends; raises Stopped where asked to stop."""

    def turn_if_free(self) -> AbstractContextManager[bool]:
        """Take the turn if nobody has it, and say whether that is so."""

    def number_after(self, connection: Connection, number: int) -> None:
        """See that no change number up to this one is given again."""

    def scrub(self, anew: bool) -> bool:
        """Take old text off the disk, as far as that is possible now; say whether it was.

        anew: whether documents are gone, so that it may be anywhere.
        """

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the files."""

    def close(self) -> None:
        """Close every connection."""


def database_at(place: Place) -> Database:
    """Name a database; it is opened when it is first used."""
    return SqliteFile(place) if isinstance(place, Path) else PostgreSQL(place)


class SqliteFile:
    """A file that one process at a time writes to (see lock.py), and any may read."""

    def __init__(self, path: Path) -> None:
        self.place: Place = path
        self.index = str(path.parent)
        self._path = path
        self._file: tuple[int, int] | None = None
        """Which file this is, once it has been used."""
        self._engine = _sqlite(path)
        self._writing_engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    def exists(self) -> bool:
        """Say whether there is a file."""
        return self._path.exists()

    def make(self) -> None:
        """Make the folder."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unavailable(
                f"catalog {self._path}", error.strerror or str(error), WHAT_SQLITE_SAYS, OTHERWISE
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read a snapshot of the log of the database."""
        with self._there(), self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the lock of the file from the beginning."""
        with self._there(), self._translated(), self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Raise where the file was deleted or replaced: the connections would go on with what nobody finds again."""
        if self._file and self._file != identity(self._path):
            raise StoreUnavailable(
                f"The catalog {self._path} is gone, or another is in its place. Put it back, or start Sourcier again."
            )
        yield
        self._file = self._file or identity(self._path)

    @contextmanager
    def turn(self, _: Stop) -> Iterator[None]:
        """Begin at once: the folder of the index has one owner, who does one sync at a time."""
        yield

    @contextmanager
    def turn_if_free(self) -> Iterator[bool]:
        """Say that it is."""
        yield True

    def number_after(self, connection: Connection, number: int) -> None:
        """Let the file remember the number as one that it has given."""
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'changes'"))
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', :seq)"), {"seq": number})

    def scrub(self, anew: bool) -> bool:
        """Write the database's log into the file, the file anew if asked; say whether the log could be emptied."""
        with self._translated(), self._raw() as cursor:
            if anew:
                cursor.execute("VACUUM")
            # Who reads is not waited for: the next time will do.
            cursor.execute("PRAGMA busy_timeout = 0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {PATIENCE_MILLISECONDS}")
        return row is not None and row[0] == 0

    def copy_to(self, file: Path) -> None:
        """Write all of it into a new file, as it is at this moment."""
        with self._translated(), self._raw() as cursor:
            cursor.execute("VACUUM INTO ?", (str(file),))

    def faults(self) -> Iterator[str]:
        """Yield what SQLite finds in the file itself: a connection that was used holds some of it in memory."""
        address = f"file:{quote(str(self._path.absolute()))}?mode=rw"
        with self._translated(), closing(sqlite3.connect(address, uri=True)) as connection:
            for (said,) in connection.execute("PRAGMA quick_check"):
                if said != "ok":
                    yield f"the file is damaged: {said}"

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _raw(self) -> Iterator[Any]:
        """Give a cursor outside of a transaction."""
        connection = self._engine.raw_connection()
        try:
            yield connection.cursor()
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
            raise _unavailable(f"catalog {self._path}", _reason(error), WHAT_SQLITE_SAYS, OTHERWISE) from error


class PostgreSQL:
    """A database of PostgreSQL, or the schema of it that comes first in `search_path`; several processes may write.

    A reader sees one moment (REPEATABLE READ). Who writes to the catalog holds a lock of the database until the end, so
    that change numbers are seen in the order in which they are given: a follower would else miss one that is committed
    after a higher one. Who syncs holds another lock, on a connection of its own, and loses it with that connection.
    """

    def __init__(self, url: URL) -> None:
        self.place: Place = url
        self.index = url.difference_update_query(PASSWORDS).render_as_string(hide_password=True)
        self._engine = _postgresql(url)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._turns = _postgresql(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def version(self) -> str:
        """Ask the server for its version."""
        with self.reading() as connection:
            return str(connection.scalar(text("SHOW server_version")))

    def exists(self) -> bool:
        """Say that there may be one: the tables tell."""
        return True

    def make(self) -> None:
        """See that text is stored as it is, and its characters counted as Python counts them."""
        with self.reading() as connection:
            encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise StoreUnavailable(
                f"The database {self.index} has the encoding {encoding}. Make one that has UTF8: "
                "createdb --encoding UTF8 --template template0 NAME"
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read a snapshot."""
        with self._translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the writers' lock until the end."""
        with self.alone("catalog") as connection:
            yield connection

    @contextmanager
    def alone(self, what: str) -> Iterator[Connection]:
        """Write all or nothing, while nobody else does `what`."""
        with self._translated(), self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_lock(what))))
            yield connection

    @contextmanager
    def turn(self, stop: Stop) -> Iterator[None]:
        """Wait for the lock of whoever syncs."""
        with self._translated(), self._turns.connect() as connection:
            while not _has_turn(connection):
                stop.check()
                time.sleep(TURN_SECONDS)
            yield

    @contextmanager
    def turn_if_free(self) -> Iterator[bool]:
        """Take that lock if it is free."""
        with self._translated(), self._turns.connect() as connection:
            yield _has_turn(connection)

    def number_after(self, connection: Connection, number: int) -> None:
        """Set the sequence of the numbers."""
        sequence = func.pg_get_serial_sequence("changes", "number")
        connection.execute(select(func.setval(sequence, max(number, 1), number > 0)))

    def scrub(self, anew: bool) -> bool:
        """Let new rows take the place of those that are gone; what was in it until then, PostgreSQL does not erase."""
        if anew:
            with self._translated(), self._turns.connect() as connection:
                connection.execute(text("VACUUM documents, chunks, paths"))
        return True

    def faults(self) -> Iterator[str]:
        """Yield nothing: its files are the server's."""
        yield from ()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            raise _unavailable(f"database {self.index}", _reason(error), WHAT_POSTGRESQL_SAYS, AGAIN) from error


def identity(path: Path) -> tuple[int, int] | None:
    """Tell a file or folder from another of its name, as one that is mounted there; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def postgresql_url(written: str) -> URL:
    """Read an address; raise ValueError, which does not tell it, where it is none of a database of PostgreSQL."""
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in {"postgresql", "postgres"} or not url.database:
        raise ValueError("it is not of the form postgresql://user:password@host:port/database")
    return url


def _postgresql(url: URL, **options: Any) -> Engine:
    """Make an engine whose connections notice within half a minute that the other side is gone or hangs, on both sides.

    Raises StoreUnavailable where the driver is not installed.
    """
    try:
        from index.connection import AttentiveConnection

        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={**CLIENT_NOTICES, **url.query},
            **options,
        )
    except ModuleNotFoundError:
        raise StoreUnavailable("The driver of PostgreSQL is missing. Run pip install 'sourcier[postgres]'") from None

    @event.listens_for(engine, "do_connect")
    def _connect(_: object, __: object, arguments: list[Any], parameters: dict[str, Any]) -> AttentiveConnection:
        return AttentiveConnection.connect(*arguments, **parameters)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        for name, value in SERVER_NOTICES.items():
            connection.execute(f"SET {name} = {value}")
        connection.commit()

    return engine


PASSWORDS = ("password", "sslpassword")
"""What of an address is not told, where it stands behind the question mark."""
CLIENT_NOTICES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "sourcier",
}
"""What libpq is told: seconds, and the last one milliseconds."""
SERVER_NOTICES = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "lock_timeout": PATIENCE_MILLISECONDS,
}
"""What the server is told, so that locks of a computer that vanished do not stay for hours, nor those of an assistant
that hangs hold up others; seconds, and the last one milliseconds."""


def _has_turn(connection: Connection) -> bool:
    return bool(connection.scalar(select(func.pg_try_advisory_lock(_lock("sync")))))


def _lock(what: str) -> Any:
    """Name a lock: PostgreSQL numbers them, for a whole database."""
    return func.hashtextextended(func.concat(f"sourcier {what} ", func.current_schema()), 0)


def _sqlite(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # Python's sqlite3 would begin at the first write only: what is read before would be of other moments.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MILLISECONDS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten. SQLite may leave pieces where it moved rows: these wait for `scrub`.
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


BUILD_AGAIN = "Build it again from your files: assistant index --rebuild FOLDER"
WHAT_SQLITE_SAYS = {
    "full": "Free some space and run the command again; what is indexed so far is kept.",
    "malformed": BUILD_AGAIN,
    "not a database": BUILD_AGAIN,
    "no such table": BUILD_AGAIN,
    "readonly": "Make the folder writable, or set INDEX_PATH to another folder.",
    "unable to open": "Make the folder writable, or set INDEX_PATH to another folder.",
    "already exists": "Open it, or delete the folder and index again.",
    "locked": "Another process is writing to it: try again when it is done.",
}
"""What it says → what the user can do about it."""
OTHERWISE = "Check the disk's free space and the folder's permissions, and run the command again."
WHAT_POSTGRESQL_SAYS = {
    "authentication": "Correct the name or the password in its address.",
    "already exists": "Open it, or name another database in its address.",
    "does not exist": "Make it, or set its address to another.",
    "lock timeout": "Another assistant writes to it: try again when it is done.",
    "permission denied": "Let this user make tables and write to them, or set its address to another.",
}
AGAIN = "See that it runs, can be reached and has room, then try again; what is indexed so far is kept."


def _reason(error: Exception) -> str:
    """Give the first line of what the database says; the others are of the statement."""
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return said.partition("\n")[0].rstrip(".")


def _unavailable(name: str, reason: str, advices: Mapping[str, str], otherwise: str) -> StoreUnavailable:
    advice = next((advice for said, advice in advices.items() if said in reason), otherwise)
    return StoreUnavailable(f"The {name} cannot be used: {reason}. {advice}")
