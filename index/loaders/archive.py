"""ZIP archives as office files are; looked at before they are unpacked, and never unpacked to the disk."""

import posixpath
import zlib
from io import BytesIO
from urllib.parse import unquote
from zipfile import BadZipFile, LargeZipFile, ZipFile

from index.errors import UnreadableFile
from index.loaders.markup import Element, children, first_text, parse_xml
from index.loaders.parts import iso_day, written_author, written_title

MEGABYTE = 1024 * 1024
UNPACKED_BYTES = 512 * MEGABYTE
SMALL_BYTES = 64 * MEGABYTE
"""Up to this size nobody asks how well it was packed."""
PACKED_TIMES = 100
"""How many times smaller a large archive may be than what is in it; office files are 5 to 20 times."""
MEMBERS = 20_000

ENCRYPTED = 0x1


class Archive:
    """The members of a ZIP archive, each read into memory when it is asked for.

    Raises UnreadableFile, here or when reading: it is broken, needs a password, or unpacks to far too much.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = ZipFile(BytesIO(content))
        except (BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
            raise UnreadableFile(f"broken: a part is missing, or it is no office file or book ({error})") from None
        members = self._zip.infolist()
        size = sum(member.file_size for member in members)
        if len(members) > MEMBERS or size > max(SMALL_BYTES, min(UNPACKED_BYTES, PACKED_TIMES * len(content))):
            raise UnreadableFile(
                f"{len(content) / MEGABYTE:.1f} MB that unpack to {size / MEGABYTE:.0f} MB in {len(members)} files, "
                "as attacks do; save it again with an office program"
            )
        if any(member.flag_bits & ENCRYPTED for member in members):
            raise UnreadableFile("needs a password; save a copy without one")
        self.names = frozenset(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """Give the bytes of a member; raises UnreadableFile where there is none or it is broken."""
        if name not in self.names:
            raise UnreadableFile(f"broken: {name} is missing in it")
        try:
            return self._zip.read(name)
        except (BadZipFile, LargeZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise _broken(error) from None

    def xml(self, name: str) -> Element:
        """Parse a member; raises UnreadableFile as read does."""
        return parse_xml(self.read(name))

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Give what a member of an Office Open XML file refers to: id → (last word of its type, member)."""
        folder, file = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{file}.rels")
        if relations not in self.names:
            return {}
        return {
            relation.get("Id", ""): (
                relation.get("Type", "").rpartition("/")[2],
                member_name(folder, relation.get("Target", "")),
            )
            for relation in children(self.xml(relations), "Relationship")
            if relation.get("TargetMode") != "External"
        }


def member_name(folder: str, target: str) -> str:
    """Resolve a reference within an archive, from the folder of the member that has it."""
    return posixpath.normpath(posixpath.join("/", folder, unquote(target.partition("#")[0]))).lstrip("/")


def main_member(archive: Archive) -> str:
    """Name the member of an Office Open XML file that holds the document; raises UnreadableFile where none does."""
    for kind, member in archive.relations("").values():
        if kind == "officeDocument":
            return member
    raise UnreadableFile("broken: it does not say which part of it is the document")


def described(archive: Archive) -> dict[str, str | None]:
    """Read title, date and author from the properties of an Office Open XML file, as Loaded names them."""
    if "docProps/core.xml" not in archive.names:
        return {}
    properties = archive.xml("docProps/core.xml")
    return {
        "title": written_title(first_text(properties, "title")),
        "date": iso_day(first_text(properties, "created")) or iso_day(first_text(properties, "modified")),
        "author": written_author(first_text(properties, "creator")),
    }


def _broken(error: Exception) -> UnreadableFile:
    return UnreadableFile(f"broken: {error}")
