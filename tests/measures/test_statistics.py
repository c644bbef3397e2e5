"""Intervals and chances, against their definitions."""

import numpy as np
import pytest

from cpd.measures.statistics import interval, one_more, paired_difference


def test_t_interval_covers_the_mean_95_times_in_100() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
    covered = [i.low <= 3.0 <= i.high for i in map(interval, draws)]
    assert 0.935 < np.mean(covered) < 0.965


def test_intervals_contain_the_mean_and_shrink_with_n() -> None:
    x = np.random.default_rng(0).exponential(size=400)
    few, many = interval(x[:25]), interval(x)
    assert few.low < few.mean < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert (few.n, many.n) == (25, 400)


def test_pairing_removes_what_both_sides_share() -> None:
    random = np.random.default_rng(0)
    task = random.normal(0, 10, 12)
    a, b = task + 1 + random.normal(0, 0.1, 12), task
    paired, apart = paired_difference(a, b), interval(a)
    assert paired.low > 0.8
    assert paired.high < 1.2
    assert apart.high - apart.low > 10 * (paired.high - paired.low)


def test_intervals_refuse_what_they_cannot_judge() -> None:
    assert (interval([2.0]).low, interval([2.0]).high) == (-np.inf, np.inf)
    for bad in ([], [1.0, np.nan], [[1.0], [2.0]]):
        with pytest.raises(ValueError, match="one row of finite values"):
            interval(bad)
    with pytest.raises(ValueError, match="equally many values, got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])


def test_one_more_value_is_as_likely_as_students_t_says_and_uniform_where_it_is_one_more() -> None:
    assert one_more(2.0, [2.0 - 1.0, 2.0 + 1.0]) == pytest.approx(1.0)
    distance = np.sqrt(2.0) * np.sqrt(1.5)  # one prediction error off; t with one degree of freedom is Cauchy
    assert one_more(2.0 + distance, [1.0, 3.0]) == pytest.approx(0.5)
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 6))
    found = np.array([one_more(row[0], row[1:]) for row in draws])
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(found < 0.5) == pytest.approx(0.5, abs=0.03)


def test_one_more_value_without_spread_is_certain_and_a_single_run_is_refused() -> None:
    assert one_more(0.5, [0.5, 0.5]) == 1.0
    assert one_more(0.6, [0.5, 0.5]) == 0.0
    with pytest.raises(ValueError, match="2 or more of them, got 1"):
        one_more(0.5, [0.5])
