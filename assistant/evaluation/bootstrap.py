"""How far chance alone moves a figure: the bootstrap over questions.

A sample draws as many questions as there are, with replacement. It is kept as how often each was drawn, so that a
figure of all samples is one product of matrices.

References: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16; Koehn, Statistical
significance tests for machine translation evaluation, EMNLP 2004, for the paired one.
"""

import numpy as np

from assistant.evaluation.metrics import Array

SAMPLES = 1_000
SEED = 0
SHARE = 0.95
"""Of the samples that an interval holds."""


def sample_weights(questions: int) -> Array:
    """Return how often each question is in each sample: float64, shape (SAMPLES, questions); the same every time."""
    chance = np.random.default_rng(SEED)
    return chance.multinomial(questions, np.full(questions, 1 / questions), SAMPLES).astype(np.float64)


def interval(values: Array) -> tuple[float, float]:
    """Return the percentile interval of a figure.

    values: of each sample, shape (n_samples,); a sample without any question that counts is NaN and left out.
    """
    low, high = np.nanpercentile(values, [50 * (1 - SHARE), 50 * (1 + SHARE)])
    return float(low), float(high)


def p_value(differences: Array) -> float:
    """Return how likely chance alone would make a difference this large, whichever way it goes.

    differences: between two runs over the same questions, of each sample, shape (n_samples,). Twice the share of
    samples on the rarer side of zero; samples on zero count on both, and one more is counted than there were.
    """
    known = differences[~np.isnan(differences)]
    rarer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (len(known) + 1)))
