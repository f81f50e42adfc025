"""What a reader makes of passages, whichever reader it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index import Passage

Span = tuple[int, int]
"""Start and end, exclusive, in characters of the passage's text."""


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """A statement of a passage, most often a sentence, as an answer to the question."""

    span: Span
    share: float
    """Probability that the answer begins in it, if the passage answers; those of a passage add up to 1."""
    answer: Span | None
    """The words of it that answer best; None where the reader knows but whole sentences."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of one passage."""

    answers: float
    """Logit that the passage answers: above 0 it rather does."""
    sentences: tuple[ReadSentence, ...]
    """In the order of the text."""


class Reader(Protocol):
    """Reads passages for a question."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """Read passages, each for itself; one reading a passage, in their order."""

    def probability(self, answers: float, language: str | None) -> float:
        """Return the probability that the documents answer, from 0 to 1.

        answers: the greatest logit of the passages that were read. language: of the question, ISO 639-1, where known.
        """


Probability = Callable[[float, str | None], float]
"""As Reader.probability."""


def sigmoid(logit: float) -> float:
    """Return the probability of a logit."""
    return float(1 / (1 + np.exp(-logit)))
