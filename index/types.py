"""The words that index and assistant share: chunk metadata, passages, filters, sources, the report of a sync."""

import datetime
from dataclasses import asdict, dataclass
from typing import Any, NotRequired, Self, TypedDict, cast

from langchain_core.documents import Document

from index.errors import InvalidFilter


class ChunkMetadata(TypedDict):
    """Metadata of a LangChain Document: the only spelling of these keys.

    A loader gives all but `source`, `start` and `content_hash`, which belong to the stored document.
    """

    source: str
    """Id of the document; its text and path are under this id in the catalog."""
    title: str
    page: NotRequired[int]
    """Page, slide or sheet, counted from 1."""
    section: NotRequired[str]
    """The headings that it stands under, or the name of its sheet: "Pourquoi anonymiser › Cadre légal"."""
    start: int
    """Where the chunk begins in the stored text, in characters (Python code points)."""
    language: NotRequired[str]
    """ISO 639-1."""
    date: NotRequired[str]
    """Of publication, ISO 8601."""
    author: NotRequired[str]
    content_hash: NotRequired[str]
    """SHA-256 of the file's bytes, in hexadecimal."""
    file: NotRequired[str]
    """Name of the file, without its folders."""
    score: NotRequired[float]
    """Of a retrieved chunk; higher is better."""
    also_in: NotRequired[list[dict[str, Any]]]
    """Of a retrieved chunk: the fields of each File."""


@dataclass(frozen=True, slots=True)
class File:
    """A file in which a passage stands, or nearly so."""

    source: str
    """Id of its document; equal files are one document."""
    title: str
    name: str
    """Without its folders."""
    date: str | None = None
    """Of publication, ISO 8601."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as retrieved: `text` stands at `start` of the stored text of `source`."""

    id: str
    text: str
    source: str
    title: str
    page: int | None
    start: int
    score: float
    language: str | None = None
    """Of the document, ISO 639-1."""
    section: str | None = None
    """The headings that it stands under, or the name of its sheet."""
    date: str | None = None
    """Of publication, ISO 8601."""
    file: str = ""
    """Name of the file, without its folders."""
    also_in: tuple[File, ...] = ()
    """Other files in which it stands, or nearly so."""

    @property
    def place(self) -> str:
        """Name where the passage stands, but for the page: "Rapport annuel › Chapitre 2"."""
        return f"{self.title} › {self.section}" if self.section else self.title

    @property
    def end(self) -> int:
        """Where the passage ends in the stored text, in characters, exclusive."""
        return self.start + len(self.text)

    @property
    def day(self) -> str | None:
        """The day of publication, ISO 8601."""
        return self.date and self.date[:10]

    def files(self) -> tuple[File, ...]:
        """Give every file that it is known to stand in, the one it was read from first."""
        return (File(self.source, self.title, self.file, self.date), *self.also_in)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a passage from a LangChain Document whose metadata is a ChunkMetadata."""
        metadata = cast(ChunkMetadata, document.metadata)
        return cls(
            id=document.id or f"{metadata['source']}-{metadata['start']}",
            text=document.page_content,
            source=metadata["source"],
            title=metadata["title"],
            page=metadata.get("page"),
            start=metadata["start"],
            score=metadata.get("score", 0.0),
            language=metadata.get("language"),
            section=metadata.get("section"),
            date=metadata.get("date"),
            file=metadata.get("file", ""),
            also_in=tuple(File(**file) for file in metadata.get("also_in", [])),
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents to search: those that meet every condition; an empty one is met by all.

    Raises InvalidFilter where a day is none, or the last is before the first.
    """

    sources: tuple[str, ...] = ()
    """Ids of documents."""
    since: str | None = None
    """First day of publication, ISO 8601: 2025-11-01. A document without a date meets no day."""
    until: str | None = None
    """Last day of publication, itself included."""
    languages: tuple[str, ...] = ()
    """ISO 639-1."""

    def __post_init__(self) -> None:
        for name, day in (("since", self.since), ("until", self.until)):
            if day is not None and not _is_day(day):
                raise InvalidFilter(f"{name} is {day!r}, which is not a day. Write it as 2025-11-01")
        if self.since and self.until and self.since > self.until:
            raise InvalidFilter(f"since ({self.since}) is after until ({self.until}). Exchange them")

    def __str__(self) -> str:
        """Give the conditions as they are asked for: since=2025-11-01, languages=fr en."""
        conditions = {
            "sources": " ".join(self.sources),
            "since": self.since,
            "until": self.until,
            "languages": " ".join(self.languages),
        }
        return ", ".join(f"{name}={value}" for name, value in conditions.items() if value)


EVERYTHING = Filter()
"""The filter that every document meets."""


@dataclass(frozen=True, slots=True)
class Source:
    """One row of what is indexed."""

    id: str
    title: str
    paths: tuple[str, ...]
    """Of every file with this content, sorted; there is at least one."""
    chunks: int
    language: str | None
    date: str | None
    content_hash: str
    author: str | None = None

    @property
    def path(self) -> str:
        """The first of the paths, where one is enough."""
        return self.paths[0]

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON has them, and `path`."""
        return asdict(self) | {"path": self.path, "paths": [*self.paths]}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that was not indexed, and why, in plain words."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, in documents."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    pending: int = 0
    """New and changed documents that are left for the next sync, because somebody stopped this one."""

    @property
    def indexed(self) -> int:
        """How many documents of the folder are in the index now."""
        return self.added + self.updated + self.unchanged

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON has them."""
        return asdict(self)

    def __str__(self) -> str:
        """Give the four counts as a plan is written: +12 ~3 -1 =840."""
        return f"+{self.added} ~{self.updated} -{self.deleted} ={self.unchanged}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync has come; given after each document, and each time a few chunks were embedded."""

    documents: int
    """New and changed documents that are done."""
    documents_in_all: int
    chunks: int
    """Embedded so far."""
    path: str
    """The document that was done, or read, last."""
    seconds: float = 0.0
    """Since the sync began."""

    @property
    def chunks_per_second(self) -> float:
        """How fast it has been so far; 0 as long as that cannot be said."""
        return self.chunks / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if its documents are like those that are done; None before the first is."""
        left = self.documents_in_all - self.documents
        return self.seconds / self.documents * left if self.documents else None


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a part of an index."""

    part: str
    """Its file or folder: catalog.sqlite, vectors or lexical."""
    says: str
