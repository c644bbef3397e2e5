"""Independent jobs side by side: a process per core, or the workers of a cluster, one thread each.

A job computes on one thread wherever it runs, so its bytes do not depend on where that is or how many run beside it.
``CPD_SCHEDULER``, an address or the path of a scheduler file, sends jobs to the workers of a cluster. Otherwise they
stay on this machine: where there is a GPU, or one core only, they follow each other in this process.
``LOKY_MAX_CPU_COUNT`` bounds the cores.

Source: ours; the processes are joblib's, the clusters are dask's.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

import joblib
import torch
from tqdm import tqdm

from cpd.runtime import artifacts, cluster

T = TypeVar("T")


def side_by_side(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str) -> list[T]:
    """Call a function with many arguments, and show how far it is.

    Args:
        function: pickled once, so what it carries is built once per process.
        jobs: the arguments of each call.
        label: of the progress bar.

    Returns:
        What each call returned, in the order of the jobs.
    """
    return list(tqdm(results(function, jobs), desc=label, total=len(jobs)))


def results(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    if scheduler := os.environ.get("CPD_SCHEDULER"):
        return cluster.on_workers(scheduler, partial(_call_on_one_thread, pickle.dumps(function)), jobs)
    if torch.cuda.is_available():
        return (function(*job) for job in jobs)
    return _on_one_thread(function, jobs) if joblib.cpu_count() == 1 else _in_processes(function, jobs)


def _in_processes(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    call, pickled = joblib.delayed(_call), pickle.dumps(function)
    calls = [call(pickled, job, str(artifacts.root()), os.getpid()) for job in jobs]
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        workers = joblib.Parallel(joblib.cpu_count(), pre_dispatch="all", batch_size=1, return_as="generator")
        yield from workers(calls)


def _on_one_thread(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for job in jobs:
            yield function(*job)
    finally:
        torch.set_num_threads(threads)


def _call(pickled: bytes, job: tuple[Any, ...], root: str, parent: int) -> Any:
    os.environ["CPD_ARTIFACTS"] = root
    _watch(parent)
    try:
        return _unpickled(pickled)(*job)
    finally:
        _return_freed_memory()


def _call_on_one_thread(pickled: bytes, *job: Any) -> Any:
    torch.set_num_threads(1)  # of the thread in which a worker runs its jobs
    return _unpickled(pickled)(*job)


@lru_cache(maxsize=2)
def _unpickled(function: bytes) -> Callable[..., Any]:
    """Return what this process's parent pickled, the same object for the same bytes."""
    found: Callable[..., Any] = pickle.loads(function)
    return found


def _return_freed_memory() -> None:
    """Give what was freed back to the system: joblib ends a worker that has grown, and a new one imports all anew."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)


@cache
def _watch(parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, however it ended: two processes must never write one run."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
