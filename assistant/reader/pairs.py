"""Pairs to train the reader on: a question, a passage, and the words of the passage that answer, if any do.

From data sets as assistant.evaluation.data describes them. A question is read with a window of the paragraph that
answers it, as long as a chunk or shorter, and with passages that do not answer, of which there are four kinds:

- passages of the same documents that share rare words with the question, as retrieval brings them up;
- the paragraph that answers, without the sentences that hold the answer: every name is there, the answer is not;
- the paragraph that answers another name or year than the question now asks for;
- questions that their data set wrote, or people judged, to have no answer in the passages.
"""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from assistant.evaluation.data import Question, Record, is_held_back, read_questions, read_records
from index.sentences import sentences
from index.terms import content_terms

MARKUP = re.compile(r"<[^<>]{1,80}>")
YEAR = re.compile(r"\b(1[0-9]|20)\d\d\b")
NAME = re.compile(r"(?<=[\w,'’] )[A-ZÀ-Ý][\w'’-]{3,}(?: [A-ZÀ-Ý][\w'’-]+)*")
WINDOW_CHARACTERS = (200, 1_100)
"""How long a window is, drawn evenly from shortest to longest; a chunk has up to 900 by default."""
UNTITLED = 0.3
"""Share of the passages that are read without their title, as many files have none that says anything."""
NEAREST = 8
"""From how many of the nearest passages one that does not answer is drawn."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage."""

    question: str
    title: str
    text: str
    answers: bool
    span: tuple[int, int] | None = None
    """Where the answer stands in the text, in characters; None where there is none, or it is not told."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A question with passages, of which one or more answer, or none does; which is not told."""

    question: str
    passages: tuple[Pair, ...]
    answers: bool
    held_back: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a data set, with what it is read with."""

    question: str
    language: str
    answerable: bool
    record: Record
    """The document that answers, or for which a question without an answer was written."""
    paragraph: tuple[int, int]
    """Where in the record's text."""
    answers: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """Of the answers, in the record's text."""
    others: tuple[tuple[Record, int, int], ...]
    """Passages that do not answer, nearest first."""
    held_back: bool


def read_folder(folder: Path) -> list[Asked | Judged]:
    """Read the questions of a data set, and find for each the passages that do not answer it.

    Questions about which neither a document nor passages are told are left out.
    """
    records = {record.id: record for record in read_records(folder)}
    rows = map(json.loads, (folder / "questions.jsonl").read_text("utf-8").splitlines())
    nearest = Nearest([*records.values()])
    read: list[Asked | Judged] = []
    for row, question in zip(rows, read_questions(folder / "questions.jsonl"), strict=True):
        if row.get("candidates"):
            read.append(_judged(row, question, records))
        elif question.document in records:
            read.append(_asked(row, question, records[question.document], nearest))
    return read


def visits(asked: Sequence[Asked | Judged], chance: random.Random) -> Iterator[Pair | Judged]:
    """Give what one visit to each question trains on: what answers it, and one that does not."""
    for question in asked:
        if isinstance(question, Judged):
            yield question
            continue
        yield _window(question, chance, answers=question.answerable)
        if question.answerable:
            yield _negative(question, chance)


def _judged(row: dict[str, Any], question: Question, records: dict[str, Record]) -> Judged:
    places = [(records[place["doc_id"]], place["start"], place["end"]) for place in row["candidates"]]
    return Judged(
        question.text,
        tuple(
            Pair(question.text, _title(record), record.text[start:end], question.answerable)
            for record, start, end in places
        ),
        question.answerable,
        is_held_back(question, None),
    )


def _asked(row: dict[str, Any], question: Question, record: Record, nearest: "Nearest") -> Asked:
    spans = [
        (start, start + len(answer))
        for start, answer in zip(question.starts, question.answers, strict=False)
        if record.text[start : start + len(answer)] == answer and row.get("answer_type") != "abstractive"
    ]
    if row.get("qtype"):
        spans = []
    begin, end = row.get("context_span") or (0, len(record.text))
    words = tuple(answer for answer in question.answers if len(answer) < 80) if spans else ()
    return Asked(
        question=question.text,
        language=question.language,
        answerable=question.answerable,
        record=record,
        paragraph=(begin, end),
        answers=words,
        spans=tuple(spans),
        others=tuple(nearest.others(question, record, (begin, end), words)),
        held_back=is_held_back(question, record),
    )


class Nearest:
    """The paragraphs of a corpus by the rare words they share with a question."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._places = [
            (record, start, end) for record in records for start, end in _paragraphs(record.text) if end - start > 80
        ]
        self._holds: dict[str, set[int]] = defaultdict(set)
        for i, (record, start, end) in enumerate(self._places):
            for term in content_terms(record.text[start:end], record.language or None):
                self._holds[term].add(i)

    def others(
        self, question: Question, record: Record, gold: tuple[int, int], answers: Sequence[str]
    ) -> Iterator[tuple[Record, int, int]]:
        """Give the nearest paragraphs that do not hold an answer; in the language of the record that answers."""
        language = record.language
        scores: Counter[int] = Counter()
        for term in set(content_terms(question.text, question.language)):
            holding = self._holds.get(term, set())
            for i in holding:
                scores[i] += log(len(self._places) / len(holding))  # type: ignore[assignment]
        if question.language != language:
            scores.update({i: 3 for i, place in enumerate(self._places) if place[0] is record})
        left = NEAREST
        for i, _ in scores.most_common():
            other, start, end = self._places[i]
            text = other.text[start:end].casefold()
            same = other is record and start < gold[1] and gold[0] < end
            if other.language != language or same or any(answer.casefold() in text for answer in answers):
                continue
            yield other, start, end
            left -= 1
            if not left:
                return


def _window(question: Asked, chance: random.Random, *, answers: bool) -> Pair:
    """Cut a window out of the question's paragraph; around an answer, where it answers."""
    begin, end = question.paragraph
    span = chance.choice(question.spans) if answers and question.spans else None
    if span and not (begin <= span[0] and span[1] <= end):
        begin, end = 0, len(question.record.text)
    whole = not span and (question.answerable or not answers)
    start, stop = (begin, end) if whole else _around(question.record, begin, end, span, chance)
    text = question.record.text[start:stop]
    within = (span[0] - start, span[1] - start) if span else None
    return Pair(question.question, _maybe_title(question.record, chance), text, answers, within)


def _negative(question: Asked, chance: random.Random) -> Pair:
    """Make a pair in which nothing answers: one of the three kinds that can be made of a question with an answer."""
    kind = chance.random()
    if kind < 0.25 and question.spans:
        left = _without_answer(question)
        if len(left) > 150:
            return Pair(question.question, _maybe_title(question.record, chance), _trim(left, chance), answers=False)
    if kind < 0.4 and question.spans and (other := _asks_another(question, chance)):
        pair = _window(question, chance, answers=True)
        return Pair(other, pair.title, pair.text, answers=False)
    if question.others:
        record, start, end = chance.choice(question.others)
        return Pair(
            question.question, _maybe_title(record, chance), _trim(record.text[start:end], chance), answers=False
        )
    return _window(question, chance, answers=True)


def _without_answer(question: Asked) -> str:
    begin, end = question.paragraph
    text = question.record.text[begin:end]
    kept = [
        text[start:stop]
        for start, stop in sentences(text, question.record.language or None)
        if not any(answer.casefold() in text[start:stop].casefold() for answer in question.answers)
        and not any(begin + start < last and first < begin + stop for first, last in question.spans)
    ]
    return " ".join(kept)


def _asks_another(question: Asked, chance: random.Random) -> str | None:
    """Change the year or a name of the question, to one of the record's where there is another."""
    if year := YEAR.search(question.question):
        moved = str(int(year.group()) + chance.choice([-30, -10, -7, -3, -2, -1, 1, 2, 3, 7, 10]))
        return question.question.replace(year.group(), moved)
    names = NAME.findall(question.question)
    others = sorted(set(NAME.findall(question.record.text)) - set(names))
    others = [name for name in others if name not in question.question and len(name) < 40]
    if not names or not others:
        return None
    return question.question.replace(chance.choice(names), chance.choice(others))


def _around(
    record: Record, begin: int, end: int, span: tuple[int, int] | None, chance: random.Random
) -> tuple[int, int]:
    """Choose sentences in a row, those of the span among them, as long as a window."""
    wanted = chance.randint(*WINDOW_CHARACTERS)
    spans = [(begin + a, begin + b) for a, b in sentences(record.text[begin:end], record.language or None)]
    if not spans or end - begin <= wanted:
        return begin, end
    holding = [i for i, (a, b) in enumerate(spans) if span and a < span[1] and span[0] < b] or [
        chance.randrange(len(spans))
    ]
    first, last = holding[0], holding[-1]
    while spans[last][1] - spans[first][0] < wanted and (first > 0 or last + 1 < len(spans)):
        if first > 0 and (last + 1 == len(spans) or chance.random() < 0.5):
            first -= 1
        else:
            last += 1
    start, stop = spans[first][0], spans[last][1]
    return (min(start, span[0]), max(stop, span[1])) if span else (start, stop)


def _trim(text: str, chance: random.Random) -> str:
    """Cut a text to the length of a window, at a white space."""
    wanted = chance.randint(*WINDOW_CHARACTERS)
    if len(text) <= wanted:
        return text
    start = chance.randrange(len(text) - wanted + 1)
    start = text.find(" ", start) + 1 if start else 0
    return text[start : start + wanted].rpartition(" ")[0] or text[start : start + wanted]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for part in text.split("\n\n"):
        yield at, at + len(part)
        at += len(part) + 2


def _maybe_title(record: Record, chance: random.Random) -> str:
    return "" if chance.random() < UNTITLED else _title(record)


def _title(record: Record) -> str:
    return MARKUP.sub("", record.title).replace("_", " ")
