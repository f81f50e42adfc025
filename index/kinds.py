"""content → kind of file: by its first bytes, by the members of an archive, by leading markup.

Whoever plans a sync looks at every file so, in its own process: no file may take long or much memory here.
"""

import re
import zlib
from lzma import LZMAError
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

HEAD_BYTES = 4096
PDF_BYTES = 1024
"""How far from the beginning "%PDF-" may stand."""
NAME_BYTES = 100
BLOCK_BYTES = 4 * 1024 * 1024
"""How much is held of a file at once; of an archive, the names of some 50,000 members."""

SIGNATURES = {
    b"{\\rtf": "rtf",
    b"\x89PNG\r\n\x1a\n": "picture",
    b"\xff\xd8\xff": "picture",
    b"II*\0": "picture",
    b"MM\0*": "picture",
}
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Old Office files; and new ones that are encrypted."""
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--(?>.{0,1000}?-->)\s*){0,5}<(?:!doctype\s+html|html)\b",
    re.I | re.S,
)

MEMBERS = {"word/document": "docx", "ppt/presentation": "pptx", "xl/workbook": "xlsx"}
"""How the name of a member begins → what an archive with it is."""
MIME_TYPES = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
}

NOT_READ = {
    "zip": "a ZIP archive; unpack it and index the folder",
    "ole": "a file of an old Office program; save it as .docx, .xlsx or .pptx",
    "encrypted": "needs a password; save a copy without one",
}
"""Kinds that are known and have no loader → why."""


def kind_of(file: BinaryIO) -> str | None:
    """Name the kind of a file by its content; None for text of all kinds, for what is unknown, and for broken archives.

    Raises OSError.
    """
    head = file.read(HEAD_BYTES)
    if b"%PDF-" in head[:PDF_BYTES]:
        return "pdf"
    if head.startswith(ZIP):
        return _kind_of_archive(file)
    if head.startswith(OLE):
        return "encrypted" if _holds(file, ENCRYPTED) else "ole"
    if MARKUP.match(head):
        return "html"
    return next((kind for signature, kind in SIGNATURES.items() if head.startswith(signature)), None)


def _kind_of_archive(file: BinaryIO) -> str | None:
    try:
        archive = ZipFile(_ShortReads(file))
        names = archive.namelist()
        said = archive.open("mimetype").read(NAME_BYTES).strip() if "mimetype" in names else b""
    except (BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, LZMAError, zlib.error):
        return None
    if said in MIME_TYPES:
        return MIME_TYPES[said]
    return next((kind for name in names for member, kind in MEMBERS.items() if name.startswith(member)), "zip")


class _ShortReads:
    """A file as zipfile reads it, which takes the list of its members for broken where that is very long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int | None = None, /) -> bytes:
        """Give so many bytes; all that are left are asked for only near the end."""
        if size is None:
            return self._file.read()
        if size > BLOCK_BYTES:
            raise BadZipFile("its list of members is too long to look for the kind")
        return self._file.read(size)


def _holds(file: BinaryIO, sign: bytes) -> bool:
    """Say whether a sign stands in the file."""
    file.seek(0)
    end = b""
    while block := file.read(BLOCK_BYTES):
        if sign in end + block:
            return True
        end = block[-len(sign) :]
    return False
