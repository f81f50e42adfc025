"""The words that index and assistant share: chunk metadata, passages, sources, the report of a sync."""

from dataclasses import asdict, dataclass
from typing import Any, NotRequired, Self, TypedDict, cast

from langchain_core.documents import Document


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
    score: NotRequired[float]
    """Of a retrieved chunk; higher is better."""


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

    @property
    def place(self) -> str:
        """Name where the passage stands, but for the page: "Rapport annuel › Chapitre 2"."""
        return f"{self.title} › {self.section}" if self.section else self.title

    @property
    def end(self) -> int:
        """Where the passage ends in the stored text, in characters, exclusive."""
        return self.start + len(self.text)

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
        )


@dataclass(frozen=True, slots=True)
class Source:
    """One row of what is indexed."""

    id: str
    title: str
    path: str
    chunks: int
    language: str | None
    date: str | None
    content_hash: str
    author: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON has them."""
        return asdict(self)


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
    """How far a sync has come; given after each document."""

    documents: int
    documents_in_all: int
    chunks: int
    path: str
