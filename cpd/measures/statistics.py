"""Means with their intervals, and how likely a value is one more of a sample.

Source: Student's t, Efron and Tibshirani 1993, chapter 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Give a mean and its 95 % interval (Student's t, for few roughly normal values).

    Args:
        values: (n,) independent values; average the checkpoints of one run first, for they are not.

    Returns:
        The interval in the unit of the values; with a single value it is infinitely wide.

    Raises:
        ValueError: if there is no value, or one is not finite.

    Source: Efron and Tibshirani 1993, equation 12.13.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(f"an interval needs one row of finite values, got {x.tolist()}")
    mean, n = float(x.mean()), len(x)
    if n == 1:
        return Interval(mean, -np.inf, np.inf, 1)
    half = float(stats.t.ppf(0.975, n - 1) * x.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Interval:
    """Give the mean of a - b and its 95 % interval over pairs (the same task, run or example on both sides).

    Raises:
        ValueError: if the two have different lengths, or as `interval`.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs equally many values, got {len(a)} and {len(b)}")
    return interval(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))


def one_more(value: float, values: Sequence[float] | np.ndarray) -> float:
    """Return the two-sided p of a value being one more of a normal sample.

    Args:
        value: what is asked about.
        values: (n,) the sample, n of 2 or more.

    Returns:
        Its probability, from Student's t with n - 1 degrees of freedom and the prediction error s sqrt(1 + 1/n).
        Without spread it is 1 where the value is the sample's own, and 0 where it is not.

    Raises:
        ValueError: if the sample is smaller than 2.

    Source: Student's t prediction interval (Hahn and Meeker 1991, chapter 4).
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        raise ValueError(f"the spread of runs needs 2 or more of them, got {len(x)}")
    away, error = abs(value - x.mean()), x.std(ddof=1) * np.sqrt(1 + 1 / len(x))
    if error == 0:
        return float(away == 0)
    return float(2 * stats.t.sf(away / error, len(x) - 1))
