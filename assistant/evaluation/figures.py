"""The figures that are reported, worked out from the outcomes of questions, with what chance does to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from assistant.evaluation.bootstrap import interval, p_value, sample_weights
from assistant.evaluation.metrics import Array, auroc, hallucination_rate_at, mean, percentile
from assistant.evaluation.outcomes import Outcomes

Columns = Mapping[str, Array]
Measure = Callable[[Columns, Array], Array]
"""From columns of outcomes and weights of the questions, shape (…, n_questions), to the figure, shape (…)."""

ERROR_RATES = (0.05, 0.08, 0.10, 0.11)
"""Where language models that were measured with NoMIRACL stand."""


DIGITS = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two runs over the same questions."""

    before: float
    after: float
    low: float
    """Of the 95 % interval of after - before."""
    high: float
    p: float
    """How likely chance alone makes a difference as large."""


def figures(outcomes: Outcomes) -> dict[str, dict[str, Figure]]:
    """Work out each of FIGURES that was measured."""
    weights = sample_weights(len(outcomes.ids))
    return {
        section: {name: figure for name, measure in measures.items() if (figure := _figure(measure, outcomes, weights))}
        for section, measures in FIGURES.items()
    }


def differences(before: Outcomes, after: Outcomes) -> dict[str, dict[str, Difference]]:
    """Compare each of FIGURES that was measured both times; both tables have the same questions in the same order."""
    weights = sample_weights(len(before.ids))
    return {
        section: {
            name: difference
            for name, measure in measures.items()
            if (difference := _difference(measure, before, after, weights))
        }
        for section, measures in FIGURES.items()
    }


def is_right(columns: Columns) -> Array:
    """Say which questions were answered rightly: bool, shape (n_questions,).

    A quote touches a place that answers; where the data set does not tell these, that there is an answer will do.
    """
    touches = np.nan_to_num(columns["cited_recall"], nan=1.0) > 0
    return np.asarray((columns["answered"] == 1) & (columns["answerable"] == 1) & touches)


def _figure(measure: Measure, outcomes: Outcomes, weights: Array) -> Figure | None:
    value = _value(measure, outcomes)
    if np.isnan(value):
        return None
    return Figure(*_rounded(value, *interval(measure(outcomes.columns, weights))))


def _difference(measure: Measure, before: Outcomes, after: Outcomes, weights: Array) -> Difference | None:
    values = _value(measure, before), _value(measure, after)
    if np.isnan(values).any():
        return None
    sampled = measure(after.columns, weights) - measure(before.columns, weights)
    return Difference(*_rounded(*values, *interval(sampled), p_value(sampled)))


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, DIGITS) for number in numbers)


def _value(measure: Measure, outcomes: Outcomes) -> float:
    return float(measure(outcomes.columns, np.ones(len(outcomes.ids))))


def _mean_of(name: str, columns: Columns, weights: Array) -> Array:
    return mean(columns[name], weights)


def _hit(depth: int, columns: Columns, weights: Array, rank: str = "rank") -> Array:
    ranks = columns[rank]
    return mean(np.where(np.isnan(ranks), np.nan, (ranks > 0) & (ranks <= depth)), weights)


def _reciprocal_rank(columns: Columns, weights: Array) -> Array:
    """Mean reciprocal rank of the first passage that answers (Voorhees, TREC-8, 1999), of ten."""
    ranks = columns["rank"]
    return mean(np.where(ranks > 0, 1 / np.maximum(ranks, 1), np.where(np.isnan(ranks), np.nan, 0.0)), weights)


def _declined(columns: Columns) -> Array:
    return 1 - columns["answered"]


def _refusal_precision(columns: Columns, weights: Array) -> Array:
    """Of what was declined, the share that has no answer; not known where nothing is without one."""
    precision = mean(np.where(_declined(columns) == 1, 1 - columns["answerable"], np.nan), weights)
    return np.where(np.isnan(_refusal_recall(columns, weights)), np.nan, precision)


def _refusal_recall(columns: Columns, weights: Array) -> Array:
    return mean(np.where(columns["answerable"] == 0, _declined(columns), np.nan), weights)


def _refusal_f1(columns: Columns, weights: Array) -> Array:
    precision, recall = _refusal_precision(columns, weights), _refusal_recall(columns, weights)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * precision * recall / (precision + recall))


def _hallucination_rate(columns: Columns, weights: Array) -> Array:
    return 1 - _refusal_recall(columns, weights)


def _error_rate(columns: Columns, weights: Array) -> Array:
    return mean(np.where(columns["answerable"] == 1, _declined(columns), np.nan), weights)


def _auroc(columns: Columns, weights: Array) -> Array:
    return auroc(columns["confidence"], columns["answerable"], weights)


def _hallucination_rate_at(error_rate: float, columns: Columns, weights: Array) -> Array:
    return hallucination_rate_at(error_rate, columns["confidence"], columns["answerable"], weights)


def _percentile(name: str, share: float, columns: Columns, weights: Array) -> Array:
    return percentile(columns[name], weights, share)


FIGURES: Mapping[str, Mapping[str, Measure]] = {
    "retrieval": {
        **{f"hit@{depth}": partial(_hit, depth) for depth in (1, 3, 5, 10)},
        "mrr": _reciprocal_rank,
        "ndcg@10": partial(_mean_of, "ndcg"),
        "recall@5": partial(_mean_of, "recall"),
        "own_language": partial(_mean_of, "own_language"),
    },
    "answers": {
        "hit@1_read": partial(_hit, 1, rank="read_rank"),
        **{name: partial(_mean_of, name) for name in ("exact_match", "f1", "holds_answer", "words")},
    },
    "citations": {
        "precision": partial(_mean_of, "cited_precision"),
        "recall": partial(_mean_of, "cited_recall"),
        "verbatim": partial(_mean_of, "verbatim"),
    },
    "refusal": {
        "precision": _refusal_precision,
        "recall": _refusal_recall,
        "f1": _refusal_f1,
        "hallucination_rate": _hallucination_rate,
        "error_rate": _error_rate,
        "auroc": _auroc,
        **{f"hallucination_rate@{rate:.2f}": partial(_hallucination_rate_at, rate) for rate in ERROR_RATES},
    },
    "seconds": {
        f"{what}_p{round(100 * share)}": partial(_percentile, f"{what}_seconds", share)
        for what in ("retrieval", "answer")
        for share in (0.5, 0.95)
    },
}
"""By section and name. Answers, declined ones too, are of questions that have one in words; citation recall is of all
questions with a known place, precision, words and verbatim of those that were answered."""
