"""A disk that is full: a small file system of its own, where this process may mount one."""

import asyncio
import ctypes
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assistant.errors import ConversationsUnavailable, NoRoom
from assistant.types import Answer
from assistant.web.conversations import Conversation, Conversations, Place
from assistant.web.uploads import SENDING, Uploads
from index import IndexSettings, SyncQueue
from index.build import open_or_create, own
from tests.fakes import paragraph_recipe
from tests.processes import Tell, run

CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000
MEGABYTE = 1_000_000
KEY, OTHER = "a" * 64, "b" * 64


class SmallDisk:
    """A folder of 2 MB; where none can be mounted, no file of this process may grow while it is full."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.real = mounted(folder)
        self._filler = folder / "filler"

    def fill(self) -> None:
        if not self.real:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with self._filler.open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self._filler.unlink(missing_ok=True)


def mounted(folder: Path) -> bool:
    """Mount a small file system, which nobody but this process sees; say whether that is allowed."""
    library = ctypes.CDLL(None, use_errno=True)
    user = os.getuid()
    if library.unshare(CLONE_NEWNS):
        if library.unshare(CLONE_NEWNS | CLONE_NEWUSER):
            return False
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", "ascii")
    library.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
    return library.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=2m") == 0


async def blocks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 10_000):
        yield b"x" * 10_000


def answered(conversations: Conversations, key: str) -> Conversation:
    conversation = conversations.at(Place(key=key, conversation="c" * 32))
    conversation.begin("Combien ?").take(Answer("Combien ?", "Combien ?", "Un euro.", (), ()))
    conversations.keep(conversation)
    return conversation


def upload_and_talk(tell: Tell, place: Path) -> None:
    disk = SmallDisk(place / "disk")
    recipe = paragraph_recipe("hashing", dimension=32)
    with own(IndexSettings(path=place / "index"), recipe, open_or_create) as index, SyncQueue(index) as queue:
        uploads = Uploads(place / "disk" / "uploads", index, queue)
        conversations = Conversations(place / "disk" / "chats.sqlite")

        def keep(name: str, size: int) -> str:
            return asyncio.run(uploads.keep(name, blocks(size)))

        keep("before.txt", 10_000)
        first = answered(conversations, KEY)
        conversations.rate(KEY, first.id, 1, (True, "", "before"))
        disk.fill()
        for size in (10_000, MEGABYTE):
            with pytest.raises(NoRoom, match="The disk is full"):
                keep("during.txt", size)
        second = answered(conversations, OTHER)
        assert not second.kept
        with pytest.raises(ConversationsUnavailable, match="Free some space"):
            conversations.rate(KEY, first.id, 1, (False, "", "during"))
        left = [file.name for file in (place / "disk" / "uploads").rglob("*") if file.is_file()]
        disk.free()

        assert left == ["before.txt"]
        assert not [*(place / "disk" / "uploads" / SENDING).iterdir()]
        assert [opinion.comment for opinion in conversations.opinions().values()] == ["before"]
        assert keep("after.txt", MEGABYTE) == "after.txt"
        conversations.keep(second)
        assert second.kept
        assert conversations.rate(KEY, first.id, 1, (False, "", "after"))
        again = Conversations(place / "disk" / "chats.sqlite")
        assert [turn.answer for turn in again.at(Place(key=OTHER, conversation=second.id)).turns]
        assert [opinion.comment for opinion in again.opinions().values()] == ["after"]
    tell(disk.real)


def test_on_a_full_disk_nothing_is_kept_by_halves_and_all_goes_on_once_there_is_room(tmp_path: Path) -> None:
    [real] = run(upload_and_talk, tmp_path)
    print("a file system of its own was full" if real else "files could not grow")
