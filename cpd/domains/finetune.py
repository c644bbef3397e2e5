"""LoRA fine-tuning runs, side by side: each leaves its last checkpoints, and resumes where it was stopped.

Every run has its own seed, rows, dropout, clipping and state; runs of a pack share nothing but the forward and backward
pass through the frozen base model. On one machine a run's numbers depend on what it is packed with by rounding only.
A finished run is a folder: ``vectors.safetensors`` (one row per kept checkpoint), ``layout.json`` and ``run.json``.

Source: arXiv 2408.01415, section 3 (the last checkpoints of a run are the training data); several runs are ours.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cpd.domains.domain import Domain, digest
from cpd.domains.run import Run
from cpd.runtime import artifacts, devices, tensor_files
from cpd.runtime.executors import side_by_side
from cpd.runtime.many import Rows

VERSION = 1  # of what a run is: raised when the same settings and data no longer give the same numbers
PACK = {"cpu": 1, "cuda": 128, "mps": 8}  # runs side by side; on a CPU a process per core is as fast
Job = tuple[str, int]  # task and seed


def run_spec(domain: Domain, task: str, seed: int) -> dict[str, Any]:
    """Return what makes a run: equal specs are the same run, in whatever study they occur."""
    spec: dict[str, Any] = asdict(domain.spec)
    for irrelevant in ("tasks", "runs", "held_out", "report_rows"):
        del spec[irrelevant]
    made_by = {"task": task, "seed": seed, "steps": domain.steps(task), "version": VERSION}
    if task in domain.starts:
        made_by["start"] = digest(domain.starts[task].numpy())
    return spec | domain.made_of(task) | made_by | {"device": domain.device.type, "precision": domain.precision}


def run_folder(domain: Domain, task: str, seed: int) -> Path:
    """Return where a run lies, or will."""
    return artifacts.address("runs", run_spec(domain, task, seed))


def finetune(domain: Domain, jobs: Sequence[Job], show: bool = True) -> list[Path]:
    """Fine-tune adapters side by side, or return the runs that did so before.

    Args:
        domain: tasks, base model, loss and score.
        jobs: task and seed of each run. The seed names order of the rows, noise and dropout; the initialization is the
            same for all runs.
        show: whether there is a progress bar.

    Returns:
        The folder of each run. ``run.json`` holds task, run, seed, the step and selection score of each kept checkpoint
        (null where it was not scored), the losses, and the validation curve.

    Raises:
        ValueError: if a loss is not finite, or one adapter alone does not fit into the device's memory.
    """
    folders = [run_folder(domain, task, seed) for task, seed in jobs]
    missing = [job for job, folder in zip(jobs, folders, strict=True) if not artifacts.is_complete(folder)]
    with tqdm(total=sum(domain.steps(task) for task, _ in missing), desc="fine-tuning", disable=not show) as bar:
        _pack(domain, missing, bar)
    return folders


def finetune_all(domain: Domain, jobs: Sequence[Job]) -> list[Path]:
    """Fine-tune many adapters, or find those that were: in packs, on whatever cores and devices there are.

    Args:
        domain: tasks, base model, loss and score; pickled for other processes.
        jobs: task and seed of each run.

    Returns:
        The folder of each run.
    """
    folders = [run_folder(domain, task, seed) for task, seed in jobs]
    missing = [job for job, folder in zip(jobs, folders, strict=True) if not artifacts.is_complete(folder)]
    missing.sort(key=lambda job: -domain.steps(job[0]))  # the longest first
    size = PACK[domain.device.type]
    packs = [(missing[i : i + size],) for i in range(0, len(missing), size)]
    if packs:
        side_by_side(partial(finetune, domain, show=domain.device.type != "cpu"), packs, "fine-tuning")
    return folders


def last_checkpoints(runs: Sequence[Path]) -> Tensor:
    """Return the (n, K) last checkpoints of finished runs."""
    return checkpoints(runs, -1)


def checkpoints(runs: Sequence[Path], place: int) -> Tensor:
    """Return the (n, K) checkpoints of finished runs at a place among those that each has kept."""
    rows = [np.array(tensor_files.open_matrix(run / "vectors.safetensors")[place]) for run in runs]
    return torch.from_numpy(np.stack(rows))


def _pack(domain: Domain, jobs: Sequence[Job], bar: tqdm[Any]) -> None:
    """Fine-tune side by side; where memory is too small for all of them, one half after the other."""
    try:
        return _together(domain, jobs, bar)
    except torch.OutOfMemoryError as error:
        if len(jobs) == 1:
            raise ValueError(
                f"the {domain.device.type} has no memory for one adapter of {domain.layout.size:,} parameters and "
                f"{domain.spec.batch} rows a step; choose fewer rows (batch) or a smaller base model"
            ) from error
    half = len(jobs) // 2
    bar.write(f"no memory for {len(jobs)} adapters side by side; {half} go first, the others after them")
    for part in (jobs[:half], jobs[half:]):
        _pack(domain, part, bar)


def _together(domain: Domain, jobs: Sequence[Job], bar: tqdm[Any]) -> None:
    devices.deterministic()
    with ExitStack() as open_runs:
        in_order = sorted(jobs, key=lambda job: run_folder(domain, *job))  # two processes never wait for each other
        started = [open_runs.enter_context(closing(_running(domain, task, seed))) for task, seed in in_order]
        going = [(each, run) for each in started if (run := next(each, None))]
        if not going:
            return
        pack = _Pack(domain, [run for _, run in going])
        while going:
            runs = [run for _, run in going]
            losses = pack.step(runs)
            going = [(each, run) for each, run in going if _advanced(each, losses[run.place])]
            bar.set_postfix(runs[0].shown, refresh=False)
            bar.update(len(runs))


class _Pack:
    """The runs that go side by side: one forward and backward pass, and one step of AdamW, for all of them."""

    def __init__(self, domain: Domain, runs: Sequence[Run]) -> None:
        self.domain, self.start = domain, torch.stack([run.start for run in runs]).to(domain.device)
        self.trained = domain.trained.nonzero()[:, 0].to(domain.device)
        self.rows = Rows.stacked([run.loaded for run in runs], domain.device)
        for place, run in enumerate(runs):
            run.place = place

    def step(self, runs: Sequence[Run]) -> dict[int, float]:
        """Take one step of some runs; return the loss of each by its place, and leave with each what it has to keep."""
        chosen = torch.tensor([run.place for run in runs], device=self.domain.device)
        weights = self.rows.weights[chosen].requires_grad_()  # (G, T) coordinates that are trained
        vectors = self.start[chosen].index_copy(1, self.trained, weights)
        rows = [self.domain.rows(run.task, run.seed, run.steps_done) for run in runs]
        losses = self.domain.loss(vectors, [run.task for run in runs], rows, [run.random() for run in runs])
        (gradients,) = torch.autograd.grad(losses.sum(), weights)
        plan, rates = runs[0].plan, [run.plan.rate(run.steps_done) for run in runs]
        self.rows.step(chosen, gradients, rates, [run.steps_done for run in runs], plan.weight_decay, plan.clip)
        self._hand_over([run for run in runs if run.is_due()])
        return dict(zip((run.place for run in runs), losses.tolist(), strict=True))

    def _hand_over(self, runs: Sequence[Run]) -> None:
        """Give runs their weights and moments, and the scores of those that want one, each task's together."""
        if not runs:
            return
        chosen = torch.tensor([run.place for run in runs], device=self.domain.device)
        parts = (self.rows.weights, self.rows.first, self.rows.second)
        for run, *own in zip(runs, *(part[chosen].cpu() for part in parts), strict=True):
            run.loaded = tuple(own)
        for task in dict.fromkeys(run.task for run in runs if run.wants_score()):
            asked = [run for run in runs if run.task == task and run.wants_score()]
            scores = self.domain.score(task, torch.stack([run.vector() for run in asked]), "select")
            for run, score in zip(asked, scores, strict=True):
                run.score = float(score)


def _running(domain: Domain, task: str, seed: int) -> Generator[Run, float, None]:
    """Yield a run whenever it needs a step, and take the loss of that; the folder is complete when this ends."""
    spec = run_spec(domain, task, seed)
    with artifacts.making(run_folder(domain, task, seed), spec) as folder:
        if folder is None:  # another process made it meanwhile
            return
        run = Run(domain, task, seed, folder, json.dumps(spec, sort_keys=True))
        while run.steps_done < run.plan.steps:
            loss = yield run
            run.took(loss)
        run.write()


def _advanced(running: Generator[Run, float, None], loss: float) -> bool:
    try:
        running.send(loss)
    except StopIteration:
        return False
    return True
