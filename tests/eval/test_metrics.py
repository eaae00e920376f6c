"""Frame figures against their plain definitions, ties included."""

import numpy as np
import pytest

from vad_pipeline.eval.metrics import average_precision, recall_at_false_positive_rate, roc_auc


def plain_auc(scores, positive):
    pairs = [(p, n) for p in scores[positive] for n in scores[~positive]]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def operating_points(scores, positive):
    for threshold in sorted(set(scores), reverse=True):
        taken = positive[scores >= threshold]
        yield sum(taken), len(taken) - sum(taken)


def plain_ap(scores, positive):
    total, before = 0.0, 0
    for hits, false in operating_points(scores, positive):
        total += (hits - before) / sum(positive) * hits / (hits + false)
        before = hits
    return total


def plain_recall(scores, positive, rate):
    n_negative = len(positive) - sum(positive)
    found = [hits for hits, false in operating_points(scores, positive) if false / n_negative <= rate]
    return max(found, default=0) / sum(positive)


@pytest.mark.parametrize("seed", range(20))
def test_figures_equal_their_definitions_with_many_ties(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    scores = rng.integers(0, rng.integers(1, 30) + 1, n) / 32
    positive = rng.random(n) < 0.3
    positive[:2] = True, False
    assert roc_auc(scores, positive) == pytest.approx(plain_auc(scores, positive), abs=1e-12)
    assert average_precision(scores, positive) == pytest.approx(plain_ap(scores, positive), abs=1e-12)
    for rate in (0, 0.02, 0.2, 1):
        got = recall_at_false_positive_rate(scores, positive, rate=rate)
        assert got == pytest.approx(plain_recall(scores, positive, rate), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_weight_is_that_many_copies(seed):
    rng = np.random.default_rng(seed)
    scores, positive, weights = rng.integers(0, 8, 40) / 8, rng.random(40) < 0.4, rng.integers(0, 4, 40)
    copies = np.repeat(scores, weights), np.repeat(positive, weights)
    for figure in (roc_auc, average_precision, recall_at_false_positive_rate):
        assert figure(scores, positive, weights) == pytest.approx(figure(*copies), abs=1e-12)


def test_known_values():
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    assert roc_auc(scores, positive) == 0.75
    assert average_precision(scores, positive) == pytest.approx(0.5 + 0.5 * 2 / 3)
    constant = np.full(4, 0.5)
    assert roc_auc(constant, positive) == 0.5
    assert average_precision(constant, positive) == 0.5  # the share of positives
    assert recall_at_false_positive_rate(constant, positive) == 0


def test_exactly_the_rate_is_allowed():
    scores = np.array([0.9, 0.8] + [0.1] * 49 + [0.7])  # 50 negatives: one of them is 2%
    positive = np.array([False, True] + [False] * 49 + [True])
    assert recall_at_false_positive_rate(scores, positive) == 1


def test_one_class_alone_is_undefined():
    scores = np.array([0.2, 0.7])
    for positive in (np.zeros(2, bool), np.ones(2, bool)):
        assert roc_auc(scores, positive) is None
        assert recall_at_false_positive_rate(scores, positive) is None
    assert average_precision(scores, np.zeros(2, bool)) is None
    assert roc_auc(np.empty(0), np.empty(0, bool)) is None
    assert roc_auc(scores, np.array([True, False]), np.array([1, 0])) is None


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        roc_auc(np.array([0.1, np.nan]), np.array([True, False]))
