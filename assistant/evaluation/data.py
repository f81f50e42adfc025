"""Data sets: a folder with corpus.jsonl (id, title, text, lang) and questions.jsonl (question, answers, places)."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index import Index, IndexSettings, create_index, plan
from index.catalog import document_id


@dataclass(frozen=True, slots=True)
class Record:
    """One document of a corpus."""

    id: str
    title: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and where its answers stand."""

    id: str
    text: str
    language: str
    answerable: bool
    answers: tuple[str, ...]
    document: str | None
    """Id of the record that answers."""
    starts: tuple[int, ...]
    """Where answers begin in the record's text, in characters."""
    document_language: str | None
    """Of the documents to ask, where a data set holds each in several languages."""


def read_records(folder: Path) -> list[Record]:
    """Read corpus.jsonl."""
    return [
        Record(row["id"], row.get("title") or row["id"], row["text"], row.get("lang", ""))
        for row in _rows(folder / "corpus.jsonl")
    ]


def read_questions(path: Path) -> list[Question]:
    """Read questions in the form of questions.jsonl."""
    return [_question(row) for row in _rows(path)]


def index_records(records: Sequence[Record], folder: Path) -> Index:
    """Index records with the settings of the environment; what is in the folder from before is used again."""
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    for record in records:
        (files / f"{record_key(record)}.txt").write_bytes(record.text.encode())
    index = create_index(IndexSettings(path=folder / "index"))
    index.sync(plan([files], index.catalog), lambda _: None)
    return index


def record_key(record: Record) -> str:
    """Give the id that the index gives a document of this text."""
    return document_id(hashlib.sha256(record.text.encode()).hexdigest())


def by_language(
    records: Sequence[Record], questions: Sequence[Question]
) -> Iterator[tuple[list[Record], list[Question]]]:
    """Give what to ask of which documents: those of one language at a time where the questions say so, else of all."""
    asked: dict[str | None, list[Question]] = defaultdict(list)
    for question in questions:
        asked[question.document_language].append(question)
    for language, group in asked.items():
        yield [record for record in records if language in (None, record.language)], group


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _question(row: dict[str, Any]) -> Question:
    starts = row.get("answer_starts") or [row.get("answer_start")]
    return Question(
        id=row["id"],
        text=row["question"],
        language=row["lang"],
        answerable=row.get("answerable", False),
        answers=tuple(row.get("answers", ())),
        document=row.get("doc_id"),
        starts=tuple(start for start in starts if start is not None),
        document_language=row.get("doc_lang"),
    )
