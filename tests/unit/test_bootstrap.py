import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from assistant.evaluation.bootstrap import SAMPLES, interval, p_value, sample_weights
from assistant.evaluation.metrics import mean

CHANCE = np.random.default_rng(7)
VALUES = CHANCE.random(200)


def test_a_sample_draws_as_many_questions_as_there_are_and_the_same_every_time():
    weights = sample_weights(30)

    assert weights.shape == (SAMPLES, 30)
    assert (weights.sum(1) == 30).all()
    np.testing.assert_array_equal(weights, sample_weights(30))


def test_the_interval_of_a_mean_is_that_of_scipy():
    low, high = interval(mean(VALUES, sample_weights(200)))
    theirs = bootstrap([VALUES], np.mean, method="percentile", n_resamples=SAMPLES, random_state=1).confidence_interval

    assert low == pytest.approx(theirs.low, abs=0.006)
    assert high == pytest.approx(theirs.high, abs=0.006)


def test_samples_without_a_question_that_counts_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)


@pytest.mark.parametrize("z", [2.0, -2.0])
def test_the_p_value_is_about_that_of_a_paired_z_test(z):
    change = CHANCE.normal(0, 1, 400)
    change += z * change.std() / np.sqrt(400) - change.mean()

    assert p_value(mean(change, sample_weights(400))) == pytest.approx(2 * norm.sf(2), abs=0.02)


def test_no_difference_is_chance_and_a_difference_in_every_sample_is_not():
    assert p_value(np.zeros(1000)) == 1
    assert p_value(np.full(999, -0.2)) == pytest.approx(2 / 1000)
