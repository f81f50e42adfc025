"""API keys: who holds one may use the API from anywhere. A file keeps their hashes, never the keys themselves.

A key has 256 random bits, so that a plain hash is enough: nobody can try them all.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from tempfile import NamedTemporaryFile

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from assistant.errors import KeyNotFound, KeysUnreadable

PREFIX = "sourcier-"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key."""

    id: str
    name: str
    """Whose it is, in the owner's words."""
    created: str
    """ISO 8601, in UTC."""
    hash: str
    """SHA-256 of the key, hexadecimal."""


KEYS = TypeAdapter(list[Key])


class Keys:
    """The keys in a file, read again when it changes: a key that is revoked opens nothing any more, at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int] | None, list[Key]] = (None, [])

    def create(self, name: str) -> str:
        """Make a key and return it; this is the only time that it can be seen."""
        key = PREFIX + secrets.token_urlsafe(32)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        self.change(lambda keys: [*keys, Key(_hash(key)[:8], name, created, _hash(key))])
        return key

    def revoke(self, id: str) -> Key:
        """Forget a key.

        Raises:
            KeyNotFound: there is none with this id.
        """
        revoked = [key for key in self.all() if key.id == id]
        if not revoked:
            raise KeyNotFound(f"No key {id!r}. List them: assistant keys list")
        self.change(lambda keys: [key for key in keys if key.id != id])
        return revoked[0]

    def all(self) -> list[Key]:
        """List the keys, oldest first.

        Raises:
            KeysUnreadable: the file is damaged, or not for this user.
        """
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns)
            with self._lock:
                if self._read[0] != seen:
                    self._read = seen, KEYS.validate_json(self._path.read_bytes())
                return self._read[1]
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise KeysUnreadable(
                f"The API keys in {self._path} cannot be read: {reason}. Let this user read it or put a backup in its "
                "place; or delete it and make other keys: assistant keys create NAME"
            ) from error

    def find(self, key: str) -> Key | None:
        """Give what is known of a key; None if it is not one of these."""
        hashed = _hash(key)
        return next((known for known in self.all() if compare_digest(known.hash, hashed)), None)

    def change(self, change: Callable[[list[Key]], list[Key]]) -> None:
        """Put what is made of the keys in their place; nobody else changes them meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock"):
            self._write(change(self.all()))

    def _write(self, keys: list[Key]) -> None:
        # Such a file is readable by its user alone, and takes the place of the old one whole.
        with NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
            json.dump([asdict(key) for key in keys], file, indent=2)
        Path(file.name).replace(self._path)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
