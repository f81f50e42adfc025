"""Measures answers and refusals, as a user gets them, on question-answering folders and on the seed document.

    python -m tests.evaluation.measure CACHE seeds FOLDER… [--limit N]

For each set: of the questions that have an answer, the share whose answer quotes it ("right", where the set says where
it stands) and the share declined (error rate); of those that have none, the share declined and the share answered
(hallucination rate); and the AUROC of the confidence by which it is decided.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant import AssistantSettings, open_assistant
from assistant.evaluation.data import Question, Record, by_language, index_records, read_questions, read_records
from assistant.evaluation.data import record_key as key_of
from assistant.extract import Reader, Reading, Sentence
from assistant.reader.train import auroc, is_held_back
from assistant.types import Asked
from index import Passage

SEEDS = Path("seeds")
SEED_QUESTIONS = Path("tests/evaluation/seed_questions.jsonl")


@dataclass(frozen=True)
class Outcome:
    """What became of a question."""

    question: Question
    answered: bool
    right: bool
    confidence: float
    words: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--held-back", action="store_true", help="only of articles that the reader was not trained on")
    parser.add_argument("--show", action="store_true", help="print the questions that went wrong")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        outcomes = list(measure(folder, arguments.cache, arguments.limit, arguments.held_back))
        print(json.dumps({"data": folder.name, **summary(outcomes)}), flush=True)
        for outcome in outcomes if arguments.show else []:
            if outcome.answered != outcome.question.answerable or (outcome.answered and not outcome.right):
                print(f"  {outcome.confidence:.2f} {outcome.answered=} {outcome.right=} {outcome.question.text}")


def measure(folder: Path, cache: Path, limit: int, held_back: bool = False) -> Iterator[Outcome]:
    records, questions = data_set(folder, limit, held_back)
    for number, (group, asked) in enumerate(by_language(records, questions)):
        with index_records(group, cache / f"{folder.name}-{number}") as index:
            assistant = open_assistant(index, AssistantSettings())
            reader = Reader(index.embeddings)
            keys = {record.id: key_of(record) for record in group}
            for question in asked:
                task = assistant.search.invoke(Asked(question=question.text, history=[]))
                yield outcome(question, task["passages"], reader.read(task["query"], task["passages"]), keys)


def data_set(folder: Path, limit: int, held_back: bool) -> tuple[list[Record], list[Question]]:
    """Read a folder, with its questions that nothing in it answers, or the seeds; a fixed sample of the questions."""
    if folder == SEEDS:
        records = [Record(path.stem, path.stem, path.read_bytes().decode(), "fr") for path in SEEDS.glob("*.txt")]
        return records, read_questions(SEED_QUESTIONS)
    questions = read_questions(folder / "questions.jsonl")
    if folder.name.startswith("piaf"):
        # Shorter ones lean on the paragraph they were asked about.
        questions = [question for question in questions if len(question.text.split()) >= 7]
    records = read_records(folder)
    if held_back:
        unseen = {record.id for record in records if is_held_back(record.title)}
        questions = [question for question in questions if question.document in unseen]
    sample = random.Random(0).sample(questions, min(limit, len(questions)))
    for path in folder.glob("questions.*.jsonl"):
        sample += random.Random(0).sample(found := read_questions(path), min(limit, len(found)))
    return records, sample


def outcome(question: Question, passages: Sequence[Passage], reading: Reading, keys: dict[str, str]) -> Outcome:
    gold = keys.get(question.document or "")
    shown = reading.sentences if reading.answers else ()
    right = any(holds(sentence, passages, start, gold) for sentence in shown for start in question.starts)
    words = sum(len(sentence.text.split()) for sentence in shown)
    return Outcome(question, reading.answers, right, reading.confidence, words)


def holds(sentence: Sentence, passages: Sequence[Passage], start: int, gold: str | None) -> bool:
    """Say whether a sentence holds the character at `start` of the gold document."""
    passage = passages[sentence.passage - 1]
    begins = passage.start + sentence.place[1]
    return passage.source == gold and begins <= start < begins + len(sentence.text)


def summary(outcomes: Sequence[Outcome]) -> dict[str, float | int]:
    can = [outcome for outcome in outcomes if outcome.question.answerable]
    cannot = [outcome for outcome in outcomes if not outcome.question.answerable]
    placed = [outcome for outcome in can if outcome.question.starts]
    figures: dict[str, float | int] = {"answerable": len(can), "unanswerable": len(cannot)}
    if placed:
        figures["right"] = share(outcome.right for outcome in placed)
        figures["words"] = round(float(np.median([outcome.words for outcome in placed if outcome.answered] or [0])), 1)
    if can:
        figures["error_rate"] = share(not outcome.answered for outcome in can)
    if cannot:
        figures["declined"] = share(not outcome.answered for outcome in cannot)
        figures["hallucination_rate"] = share(outcome.answered for outcome in cannot)
    if can and cannot:
        scores = np.array([outcome.confidence for outcome in outcomes])
        labels = np.array([outcome.question.answerable for outcome in outcomes])
        figures["auroc"] = round(auroc(scores, labels), 3)
    return figures


def share(truths: Iterator[bool]) -> float:
    return round(float(np.mean(list(truths))), 3)


if __name__ == "__main__":
    main()
