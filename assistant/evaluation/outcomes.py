"""What became of each question, as a table of numbers: all figures and comparisons are worked out from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from assistant.evaluation.metrics import Array

Numbers = Mapping[str, float]
"""What was measured of a question, by the names in COLUMNS; what was not measured is left out."""

COLUMNS = {
    "answerable": "1 where the documents hold an answer",
    "rank": "of the first passage that answers; 0 where none of ten does",
    "ndcg": "nDCG@10",
    "recall": "share of the places that answer which are found in five passages",
    "own_language": "1 where the first passage answers, or is in the language of the question",
    "answered": "1 where it was answered, 0 where it was declined",
    "read_rank": "of the first passage that answers, as the reader ranks those it read; 0 where none does",
    "confidence": "that the documents answer",
    "exact_match": "of the quotes with an answer",
    "f1": "of the quotes with an answer",
    "holds_answer": "1 where the quotes hold an answer",
    "words": "of the quotes",
    "cited_precision": "share of the quotes that touch a place that answers",
    "cited_recall": "share of the places that answer which a quote touches",
    "verbatim": "share of the quotes that stand in the document, character for character",
    "retrieval_seconds": "from the question to the passages",
    "answer_seconds": "from the question to the end of the answer",
}
"""Name and meaning."""
LABELS = ("id", "pair", "kind")
"""What a row begins with; see Outcome."""
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question."""

    id: str
    pair: str
    """Languages of the question and of the documents: "fr→en"."""
    numbers: Numbers
    kind: str = ""
    """What the data set calls questions of its kind, empty where it has no name for them."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The outcomes of questions, column by column."""

    ids: tuple[str, ...]
    pairs: tuple[str, ...]
    kinds: tuple[str, ...]
    columns: Mapping[str, Array]
    """float64, shape (n_questions,), for each of COLUMNS; NaN where it was not measured."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Write outcomes into a table, numbers with DIGITS digits."""
        rows = [
            [outcome.id, outcome.pair, outcome.kind, *(_written(outcome.numbers.get(name)) for name in COLUMNS)]
            for outcome in outcomes
        ]
        return cls.from_rows([*LABELS, *COLUMNS], rows)

    @classmethod
    def from_rows(cls, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Self:
        """Read a table as `rows` gives it; columns that it does not have were not measured."""
        of = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        return cls(
            tuple(map(str, of["id"])),
            tuple(map(str, of["pair"])),
            tuple(map(str, of.get("kind", [""] * len(rows)))),
            {name: np.array(of.get(name, [None] * len(rows)), np.float64) for name in COLUMNS},
        )

    def rows(self) -> list[list[Any]]:
        """Give LABELS and numbers of each question, in the order of COLUMNS, None where one was not measured."""
        numbers = zip(*(column.tolist() for column in self.columns.values()), strict=True)
        return [
            [*labels, *map(_written, values)]
            for *labels, values in zip(self.ids, self.pairs, self.kinds, numbers, strict=True)
        ]

    def chosen(self, places: Array) -> "Outcomes":
        """Choose questions by a mask or by their places."""
        at = np.arange(len(self.ids))[places]
        return Outcomes(
            tuple(self.ids[i] for i in at),
            tuple(self.pairs[i] for i in at),
            tuple(self.kinds[i] for i in at),
            {name: column[at] for name, column in self.columns.items()},
        )

    def parts(self) -> "dict[str, Outcomes]":
        """Part the questions by pair of languages, then by kind; "all" comes first.

        A part of all questions is not given twice, nor are those without a kind.
        """
        chosen = {
            name: self.chosen(np.array(labels) == name)
            for labels in (self.pairs, self.kinds)
            for name in sorted(set(labels))
            if name and len(set(labels)) > 1
        }
        return {"all": self, **chosen}


def _written(value: float | None) -> float | int | None:
    if value is None or np.isnan(value):
        return None
    rounded = round(float(value), DIGITS)
    return int(rounded) if rounded.is_integer() else rounded
