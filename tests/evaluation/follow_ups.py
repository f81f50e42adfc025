"""Measures how follow-up questions fare, searched as they are and with their conversation.

    python -m tests.evaluation.follow_ups CONVERSATIONS QUESTIONS

CONVERSATIONS is a data set whose questions have a history; half of its conversations were tuned on. QUESTIONS is one
whose questions stand alone: each is asked after two turns about other documents, which should change nothing.
"""

import random
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from langchain_core.runnables import RunnablePassthrough

from assistant import Assistant, Message
from assistant.condense import Condensed, by_history
from assistant.evaluation.ask import DEPTH, Examiner
from assistant.evaluation.bootstrap import interval, sample_weights
from assistant.evaluation.corpus import default_cache, kept_index
from assistant.evaluation.data import DataSet, Question, Selection, read_data_set

ALONE = 200
"""How many questions that stand alone are asked; those of seven words or more."""


def main() -> None:
    conversations, questions = map(Path, sys.argv[1:])
    data = read_data_set(conversations, Selection(answers=0))
    asked = [question for question in data.questions if question.history and question.gold and question.answerable]
    halves = np.array([zlib.crc32(question.id.rpartition("-")[0].encode()) % 2 for question in asked])
    bare, ours = (np.array([numbers["recall"] for numbers in found]) for found in both_ways(data, asked))
    for name, chosen in (("all", halves >= 0), ("tuned on", halves == 0), ("the other half", halves == 1)):
        tell(f"recall@5, {name}", bare[chosen], ours[chosen])

    data = read_data_set(questions, Selection(ALONE, 0, min_words=7), questions / "questions.jsonl")
    ranks = [np.array([numbers["rank"] for numbers in found]) for found in both_ways(data, after_others(data))]
    for depth in (1, 3, 5):
        bare, ours = ((rank > 0) & (rank <= depth) for rank in ranks)
        tell(f"hit@{depth}, after others", bare.astype(float), ours.astype(float))


def both_ways(data: DataSet, questions: Sequence[Question]) -> list[list[dict[str, float]]]:
    """Search for each question as it is, and with its history."""
    index, _ = kept_index(data.records, default_cache(), lambda _: None)
    with index:
        retriever = index.retriever(DEPTH)
        assistants = [
            Assistant(index, retriever, RunnablePassthrough(), None, condense=condense)
            for condense in (as_it_is, by_history)
        ]
        examiners = [Examiner(assistant, retriever, data.records) for assistant in assistants]
        return [[examiner.searched(question).numbers for question in questions] for examiner in examiners]


def as_it_is(question: str, history: Sequence[Message]) -> Condensed:
    return Condensed(question, ((question, 1.0),))


def after_others(data: DataSet) -> list[Question]:
    """Put two turns about other documents before each question: a question, and the words around its answer."""
    chance = random.Random(7)
    texts = {record.id: record.text for record in data.records}
    asked = []
    for question in data.questions:
        others = [other for other in chance.sample(data.questions, 10) if other.document != question.document][:2]
        turns = [turn for other in others for turn in (("user", other.text), ("assistant", answer(other, texts)))]
        asked.append(replace(question, history=tuple(Message(role=role, content=text) for role, text in turns)))
    return asked


def answer(question: Question, texts: dict[str, str]) -> str:
    text, start = texts[question.document], question.starts[0]
    return text[max(text.rfind(". ", 0, start) + 2, start - 300) :][:400] + " [1]"


def tell(name: str, bare: np.ndarray, ours: np.ndarray) -> None:
    """Print means and their 95 % intervals."""
    drawn = sample_weights(len(bare))
    told = []
    for label, values in (("as it is", bare), ("with its history", ours), ("difference", ours - bare)):
        low, high = interval(drawn @ values / drawn.sum(1))
        told.append(f"{label} {values.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    print(f"{name} ({len(bare)}): {'; '.join(told)}")


if __name__ == "__main__":
    main()
