"""Data sets: a folder with corpus.jsonl and questions.jsonl, one JSON object a line.

corpus.jsonl has id, title, text and lang. questions.jsonl, and questions.*.jsonl beside it, have id, question, lang and
answerable, and where the set says so:

- doc_id, answers and answer_starts (or answer_start): the words that answer, and where they begin in the text. A
  passage answers that holds one of them whole; a long article is no answer because another part of it is one.
- gold: all places that answer, {doc_id, start, end}, as sentences or passages were judged. A passage answers that has a
  part in common with one of them. With answer_type "abstractive" the answers are prose, with which no quote compares.
- context_span: the paragraph that answers. It counts where no words do, as for questions that ask yes or no.
- qrels: {doc_id: grade}; and qtype, the kind of a question about a sheet as a whole. Any passage of the document
  answers, as it does where there is nothing but doc_id. Kinds are reported apart.
- doc_lang: the language of the documents to ask, where a set holds each in several; asked over all of them at once, the
  twin that is right for the reader would count as wrong.
- history: the conversation before the question, [{role, text}].

Where none of these says what answers a question, retrieval and citations are not measured, only answering and
declining: of the ten passages that NoMIRACL judged for each question, it is not told which are relevant.

What "answerable" means is up to the set. In NoMIRACL and CLAP NQ a question without an answer is one that the passages
judged do not answer; another of the corpus might. MTRAG-UN counts questions that say too little among them. In PIAF's
questions.outofcorpus.jsonl the label is automatic: the words of the answer occur nowhere. SQuAD 2.0 has them written to
mislead. Some answers of AfriQA are odd, they went through two translations.
"""

import hashlib
import logging
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NotRequired, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from assistant.answer import valid_question
from assistant.errors import InvalidData, InvalidQuestion
from assistant.types import Message
from index import UnreadableFile
from index.load import loader_id
from index.sandbox import Limits, Sandbox
from index.sync import PAGE_BREAK

logger = logging.getLogger(__name__)

CORPUS = "corpus.jsonl"
WHOLE = sys.maxsize
"""The end of a place that goes to the end of its document."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document of a corpus."""

    id: str
    title: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Gold:
    """A place that answers a question, in characters of a document's text."""

    document: str
    start: int
    end: int
    is_answer: bool = False
    """Whether these are the words that answer: a passage must hold them whole, and one of several will do."""
    grade: float = 1.0
    """How relevant the document is."""


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
    history: tuple[Message, ...] = ()
    gold: tuple[Gold, ...] = ()
    """Empty where there is no answer, or the set does not say where."""
    kind: str = ""
    """What the data set calls questions of its kind; "conversation" where one went before."""
    quotable: bool = False
    """Whether the answers are words of the document, to compare a quote with."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which questions of a data set are asked: a fixed sample."""

    limit: int | None = None
    """How many of each file of questions, at the most."""
    answers: int | None = None
    """How many of these are answered, at the most; for the others there is retrieval only."""
    min_words: int = 0
    """Questions of fewer words are left out: they lean on a paragraph that nobody sees."""
    held_back: bool = False
    """Whether only those are answered whose documents the reader was not trained on; retrieval was not trained."""
    together: bool = False
    """Whether documents of all languages are asked at once, each question with an answer in its own language."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Documents, and questions about them."""

    name: str
    records: Sequence[Record]
    questions: Sequence[Question]
    to_answer: frozenset[str]
    """Ids of the questions to be answered; for the others there is retrieval only."""


def read_data_set(folder: Path, selection: Selection, questions: Path | None = None) -> DataSet:
    """Read a folder, and a sample of its questions.

    folder: with corpus.jsonl, or with documents, whose ids are then their paths in it without suffix. questions: the
    file of questions; where None, questions.jsonl and all questions.*.jsonl of the folder.
    Raises InvalidData where a file is missing, a line is malformed, or nothing is left to ask.
    """
    records = read_records(folder)
    by_id = {record.id: record for record in records}
    files = [questions] if questions else [folder / "questions.jsonl", *sorted(folder.glob("questions.*.jsonl"))]
    chosen: list[Question] = []
    to_answer: list[str] = []
    for file in files:
        found = read_questions(file)
        if selection.together:
            found = _of_all_languages(found)
        _check(found, by_id, file)
        sample = _sample(
            (question for question in found if len(question.text.split()) >= selection.min_words), selection.limit
        )
        unseen = [
            question.id
            for question in sample
            if not selection.held_back or is_held_back(question, by_id.get(question.document or ""))
        ]
        chosen += sample
        to_answer += unseen[: selection.answers]
    if repeated := _repeated(question.id for question in chosen):
        raise InvalidData(f"{folder}: two questions have the id {repeated!r}. Give each its own")
    if not chosen:
        raise InvalidData(f"{folder}: no question of {selection.min_words} words or more. Lower --min-words")
    return DataSet(folder.resolve().name, records, chosen, frozenset(to_answer))


def read_records(folder: Path) -> list[Record]:
    """Read corpus.jsonl; where there is none, the documents of the folder."""
    corpus = folder / CORPUS
    records = list(_read_corpus(corpus) if corpus.exists() else _read_documents(folder))
    if not records:
        raise InvalidData(f"{folder} holds no {CORPUS} and no document. A data set is a folder with either")
    if repeated := _repeated(record.id for record in records):
        raise InvalidData(f"{folder}: two documents have the id {repeated!r}. Give each its own")
    return records


def read_questions(path: Path) -> list[Question]:
    """Read questions in the form of questions.jsonl."""
    return [_question(row) for row in _rows(path, QUESTIONS)]


def is_held_back(question: Question, record: Record | None) -> bool:
    """Say whether the reader is not trained on a question: one article in five, by title, with its translations.

    Of questions that name no document, two in five.
    """
    if record is None:
        return zlib.crc32(question.id.encode()) % 5 >= 3
    return zlib.crc32(record.title.encode()) % 5 == 3


def by_language(
    records: Sequence[Record], questions: Sequence[Question]
) -> Iterator[tuple[list[Record], list[Question]]]:
    """Give what to ask of which documents: those of one language at a time where the questions say so, else of all."""
    asked: dict[str | None, list[Question]] = defaultdict(list)
    for question in questions:
        asked[question.document_language].append(question)
    for language, group in asked.items():
        chosen = [record for record in records if language in (None, record.language)]
        if not chosen:
            raise InvalidData(f"Question {group[0].id!r} is for documents in {language!r}, of which there are none")
        yield chosen, group


def _of_all_languages(questions: Iterable[Question]) -> list[Question]:
    """Ask documents of all languages at once; the twin in the question's language is the one that answers."""
    return [
        replace(question, document_language=None)
        for question in questions
        if question.document_language in (None, question.language)
    ]


class RecordRow(TypedDict):
    """A line of corpus.jsonl."""

    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    id: str
    text: str
    title: NotRequired[str | None]
    lang: NotRequired[str | None]


class Turn(TypedDict):
    """A message of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class GoldRow(TypedDict):
    """A place that answers."""

    doc_id: str
    start: int
    end: int


class QuestionRow(TypedDict):
    """A line of questions.jsonl."""

    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    id: str
    question: str
    lang: str
    answerable: bool
    answers: NotRequired[list[str]]
    doc_id: NotRequired[str | None]
    answer_start: NotRequired[int | None]
    answer_starts: NotRequired[list[int]]
    context_span: NotRequired[tuple[int, int] | None]
    gold: NotRequired[list[GoldRow] | None]
    qrels: NotRequired[dict[str, float] | None]
    qtype: NotRequired[str | None]
    answer_type: NotRequired[str | None]
    doc_lang: NotRequired[str | None]
    history: NotRequired[list[Turn]]


RECORDS = TypeAdapter(RecordRow)
QUESTIONS = TypeAdapter(QuestionRow)
Row = TypeVar("Row")


def _rows(path: Path, kind: TypeAdapter[Row]) -> list[Row]:
    """Read a file line by line; blank lines are left out."""
    rows: list[Row] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidData(
            f"{path} cannot be read: {error.strerror}. A data set is a folder with {CORPUS}, or with documents, and "
            "questions.jsonl"
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            rows += [kind.validate_json(line)] if line.strip() else []
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"]))
            raise InvalidData(f"{path}:{number}: {place + ': ' if place else ''}{fault['msg']}") from error
    if not rows:
        raise InvalidData(f"{path} is empty. It has one JSON object a line")
    return rows


def _read_corpus(path: Path) -> Iterator[Record]:
    for row in _rows(path, RECORDS):
        if not row["text"].strip() or "\0" in row["text"]:
            fault = "a null character in its text" if row["text"].strip() else "no text"
            raise InvalidData(f"{path}: document {row['id']!r} has {fault}. Mend it or take it out")
        yield Record(row["id"], row.get("title") or row["id"], row["text"], row.get("lang") or "")


def _read_documents(folder: Path) -> Iterator[Record]:
    """Read what the index can read; the rest is left out, and said."""
    with Sandbox(Limits()) as sandbox:
        for path in sorted(folder.rglob("*")):
            place = path.relative_to(folder)
            if path.suffix == ".jsonl" or any(part.startswith(".") for part in place.parts) or not path.is_file():
                continue
            try:
                loader_id(path)
                pages = sandbox.load(path)
            except UnreadableFile as error:
                logger.warning("left out: %s: %s", path, error)
                continue
            text = PAGE_BREAK.join(page.page_content for page in pages)
            about = pages[0].metadata
            yield Record(place.with_suffix("").as_posix(), about["title"], text, about.get("language", ""))


def _repeated(ids: Iterable[str]) -> str | None:
    return next((id for id, count in Counter(ids).items() if count > 1), None)


def _sample(questions: Iterable[Question], limit: int | None) -> list[Question]:
    """Choose by the hash of the id, so that questions that are added later change the sample as little as can be."""
    return sorted(questions, key=lambda question: hashlib.sha256(question.id.encode()).digest())[:limit]


def _question(row: QuestionRow) -> Question:
    quotable = row["answerable"] and not row.get("answer_type") and not row.get("qtype")
    return Question(
        id=row["id"],
        text=row["question"],
        language=row["lang"],
        answerable=row["answerable"],
        answers=tuple(row.get("answers", ())),
        document=row.get("doc_id"),
        starts=_starts(row),
        document_language=row.get("doc_lang"),
        history=tuple(Message(role=turn["role"], content=turn["text"]) for turn in row.get("history", ())),
        gold=tuple(_gold(row)) if row["answerable"] else (),
        kind=row.get("qtype") or ("conversation" if row.get("history") else ""),
        quotable=quotable and bool(row.get("answers")),
    )


def _starts(row: QuestionRow) -> tuple[int, ...]:
    start = row.get("answer_start")
    return tuple(row.get("answer_starts") or ([] if start is None else [start]))


def _gold(row: QuestionRow) -> Iterator[Gold]:
    """Give the places that answer, by the first of the fields that says where."""
    document, span = row.get("doc_id"), row.get("context_span")
    if qrels := row.get("qrels"):
        yield from (Gold(id, 0, WHOLE, grade=grade) for id, grade in qrels.items() if grade > 0)
    elif gold := row.get("gold"):
        yield from (Gold(place["doc_id"], place["start"], place["end"]) for place in gold)
    elif document and row.get("qtype"):
        yield Gold(document, 0, WHOLE)
    elif document and _starts(row):
        answers = zip(_starts(row), row.get("answers", ()), strict=False)
        yield from (Gold(document, start, start + len(answer), is_answer=True) for start, answer in answers)
    elif document and span:
        yield Gold(document, *span)
    elif document:
        yield Gold(document, 0, WHOLE)


def _check(questions: Sequence[Question], records: Mapping[str, Record], path: Path) -> None:
    """Raise InvalidData for a question that cannot be asked, or whose answer does not stand where it says."""
    for question in questions:
        for fault in _faults(question, records):
            raise InvalidData(f"{path}: question {question.id!r}: {fault}")


def _faults(question: Question, records: Mapping[str, Record]) -> Iterator[str]:
    try:
        valid_question(question.text)
    except InvalidQuestion as error:
        yield str(error)
    for id in filter(None, (question.document, *(gold.document for gold in question.gold))):
        if id not in records:
            yield f"there is no document {id!r} in the corpus"
        elif question.document_language not in (None, records[id].language):
            yield f"document {id!r} is in {records[id].language!r}, not in {question.document_language!r}, its doc_lang"
    for gold in question.gold:
        length = len(records[gold.document].text)
        if not 0 <= gold.start < min(gold.end, length) or length < gold.end < WHOLE:
            yield f"{gold.start}-{gold.end} is no part of document {gold.document!r}, which has {length} characters"
        elif gold.is_answer and records[gold.document].text[gold.start : gold.end] not in question.answers:
            yield f"none of its answers stands at {gold.start} of document {gold.document!r}"
