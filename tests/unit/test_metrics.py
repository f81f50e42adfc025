"""Each measure against the worked examples of its paper, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from assistant.evaluation.metrics import (
    auroc,
    exact_match,
    f1,
    hallucination_rate_at,
    holds,
    mean,
    ndcg,
    normalised,
    percentile,
    reliability,
    risk_and_coverage,
)

ONCE = np.ones


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("The  Cat, (a) sat on an apple!", "en", ["cat", "sat", "on", "apple"]),
        ("El perro y la gata: unos animales", "es", ["perro", "y", "gata", "animales"]),
        ("Der Hund des Königs", "de", ["hund", "königs"]),
        ("L'homme et l’État, « une » idée du XXe siècle", "fr", ["homme", "et", "état", "idée", "xxe", "siècle"]),
        ("Il a dit : « la paix »…", "fr", ["il", "a", "dit", "paix"]),
        ("un om", "ro", ["un", "om"]),
        ("the house", None, ["the", "house"]),
    ],
)
def test_case_punctuation_and_the_articles_of_the_language_do_not_count(text, language, words):
    assert normalised(text, language) == words


def test_exact_match_takes_the_best_of_several_answers():
    answers = ["Denver Broncos", "The Denver Broncos!"]

    assert exact_match("the denver broncos", answers, "en") == 1
    assert exact_match("Carolina Panthers", answers, "en") == 0
    assert exact_match("the denver broncos", [], "en") == 0


def test_f1_is_that_of_the_words_as_in_squad():
    # Three words of four are in the answer, three of the answer's five are said: 2 · 0.75 · 0.6 / (0.75 + 0.6).
    assert f1("Luther's 95 theses nailed", ["luthers 95 theses of 1517"], "en") == pytest.approx(2 / 3)
    assert f1("nothing alike", ["Denver Broncos"], "en") == 0
    assert f1("", ["Denver Broncos"], "en") == 0
    assert f1("Broncos", ["Panthers", "Denver Broncos"], "en") == pytest.approx(2 / 3)


def test_a_word_that_is_said_twice_counts_twice_only_if_the_answer_has_it_twice():
    assert f1("paris paris", ["paris"], "fr") == pytest.approx(2 / 3)


def test_an_answer_is_held_when_its_words_stand_one_behind_the_other():
    quote = "L'entretien a duré deux heures et demie, a-t-il dit."

    assert holds(quote, ["les deux heures et demie"], "fr") == 1
    assert holds(quote, ["demie heures"], "fr") == 0
    assert holds("En 2010, rien.", ["10"], "fr") == 0
    assert holds("", ["la"], "fr") == 0


def test_mean_reciprocal_rank_of_the_example_in_which_the_right_one_is_third_second_and_first():
    # cat, torus, virus: https://en.wikipedia.org/wiki/Mean_reciprocal_rank after Voorhees, TREC-8.
    assert mean(np.array([1 / 3, 1 / 2, 1]), ONCE(3)) == pytest.approx(11 / 18)


def test_ndcg_of_the_worked_example_with_grades():
    # https://en.wikipedia.org/wiki/Discounted_cumulative_gain: DCG 6.861, ideal 8.740.
    assert ndcg([3, 2, 3, 0, 1, 2], [3, 2, 3, 0, 1, 2, 3, 2], depth=6) == pytest.approx(6.861 / 8.740, abs=1e-3)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=20).filter(any))
def test_ndcg_is_that_of_scikit_learn(gains):
    ranking = [np.arange(len(gains), 0, -1)]

    assert ndcg(gains, gains) == pytest.approx(ndcg_score([gains], ranking, k=10))


def test_ndcg_counts_what_was_not_found():
    assert ndcg([1, 0, 0], [1, 1]) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert ndcg([], [1]) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 3)), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn_with_ties_and_weights(rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = auroc(scores.astype(float), labels, weights.astype(float))

    if labels.all() or not labels.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))


def test_auroc_of_hanley_and_mcneils_readings_is_theirs():
    # Radiology 143, table I: ratings of 58 normal and 51 abnormal images, on a scale of five; the area is 0.893.
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    scores = np.repeat(np.tile(np.arange(5.0), 2), normal + abnormal)
    labels = np.repeat([False, True], [58, 51])

    assert auroc(scores, labels) == pytest.approx(0.893, abs=5e-4)


def test_what_has_no_confidence_takes_no_part_in_the_auroc():
    assert auroc(np.array([0.2, 0.9, np.nan]), np.array([False, True, False])) == 1


def test_rows_of_weights_are_as_many_samples():
    scores, labels = np.array([0.1, 0.8, 0.4, 0.6]), np.array([False, False, True, True])
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1.0]])

    np.testing.assert_allclose(auroc(scores, labels, weights), [0.5, 1])
    np.testing.assert_allclose(mean(scores, weights), [1.9 / 4, 1.2 / 4])
    np.testing.assert_allclose(percentile(scores, weights, 0.5), [0.4, 0.1])
    np.testing.assert_allclose(hallucination_rate_at(0.5, scores, labels, weights), [0.5, 0])


def test_a_mean_of_nothing_is_not_known():
    assert np.isnan(mean(np.array([np.nan]), ONCE(1)))
    assert np.isnan(percentile(np.array([np.nan]), ONCE(1), 0.5))


def test_a_percentile_is_one_of_the_values():
    values = np.array([5.0, 1, 4, np.nan, 2, 3])

    assert [percentile(values, ONCE(6), share) for share in (0.2, 0.5, 0.95, 1)] == [1, 3, 5, 5]


def test_the_hallucination_rate_is_that_of_the_highest_threshold_that_keeps_the_error_rate():
    can = [0.2, 0.4, 0.6, 0.8, 0.9]
    cannot = [0.1, 0.3, 0.5, 0.85]
    scores, answerable = np.array(can + cannot), np.array([True] * 5 + [False] * 4)

    def rate(error_rate):
        return hallucination_rate_at(error_rate, scores, answerable, ONCE(9))

    assert rate(0.0) == 3 / 4
    assert rate(0.19) == 3 / 4
    assert rate(0.2) == 2 / 4
    assert rate(0.4) == 1 / 4
    assert rate(1.0) == 0


def test_without_questions_of_one_kind_there_is_no_such_rate():
    assert np.isnan(hallucination_rate_at(0.1, np.array([0.3]), np.array([True]), ONCE(1)))
    assert np.isnan(hallucination_rate_at(0.1, np.array([0.3]), np.array([False]), ONCE(1)))


def test_reliability_counts_in_each_bin_which_share_is_true():
    scores = np.array([0.0, 0.1, 0.5, 0.59, 0.5, 1.0])
    labels = np.array([False, False, True, True, False, True])

    means, shares, counts = reliability(scores, labels, bins=5)

    np.testing.assert_allclose(means, [0.05, 0.53, 1.0])
    np.testing.assert_allclose(shares, [0, 2 / 3, 1])
    assert counts.tolist() == [2, 3, 1]


def test_the_risk_coverage_curve_of_a_small_example():
    scores = np.array([0.9, 0.8, 0.8, 0.5, 0.1])
    answered = np.array([True, True, True, True, False])
    right = np.array([True, False, True, False, False])

    coverage, risk = risk_and_coverage(scores, answered, right)

    np.testing.assert_allclose(coverage, [1 / 5, 3 / 5, 4 / 5])
    np.testing.assert_allclose(risk, [0, 1 / 3, 2 / 4])
