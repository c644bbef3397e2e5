"""The runs of a zoo, fine-tuned side by side under one progress bar.

Source: ours.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cpd.domains.domain import Domain
from cpd.domains.finetune import finetune, run_folder
from cpd.runtime import artifacts, executors


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
            for _ in executors.results(partial(_finetune, domain, log), longest_first):
                pass
    return folders


def _finetune(domain: Domain, log: Path, task: str, seed: int) -> None:
    finetune(domain, task, seed, partial(_Relay, log))


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
