"""What several assistants share in PostgreSQL beside conversations: API keys, counted questions, a secret."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict

from limits import RateLimitItem
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Float,
    Index,
    MetaData,
    String,
    Table,
    delete,
    extract,
    func,
    insert,
    select,
)

from assistant.keys import Key, Keys
from index.database import PostgreSQL


class Shared:
    """The tables, made where they are missing. Every use raises StoreUnavailable where the database is away."""

    def __init__(self, url: URL) -> None:
        self.database = PostgreSQL(url)
        with self.database.alone("tables") as connection:
            _schema.create_all(connection)

    def secret(self) -> bytes:
        """Give the secret that all sign tokens with; whoever comes first makes it."""
        with self.database.alone("secret") as connection:
            secret = connection.scalar(select(_secrets.c.secret))
            if secret is None:
                secret = secrets.token_hex(32)
                connection.execute(insert(_secrets), {"secret": secret})
        return bytes.fromhex(secret)

    def count(self, wanted: Sequence[tuple[RateLimitItem, str]]) -> float | None:
        """Count a question in each of the windows, see limits.Windows; by the clock of the database, for all.

        Names are kept as hashes, and no longer than the longest window.
        """
        with self.database.alone("questions") as connection:
            now = connection.scalar(select(extract("epoch", func.clock_timestamp()).cast(Float))) or 0.0
            for window, name in wanted:
                # If it lies in the window, the window is full until it leaves.
                last = _moment_of_last(connection, _hashed(name), window.amount)
                if last is not None and last > now - window.get_expiry():
                    return last + window.get_expiry() - now
            names = {_hashed(name) for _, name in wanted}
            connection.execute(insert(_questions), [{"name": name, "moment": now} for name in names])
            longest = max(window.get_expiry() for window, _ in wanted)
            connection.execute(delete(_questions).where(_questions.c.moment <= now - longest))
        return None


class SharedKeys(Keys):
    """The keys in the database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database

    def all(self) -> list[Key]:
        """List the keys, oldest first."""
        with self._database.reading() as connection:
            return _read_keys(connection)

    def change(self, change: Callable[[list[Key]], list[Key]]) -> None:
        """Put what is made of the keys in their place."""
        with self._database.alone("keys") as connection:
            changed = change(_read_keys(connection))
            connection.execute(delete(_keys))
            if changed:
                connection.execute(insert(_keys), [asdict(key) for key in changed])


_schema = MetaData()
_keys = Table(
    "keys",
    _schema,
    Column("id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created", String, nullable=False),
    Column("hash", String, primary_key=True),
)
_secrets = Table("secrets", _schema, Column("secret", String, primary_key=True))
_questions = Table(
    "questions",
    _schema,
    Column("name", String, nullable=False),
    Column("moment", Float(53), nullable=False, index=True),
    Index("ix_questions_name_moment", "name", "moment"),
)
"""Questions that were let through; moments in seconds of Unix."""


def _read_keys(connection: Connection) -> list[Key]:
    rows = connection.execute(select(_keys).order_by(_keys.c.created)).mappings()
    return [Key(**row) for row in rows]


def _moment_of_last(connection: Connection, name: str, amount: int) -> float | None:
    """Give the moment of the question that is the amount-th from the last."""
    moments = select(_questions.c.moment).where(_questions.c.name == name).order_by(_questions.c.moment.desc())
    return connection.scalar(moments.offset(amount - 1).limit(1))


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()
