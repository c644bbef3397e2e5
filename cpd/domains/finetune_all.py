"""Fine-tuning and scoring side by side: a process per core, one thread each, one progress bar for all.

A run computes on one thread wherever it is made, so its bytes do not depend on how many cores there are. Where there is
a GPU, or one core only, jobs follow each other in this process. ``LOKY_MAX_CPU_COUNT`` bounds the cores.

Source: ours; the processes are joblib's.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import joblib
import torch
from tqdm import tqdm

from cpd.domains.finetune import Domain, finetune, run_folder
from cpd.runtime import artifacts

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
    return list(tqdm(_results(function, jobs), desc=label, total=len(jobs)))


def finetune_all(domain: Domain, jobs: Sequence[tuple[str, int]]) -> list[Path]:
    """Fine-tune many adapters, or find those that were.

    Args:
        domain: tasks, model, loss and score; pickled for the processes.
        jobs: task and seed of each run.

    Returns:
        The folder of each run.
    """
    folders = [run_folder(domain, task, seed) for task, seed in jobs]
    missing = [job for job, folder in zip(jobs, folders, strict=True) if not artifacts.is_complete(folder)]
    if missing:
        longest_first = sorted(missing, key=lambda job: -domain.steps(job[0]))
        with _shared_bar(sum(domain.steps(task) for task, _ in missing)) as log:
            for _ in _results(partial(_finetune, domain, log), longest_first):
                pass
    return folders


def _finetune(domain: Domain, log: Path, task: str, seed: int) -> None:
    finetune(domain, task, seed, partial(_Relay, log))


def _results(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[T]:
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
    return _unpickled(pickled)(*job)


@lru_cache(maxsize=2)
def _unpickled(function: bytes) -> Callable[..., Any]:
    """Return what this process's parent pickled, the same object for the same bytes."""
    found: Callable[..., Any] = pickle.loads(function)
    return found


@cache
def _watch(parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, however it ended: two processes must never write one run."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


class _Relay:
    """The progress bar of one run in a process of its own: it tells the shared one."""

    def __init__(self, log: Path, initial: int, desc: str, **_: Any) -> None:
        self.log, self.desc, self.shown = log, desc, ""
        self._tell(initial)

    def set_postfix(self, values: Mapping[str, str], **_: Any) -> None:
        self.shown = ", ".join([self.desc, *(f"{name} {value}" for name, value in values.items())])

    def update(self) -> None:
        self._tell(1)

    def close(self) -> None:
        pass

    def _tell(self, steps: int) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{steps} {self.shown}\n")


@contextmanager
def _shared_bar(total: int) -> Iterator[Path]:
    """Show what is appended to a file, lines of "steps what", as one progress bar."""
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder, tqdm(total=total, desc="fine-tuning") as bar:
        log = Path(folder) / "steps"
        log.touch()
        follower = threading.Thread(target=_follow, args=(log, bar, done), daemon=True)
        follower.start()
        try:
            yield log
        finally:
            done.set()
            follower.join()


def _follow(log: Path, bar: tqdm[Any], done: threading.Event) -> None:
    with log.open(encoding="utf-8") as lines:
        ended = False
        while not ended:
            ended = done.wait(0.5)
            for line in lines:
                steps, _, shown = line.rstrip().partition(" ")
                bar.set_postfix_str(shown, refresh=False)
                bar.update(int(steps))
