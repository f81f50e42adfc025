"""The measures, each as its paper defines it.

Those of one question compare texts or ranks. Those of many take an array with a value for each question, NaN where the
question says nothing about it, and the weights of the questions: float64, shape (n_questions,), or (n_samples,
n_questions) for as many bootstrap samples at once (see bootstrap.py). They give one number for each row of weights, NaN
where no question counts.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ARTICLES = {
    "de": "ein eine einen einem eines einer der die das den dem des",
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "fr": "le la les un une des du au aux",
}
"""By language, ISO 639-1: what normalisation leaves out. Those of MLQA, which has no French, and the French ones."""
ELIDED = re.compile(r"\bl['’]")


def normalised(text: str, language: str | None) -> list[str]:
    """Return the words of a text as SQuAD compares them: in lower case, without punctuation and articles.

    By the rules of the script of MLQA, which are those of SQuAD 1.1 for more languages and all punctuation of Unicode;
    in French "l'" counts as an article too. Words are what white space parts.

    References: Rajpurkar et al., SQuAD, EMNLP 2016; Lewis et al., MLQA, ACL 2020.
    """
    lowered = text.lower()
    if language == "fr":
        lowered = ELIDED.sub(" ", lowered)
    articles = ARTICLES.get(language or "", "").split()
    return [word for word in _without_punctuation(lowered).split() if word not in articles]


def exact_match(said: str, answers: Sequence[str], language: str | None) -> float:
    """Return 1 where the words are those of one of the answers, else 0 (SQuAD 1.1)."""
    return float(any(normalised(said, language) == normalised(answer, language) for answer in answers))


def f1(said: str, answers: Sequence[str], language: str | None) -> float:
    """Return the harmonic mean of precision and recall of the words, for the answer that fits best (SQuAD 1.1)."""
    return max((_f1(normalised(said, language), normalised(answer, language)) for answer in answers), default=0.0)


def holds(said: str, answers: Sequence[str], language: str | None) -> float:
    """Return 1 where the words of one of the answers stand in the text, one behind the other, else 0."""
    words = f" {' '.join(normalised(said, language))} "
    sought = [" ".join(normalised(answer, language)) for answer in answers]
    return float(any(answer and f" {answer} " in words for answer in sought))


def ndcg(gains: Sequence[float], ideal: Sequence[float], depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain, discounted by log2(1 + rank), as trec_eval and MIRACL have it.

    gains: of what was found, best first. ideal: of all that could be found.

    References: Järvelin and Kekäläinen, ACM TOIS 20, 2002; Burges et al., ICML 2005, for the discount.
    """
    return _dcg(gains[:depth]) / _dcg(sorted(ideal, reverse=True)[:depth])


def mean(values: Array, weights: Array) -> Array:
    """Return the mean of the values that are known."""
    known = ~np.isnan(values)
    return _divided(weights[..., known] @ values[known], weights[..., known].sum(-1))


def percentile(values: Array, weights: Array, share: float) -> Array:
    """Return the smallest value that is no less than this share of the values that are known (nearest rank)."""
    known = ~np.isnan(values)
    if not known.any():
        return np.full(weights.shape[:-1], np.nan)
    order = np.argsort(values[known], kind="stable")
    reached = weights[..., known][..., order].cumsum(-1)
    rank = (reached < share * reached[..., -1:] - 1e-9).sum(-1)
    return np.asarray(values[known][order][np.minimum(rank, len(order) - 1)])


def auroc(scores: Array, labels: Array, weights: Array | None = None) -> Array:
    """Return the area under the receiver operating characteristic: the share of pairs that are in the right order.

    A pair is one question of each kind; with equal scores it counts half. labels: true for those whose score should be
    higher.

    References: Hanley and McNeil, Radiology 143, 1982.
    """
    positive, negative = _by_score(scores, labels, np.ones(len(scores)) if weights is None else weights)
    below = negative.cumsum(-1) - negative / 2
    return _divided((positive * below).sum(-1), positive.sum(-1) * negative.sum(-1))


def hallucination_rate_at(error_rate: float, scores: Array, answerable: Array, weights: Array) -> Array:
    """Return the hallucination rate at the highest threshold of confidence that keeps the error rate at this or less.

    The hallucination rate is the share answered of the questions without an answer, the error rate the share declined
    of those with one.

    References: Thakur et al., NoMIRACL, Findings of EMNLP 2024.
    """
    can, cannot = _by_score(scores, answerable, weights)
    all_that_can = can.sum(-1, keepdims=True)
    # The scores ascend, so those that are declined come first.
    is_answered = can.cumsum(-1) > error_rate * all_that_can + 1e-9
    return np.where(all_that_can[..., 0] > 0, _divided((cannot * is_answered).sum(-1), cannot.sum(-1)), np.nan)


def risk_and_coverage(scores: Array, answered: Array, right: Array) -> tuple[Array, Array]:
    """Return the risk-coverage curve, from the most confident question on.

    scores: the confidence of each question, shape (n,); equal ones are one step. answered, right: bool, the same shape.
    Returns coverage, the share of all questions that is answered from some confidence on, and risk, the share of
    these that is wrong; the last point is where the assistant stands.

    References: El-Yaniv and Wiener, JMLR 11, 2010; Geifman and El-Yaniv, NeurIPS 2017.
    """
    order = np.argsort(-scores[answered], kind="stable")
    ends = np.flatnonzero(np.diff(scores[answered][order], append=np.nan))
    answers = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[answered][order])
    return answers[ends] / len(scores), wrong[ends] / answers[ends]


def reliability(scores: Array, labels: Array, bins: int = 5) -> tuple[Array, Array, Array]:
    """Return mean score, share of true labels and count of each bin that holds a question; the bins part 0 to 1 evenly.

    scores: probabilities, shape (n,). labels: bool, the same shape. Calibrated ones have the share for their mean.

    References: DeGroot and Fienberg, The Statistician 32, 1983; Guo et al., ICML 2017.
    """
    places = np.minimum((scores * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    held = counts > 0
    means, shares = (np.bincount(places, values, bins)[held] / counts[held] for values in (scores, labels))
    return means, shares, counts[held]


def _without_punctuation(text: str) -> str:
    return "".join(
        character
        for character in text
        if character not in string.punctuation and not unicodedata.category(character).startswith("P")
    )


def _f1(said: Sequence[str], answer: Sequence[str]) -> float:
    same = (Counter(said) & Counter(answer)).total()
    return 2 * same / (len(said) + len(answer)) if same else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return float(sum(gain / np.log2(1 + rank) for rank, gain in enumerate(gains, start=1)))


def _by_score(scores: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
    """Sum up the weights of the questions with a true label, and of the others, for each score, ascending."""
    known = ~np.isnan(scores)
    if not known.any():
        nothing = np.zeros((*weights.shape[:-1], 1))
        return nothing, nothing
    order = np.argsort(scores[known], kind="stable")
    is_positive = labels[known][order].astype(bool)
    _, starts = np.unique(scores[known][order], return_index=True)
    ordered = weights[..., known][..., order]
    return (
        np.add.reduceat(ordered * is_positive, starts, axis=-1),
        np.add.reduceat(ordered * ~is_positive, starts, axis=-1),
    )


def _divided(dividend: Array, divisor: Array) -> Array:
    """Divide, with NaN where nothing counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.float64(1) * dividend / divisor)
