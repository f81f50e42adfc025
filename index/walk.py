"""folders → the files in them that are read, and why the others are not."""

import errno
import hashlib
import os
import stat
from collections.abc import Set
from pathlib import Path

from index.errors import NothingToIndex, UnreadableFile
from index.load import loader_id
from index.stop import Stop
from index.types import Unreadable

HASHED_BYTES = 1024**2
"""How much of a file is held in memory to sum it up."""
INDEX_FILES = ("lock", "catalog.sqlite")
"""What a folder holds that is an index: its files are no documents."""


class Found:
    """What is below the roots, by absolute path with all links followed."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.hashes: dict[str, str] = {}
        """Of the content of each file that a loader reads."""
        self.loaders: dict[str, str] = {}
        """Ids of the loaders that read these files."""
        self.unread: set[Path] = set()
        """Files and folders that are there but cannot be read: what is indexed of them is kept."""
        self.unreadable: set[Unreadable] = set()
        self.passed: set[Path] = set()
        """What is hidden, and folders that hold an index: what lies there is looked at only if it is named itself."""

    def walk(self, root: Path) -> None:
        """Look at a file, or at a folder and all that is in it."""
        if root.is_file():
            self._look_at(root)
            return
        for folder, folders, files in os.walk(root, onerror=self._cannot_list):
            here = Path(folder)
            folders[:] = [name for name in sorted(folders) if self._enters(here / name, root)]
            for name in sorted(files):
                if self._enters(here / name, root):
                    self._look_at(real(here / name))

    def _enters(self, path: Path, root: Path) -> bool:
        if path.name.startswith("."):
            self._skip(path, "hidden")
            self.passed.add(path)
            return False
        if not path.is_symlink():
            return not self._is_index(path)
        target = real(path)
        if not target.exists():
            self._skip(path, "a link to nothing")
        elif not target.is_relative_to(root):
            self._skip(path, f"a link out of {shown(root)}")
        elif any(part.startswith(".") for part in target.relative_to(root).parts):
            self._skip(path, "a link to something hidden")
        # What a link within the root leads to is found where it is.
        return False

    def _is_index(self, path: Path) -> bool:
        if not all((path / name).is_file() for name in INDEX_FILES):
            return False
        self._skip(path, "an index")
        self.passed.add(path)
        return True

    def _look_at(self, file: Path) -> None:
        path = str(file)
        if path in self.hashes or file in self.unread:
            return
        if not _is_text(path):
            self._skip(file, "its name is not Unicode; rename it")
            return
        if not file.is_file():
            self._skip(file, "not a regular file")
            return
        try:
            with self._stop.interruptible():
                loader = loader_id(file)
                self.hashes[path] = hash_of(file)
                self.loaders[path] = loader
        except UnreadableFile as error:
            self._keep(file, str(error))
        except OSError as error:
            self._keep(file, error.strerror or str(error))

    def _cannot_list(self, error: OSError) -> None:
        self._keep(Path(error.filename), error.strerror or str(error))

    def _keep(self, path: Path, reason: str) -> None:
        self.unread.add(path)
        self._skip(path, reason)

    def _skip(self, path: Path, reason: str) -> None:
        self.unreadable.add(Unreadable(shown(path), reason))


def resolved(path: Path) -> Path:
    """Make a path absolute, links followed; raise NothingToIndex where there is nothing."""
    try:
        path.stat()
        return real(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NothingToIndex(f"Cannot index {shown(path)}: {reason}. Check the path.") from error


def real(path: Path) -> Path:
    """Make a path absolute, links followed, whether something is there or not; a circle of links stays as it is."""
    return Path(os.path.realpath(path))


def is_below(path: str, parents: Set[Path]) -> bool:
    """Say whether a path is one of the parents or in one of them."""
    place = Path(path)
    return place in parents or any(parent in parents for parent in place.parents)


def hash_of(file: Path) -> str:
    """Sum up a file as long as it is now, by SHA-256 in hexadecimal: one that grows all the while has no end.

    Raises OSError for a pipe that was put in its place, which would have to be waited for.
    """
    sha256 = hashlib.sha256()
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as content:
        status = os.fstat(content.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        left = status.st_size
        while block := content.read(min(left, HASHED_BYTES)):
            sha256.update(block)
            left -= len(block)
    return sha256.hexdigest()


def shown(path: Path) -> str:
    """Write a path so that it can be printed, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")


def _is_text(name: str) -> bool:
    """Say whether a name can be written down: that of a file may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
