"""Measures how follow-up questions fare, searched as they are and with their conversation.

    python -m tests.evaluation.follow_ups CONVERSATIONS QUESTIONS

CONVERSATIONS is a data set whose questions have a history; half of its conversations were tuned on. QUESTIONS is one
whose questions stand alone: each is asked after two turns about other documents, which should change nothing.
Where ASSISTANT_MODEL names a language model, they are also asked as it rewrites them.
"""

import random
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from langchain_core.runnables import RunnablePassthrough

from assistant import Assistant, Message
from assistant.build import open_assistant
from assistant.condense import Condense, Condensed, by_history
from assistant.evaluation.ask import DEPTH, Examiner
from assistant.evaluation.bootstrap import interval, sample_weights
from assistant.evaluation.corpus import default_cache, kept_index
from assistant.evaluation.data import DataSet, Question, Selection, read_data_set
from assistant.settings import EXTRACTIVE, AssistantSettings
from index import Index

ALONE = 200
"""How many questions that stand alone are asked; those of seven words or more."""


def main() -> None:
    conversations, questions = map(Path, sys.argv[1:])
    data = read_data_set(conversations, Selection(answers=0))
    asked = [question for question in data.questions if question.history and question.gold and question.answerable]
    halves = np.array([zlib.crc32(question.id.rpartition("-")[0].encode()) % 2 for question in asked])
    bare, *others = figures(searched(data, asked), "recall")
    for name, chosen in (("all", halves >= 0), ("tuned on", halves == 0), ("the other half", halves == 1)):
        for way, ours in others:
            tell(f"recall@5, {name}", way, bare[1][chosen], ours[chosen])

    data = read_data_set(questions, Selection(ALONE, 0, min_words=7), questions / "questions.jsonl")
    bare, *others = figures(searched(data, after_others(data)), "rank")
    for depth in (1, 3, 5):
        for way, ours in others:
            tell(f"hit@{depth}, after others", way, hits(bare[1], depth), hits(ours, depth))


def figures(found: dict[str, list[dict[str, float]]], figure: str) -> list[tuple[str, np.ndarray]]:
    """Take one figure of each question, by the way it was searched."""
    return [(way, np.array([numbers[figure] for numbers in results])) for way, results in found.items()]


def hits(ranks: np.ndarray, depth: int) -> np.ndarray:
    return ((ranks > 0) & (ranks <= depth)).astype(float)


def searched(data: DataSet, questions: Sequence[Question]) -> dict[str, list[dict[str, float]]]:
    """Search for each question in each way: by name of the way, what was found for each question."""
    index, _ = kept_index(data.records, default_cache(), lambda _: None)
    with index:
        retriever = index.retriever(DEPTH)
        found = {}
        for name, condense in ways(index).items():
            assistant = Assistant(index, retriever, RunnablePassthrough(), None, condense=condense)
            examiner = Examiner(assistant, retriever, data.records)
            found[name] = [examiner.searched(question).numbers for question in questions]
        return found


def ways(index: Index) -> Mapping[str, Condense]:
    """Give the ways to take in a conversation, by name; with a language model only where the settings name one."""
    settings = AssistantSettings()
    known: dict[str, Condense] = {"as it is": as_it_is, "with its history": by_history}
    return known if settings.model == EXTRACTIVE else known | {settings.model: open_assistant(index, settings).condense}


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


def tell(name: str, way: str, bare: np.ndarray, ours: np.ndarray) -> None:
    """Print means and their 95 % intervals."""
    drawn = sample_weights(len(bare))
    told = []
    for label, values in (("as it is", bare), (way, ours), ("difference", ours - bare)):
        low, high = interval(drawn @ values / drawn.sum(1))
        told.append(f"{label} {values.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    print(f"{name} ({len(bare)}): {'; '.join(told)}")


if __name__ == "__main__":
    main()
