"""How well classes are told apart, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from cpd.measures.classification import judged, ranked

RANDOM = np.random.default_rng(0)


def ranked_above(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return how often a positive is above a negative; as high is half."""
    away = positive[:, None] - negative[None]
    return float(((away > 0) + 0.5 * (away == 0)).mean())


@pytest.mark.parametrize("shift", [0, -7, 3])
def test_the_area_is_how_often_a_yes_is_ranked_above_a_no_wherever_the_threshold_is(shift: float) -> None:
    logits, labels = RANDOM.integers(-3, 4, (50, 2)).astype(np.float32), np.arange(50) % 2
    found = judged(logits + np.array([0, shift], np.float32), labels)
    score = logits[:, 1] - logits[:, 0]
    assert found.auc == pytest.approx(ranked_above(score[labels == 1], score[labels == 0]))
    assert found.accuracy == np.mean((score + shift > 0) == labels)


def test_of_several_classes_it_is_the_mean_of_each_against_the_others() -> None:
    logits, labels = RANDOM.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    each = [ranked_above(likely[labels == k, k], likely[labels != k, k]) for k in range(3)]
    assert judged(logits, labels).auc == pytest.approx(np.mean(each))
    assert judged(10 * np.eye(3, dtype=np.float32)[labels], labels).auc == 1.0


def test_a_class_without_rows_is_left_out() -> None:
    logits, labels = RANDOM.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    assert 0 < judged(logits, labels).auc < 1


def test_rows_are_ranked_by_how_much_more_like_yes_than_no_they_are() -> None:
    logits, labels = np.array([[0, 2], [5, 4], [0, 3], [0, 0.5]]), np.array([1, 0, 1, 0])
    assert ranked(logits, labels) == [0, 0, 1, 1]
    assert ranked(-logits, labels) == [1, 1, 0, 0]
    assert ranked(logits + 7, labels) == ranked(logits, labels) != ranked(logits + np.array([0, 7]) * logits, labels)
