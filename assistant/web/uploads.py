"""Files that people add on the page: kept as they came in one folder of the owner's, and indexed from there.

A file is written under a name of ours, below SENDING, and gets its own name once it is whole. What is there already is
never written over: another file of the same name gets a number. Names come from browsers and are hostile; what is
left of them after `safe_parts` cannot lead out of the folder.
"""

import errno
import hashlib
import logging
import os
import secrets
import shutil
import unicodedata
from collections.abc import AsyncIterable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from starlette.concurrency import run_in_threadpool

from assistant.errors import FileTooLarge, NoRoom, UploadNotFound
from assistant.settings import AssistantSettings
from index import Job, Progress, Step, SyncReport
from index.errors import SourceNotFound
from index.stop import Stopped
from index.walk import hash_of, real

if TYPE_CHECKING:
    from index import Index, SyncQueue

log = logging.getLogger(__name__)

SENDING = ".sending"
"""Folder of what is not whole yet; hidden, and so never indexed."""
NAME_BYTES = 200
"""Of a file or a folder; the system allows 255, a number may be added."""
SUFFIX_BYTES = 20
DEPTH = 8
"""How many folders deep a file may lie; of more, the innermost count."""
MEGABYTE = 1024**2


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in."""

    file_bytes: int = 100 * MEGABYTE
    bytes_in_all: int = 10_000 * MEGABYTE
    files: int = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was added."""

    name: str
    """Its path in the folder, with slashes."""
    bytes: int
    source: str | None
    """Id of the document that it is; None as long as it is not indexed."""
    reason: str | None
    """Why it could not be read, where the last sync said so."""


class Uploads:
    """The folder, and the syncs of it. One process has it, the one that owns the index.

    Args:
        folder: made when it is needed.
        index: which documents are whose.
        queue: by which the index follows.
        limits: of what is taken in.
    """

    def __init__(self, folder: Path, index: "Index", queue: "SyncQueue", limits: Limits | None = None) -> None:
        self.folder = real(folder)
        self.limits = limits or Limits()
        self._index = index
        self._queue = queue
        self._placing = Lock()
        self._job: Job | None = None
        # Left by uploads that a killed server broke off.
        shutil.rmtree(self.folder / SENDING, ignore_errors=True)

    @classmethod
    def of(cls, settings: AssistantSettings, index: "Index", queue: "SyncQueue") -> "Uploads | None":
        """Open the folder of the settings; None where nobody may add anything."""
        if settings.uploads == "none":
            return None
        if index.shared and "uploads_path" not in settings.model_fields_set:
            # Another assistant would take what lies in a folder of this one's own for deleted.
            log.info("Nothing can be added on the page: ASSISTANT_UPLOADS_PATH names no folder that all share")
            return None
        limits = Limits(
            settings.upload_megabytes * MEGABYTE, settings.uploads_megabytes * MEGABYTE, settings.uploads_files
        )
        return cls(settings.uploads_path, index, queue, limits)

    async def keep(self, name: str, body: AsyncIterable[bytes]) -> str:
        """Write a file as its bytes come; return the name that it got. What is broken off leaves nothing.

        Raises:
            FileTooLarge, NoRoom.
        """
        part = self.folder / SENDING / secrets.token_hex(16)
        try:
            left = await run_in_threadpool(self._bytes_left)
            with await run_in_threadpool(_opened, part) as file:
                digest = await self._written(body, file, left)
            return await run_in_threadpool(self._placed, part, safe_parts(name), digest)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise NoRoom("The disk is full. Nothing of the file was kept.") from error
            raise
        finally:
            part.unlink(missing_ok=True)

    def list(self) -> list[Upload]:
        """List the files by name."""
        sources = {path: source.id for source in self._index.sources() for path in source.paths}
        reasons = self._reasons()
        return [
            Upload(name, size, sources.get(str(self.folder / name)), reasons.get(name)) for name, size in self._files()
        ]

    @property
    def indexing(self) -> bool:
        """Say whether a sync goes on or waits."""
        return self._job is not None and not self._job.over

    def sync(self) -> Job:
        """Begin to index what is there; the sync goes on if whoever asked for it goes away."""
        self._make()
        self._job = self._queue.sync([self.folder])
        return self._job

    def follow(self) -> Generator[Step | SyncReport | None, None, None]:
        """Tell of the last sync from where it stands to its report; names are those of the files here.

        Raises what the sync raised.
        """
        if self._job is None:
            return
        job = self._job
        for step in job.steps():
            yield replace(step, path=self._name(step.path)) if isinstance(step, Progress) else step
        yield self._told(job.report())

    def stop(self) -> None:
        """Ask the sync to end at the next document's boundary."""
        if self._job:
            self._job.stop()

    def remove(self, name: str) -> None:
        """Delete a file, and forget its document unless another file holds it too. Waits for syncs under way.

        Raises UploadNotFound, and what a sync raises.
        """
        if name not in {found for found, _ in self._files()}:
            raise UploadNotFound(f"No file {name[:200]!r} was added here. List them: GET /api/uploads")
        place = self.folder / name
        # The file first: a sync that comes between the two would find it again.
        place.unlink(missing_ok=True)
        with suppress(OSError):
            for parent in place.relative_to(self.folder).parents:
                if parent.name:
                    (self.folder / parent).rmdir()
        for source in self._index.sources():
            if str(place) in source.paths:
                alone = len(source.paths) == 1
                job = self._queue.remove([source.id]) if alone else self._queue.sync([self.folder])
                # A sync that went on has forgotten it already.
                with suppress(SourceNotFound):
                    job.report()

    async def _written(self, body: AsyncIterable[bytes], file: BinaryIO, left: int) -> str:
        """Write what comes; give the SHA-256 of it. left: bytes in all."""
        sha256, size = hashlib.sha256(), 0
        async for block in body:
            size += len(block)
            if size > self.limits.file_bytes:
                raise FileTooLarge(f"The file is longer than {self.limits.file_bytes // MEGABYTE} MB.")
            if size > left:
                raise self._no_room()
            sha256.update(block)
            await run_in_threadpool(file.write, block)
        await run_in_threadpool(_flushed, file)
        return sha256.hexdigest()

    def _placed(self, part: Path, parts: tuple[str, ...], digest: str) -> str:
        """Give a whole file its name, or the next one that is free; the same file under it may stay instead."""
        with self._placing:
            here = self.folder
            for folder in parts[:-1]:
                here = next(place for place in _numbered(here / folder) if _is_folder(place))
            for place in _numbered(here / parts[-1]):
                if not os.path.lexists(place):
                    part.replace(place)
                elif place.is_symlink() or not place.is_file() or hash_of(place) != digest:
                    continue
                return self._name(str(place))
        raise AssertionError("numbers do not end")

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _files(self) -> Iterator[tuple[str, int]]:
        """Give name and size of each file, by name; what is hidden is nobody's."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder, name)
                with suppress(OSError):
                    if not name.startswith(".") and file.is_file():
                        yield self._name(str(file)), file.stat().st_size

    def _bytes_left(self) -> int:
        self._make()
        sizes = [size for _, size in self._files()]
        with suppress(FileNotFoundError):
            sizes += [entry.stat().st_size for entry in os.scandir(self.folder / SENDING)]
        left = self.limits.bytes_in_all - sum(sizes)
        if len(sizes) >= self.limits.files or left <= 0:
            raise self._no_room()
        return left

    def _no_room(self) -> NoRoom:
        megabytes = self.limits.bytes_in_all // MEGABYTE
        return NoRoom(f"There is room for {self.limits.files:,} files of {megabytes:,} MB together. Remove some.")

    def _reasons(self) -> dict[str, str]:
        """Give what the last sync could not read."""
        if self._job is None or not self._job.over:
            return {}
        with suppress(Exception, Stopped):
            return {row.path: row.reason for row in self._told(self._job.report()).unreadable}
        return {}

    def _told(self, report: SyncReport) -> SyncReport:
        """Name files as they are named here, and leave out what is not ours to show."""
        rows = (replace(row, path=self._name(row.path)) for row in report.unreadable)
        return replace(report, unreadable=tuple(row for row in rows if not row.path.startswith(".")))

    def _name(self, path: str) -> str:
        return Path(path).relative_to(self.folder).as_posix() if Path(path).is_relative_to(self.folder) else "…"


def safe_parts(name: str) -> tuple[str, ...]:
    """Give folders and name of a file as a browser names it: "Rapports/2024/été.pdf"; there is at least a name.

    Nothing in it leads upwards, is hidden, cannot be printed or is too long for a file system.
    """
    parts = filter(None, map(_safe, name.replace("\\", "/").split("/")))
    return tuple(parts)[-DEPTH - 1 :] or ("document",)


def _safe(part: str) -> str:
    """Make a name of a file or a folder safe; nothing may be left of it."""
    shown = "".join(sign if sign.isprintable() else " " for sign in unicodedata.normalize("NFC", part))
    bare = " ".join(shown.split()).lstrip(". ")
    suffix = Path(bare).suffix if len(Path(bare).suffix.encode()) <= SUFFIX_BYTES else ""
    stem = bare.removesuffix(suffix).encode()[: NAME_BYTES - SUFFIX_BYTES].decode(errors="ignore")
    return stem.strip() + suffix


def _numbered(place: Path) -> Iterator[Path]:
    """Give the place, then others beside it: rapport.pdf, rapport (2).pdf, …"""
    yield place
    for number in count(2):
        yield place.with_name(f"{place.stem} ({number}){place.suffix}")


def _is_folder(place: Path) -> bool:
    """Say whether this is a folder, made now if nothing is there; a link to one is none."""
    with suppress(FileExistsError):
        place.mkdir()
    return place.is_dir() and not place.is_symlink()


def _opened(part: Path) -> BinaryIO:
    part.parent.mkdir(exist_ok=True)
    return part.open("xb")


def _flushed(file: BinaryIO) -> None:
    """Bring it to the disk, so that no name stands for a file that a power cut left empty."""
    file.flush()
    os.fsync(file.fileno())
