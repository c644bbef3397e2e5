"""Plain work on every core of this machine, whether or not there is a GPU or a cluster.

For what no GPU helps with and torch has no part in, such as drawing. ``LOKY_MAX_CPU_COUNT`` bounds the cores.

Source: ours; the processes are joblib's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import joblib

T = TypeVar("T")


def on_every_core(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> list[T]:
    """Call a function with many arguments, in a process per core; with one core, or for one job, in this process.

    Args:
        function: of a module; a process that lacks the module imports it first, so a light one starts sooner.
        jobs: the arguments of each call.

    Returns:
        What each call returned, in the order of the jobs.
    """
    cores = min(joblib.cpu_count(), len(jobs))
    if cores <= 1:
        return [function(*job) for job in jobs]
    found: list[T] = joblib.Parallel(cores, backend="loky")(joblib.delayed(function)(*job) for job in jobs)
    return found
