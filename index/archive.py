"""An index in one file, as a backup or for another computer: a ZIP archive of the catalog and a manifest.

Only the catalog is kept: the vectors and the words are made again from it, and what is in it can be looked through
before it is used, which files of Chroma cannot. Nothing is unpacked by a name that stands in the archive.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import zipfile
import zlib
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter, ValidationError

from index.catalog import SCHEMA, Catalog
from index.database import CATALOG
from index.errors import InvalidArchive, StoreUnavailable
from index.walk import hash_of

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 64_000
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself."""

    format: int
    sourcier: str
    """Version that made it."""
    schema: int
    """Of the catalog."""
    fingerprint: str
    """Of the model and the chunk sizes."""
    documents: int
    chunks: int
    bytes: int
    """Of the catalog, unpacked."""
    sha256: str
    """Of the catalog, in hexadecimal."""


def pack(catalog: Catalog, file: Path) -> Manifest:
    """Write an archive of the catalog as it is at this moment; another process may write to it meanwhile.

    The file is there whole, for its user alone, or not at all; one of the same name is replaced.

    Raises StoreUnavailable when it cannot be written.
    """
    try:
        with TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}.") as folder:
            copy, new = Path(folder) / CATALOG, Path(folder) / "archive"
            catalog.copy_to(copy)
            with closing(Catalog.open(copy)) as copied:
                documents, chunks = copied.counts()
            copy.with_name(f"{CATALOG}-wal").unlink(missing_ok=True)
            made_by, digest = version("sourcier"), hash_of(copy)
            manifest = Manifest(
                FORMAT, made_by, int(SCHEMA), catalog.fingerprint, documents, chunks, copy.stat().st_size, digest
            )
            # Vectors hardly become smaller, so that more than the quickest compression is not worth its time.
            with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
                archive.write(copy, CATALOG)
            new.chmod(0o600)
            with new.open("rb") as written:
                os.fsync(written.fileno())
            new.replace(file)
    except OSError as error:
        raise StoreUnavailable(
            f"{file} cannot be written: {error.strerror or error}. Free space, or name another"
        ) from (error)
    return manifest


def unpack(file: Path, folder: Path) -> Manifest:
    """Write the catalog of an archive into a folder, once everything that the manifest says is found to be so.

    Raises:
        InvalidArchive: it is no archive, is damaged, of a newer version, or does not fit on the disk.
        StoreUnavailable: the folder cannot be written to.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sorted(archive.namelist()) != [CATALOG, MANIFEST]:
                raise InvalidArchive(f"{file} is no archive of an index. Make one: assistant export FILE")
            manifest = _manifest(archive, file)
            _insist_on_room(manifest, folder, file)
            with archive.open(CATALOG) as packed, (folder / CATALOG).open("xb") as written:
                digest, left = hashlib.sha256(), manifest.bytes
                while block := packed.read(min(BLOCK_BYTES, left + 1)):
                    left -= len(block)
                    if left < 0:
                        break
                    digest.update(block)
                    written.write(block)
                os.fsync(written.fileno())
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    except OSError as error:
        raise StoreUnavailable(f"{error.filename or folder} cannot be used: {error.strerror or error}") from error
    if left or digest.hexdigest() != manifest.sha256:
        raise _damaged(file, "its content is not what its manifest says")
    if manifest.schema == int(SCHEMA):
        _insist_that_it_is_sound(folder / CATALOG, file)
    return manifest


def _manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    with archive.open(MANIFEST) as packed:
        content = packed.read(MANIFEST_BYTES + 1)
    try:
        said = json.loads(content)
        newer = said["format"] > FORMAT or said["schema"] > int(SCHEMA)
        if newer:
            made_by = str(said.get("sourcier", "a newer version"))[:40]
            raise InvalidArchive(
                f"{file} was made by sourcier {made_by}, which this version cannot read. Upgrade first"
            )
        return TypeAdapter(Manifest).validate_python(said)
    except (ValueError, TypeError, LookupError, AttributeError, ValidationError) as error:
        raise _damaged(file, "its manifest cannot be read") from error


def _insist_on_room(manifest: Manifest, folder: Path, file: Path) -> None:
    if not 0 < manifest.bytes <= (free := shutil.disk_usage(folder).free):
        raise InvalidArchive(f"{file} takes {manifest.bytes} bytes, unpacked; {free} are free. Make room")


def _insist_that_it_is_sound(catalog: Path, file: Path) -> None:
    """Look through a catalog that somebody else may have made, before anything is written to it."""
    with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as database:
        try:
            kinds = {kind for (kind,) in database.execute("select distinct type from sqlite_master")}
        except sqlite3.DatabaseError as error:
            raise _damaged(file, str(error)) from error
    if not kinds <= {"table", "index"}:
        raise _damaged(file, "its catalog holds more than tables")
    try:
        with closing(Catalog.open(catalog)) as opened:
            found = next(opened.faults(), None)
    except StoreUnavailable as error:
        raise _damaged(file, "its catalog cannot be opened") from error
    if found:
        raise _damaged(file, found)


def _damaged(file: Path, reason: str) -> InvalidArchive:
    return InvalidArchive(f"{file} is damaged: {reason}. Nothing was changed; take another copy of it")
