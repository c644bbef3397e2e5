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
from torch import Tensor, nn
from tqdm import tqdm

from cpd.domains.domain import Domain
from cpd.domains.settings import Finetuning
from cpd.runtime import artifacts, devices, tensor_files
from cpd.runtime.executors import side_by_side
from cpd.runtime.training import Plan, State, step_generator

VERSION = 1  # of what a run is: raised when the same settings and data no longer give the same numbers
PACK = {"cpu": 1, "cuda": 128, "mps": 8}  # runs side by side; on a CPU a process per core is as fast
Job = tuple[str, int]  # task and seed


def run_spec(domain: Domain, task: str, seed: int) -> dict[str, Any]:
    """Return what makes a run: equal specs are the same run, in whatever study they occur."""
    spec: dict[str, Any] = asdict(domain.spec)
    for irrelevant in ("tasks", "runs", "held_out", "report_rows"):
        del spec[irrelevant]
    made_by = {"task": task, "seed": seed, "steps": domain.steps(task), "version": VERSION}
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
    start, trained = domain.untrained().to(domain.device), domain.trained.nonzero()[:, 0].to(domain.device)
    with ExitStack() as open_runs:
        in_order = sorted(jobs, key=lambda job: run_folder(domain, *job))  # two processes never wait for each other
        started = [open_runs.enter_context(closing(_running(domain, task, seed))) for task, seed in in_order]
        going = [(each, run) for each in started if (run := next(each, None))]
        while going:
            runs = [run for _, run in going]
            moved = torch.stack([run.weights for run in runs])  # (G, T) coordinates that are trained
            vectors = start.expand(len(runs), -1).index_copy(1, trained, moved)
            rows = [domain.rows(run.task, run.seed, run.steps_done) for run in runs]
            losses = domain.loss(vectors, [run.task for run in runs], rows, [run.random() for run in runs])
            losses.sum().backward()
            going = [(each, run) for (each, _), x in zip(going, losses.tolist()) if (run := _advanced(each, x))]
            bar.set_postfix(runs[0].shown, refresh=False)
            bar.update(len(runs))


def _running(domain: Domain, task: str, seed: int) -> Generator[_Run, float, None]:
    """Yield a run whenever it needs a gradient, and take its loss; the folder is complete when this ends."""
    spec = run_spec(domain, task, seed)
    with artifacts.making(run_folder(domain, task, seed), spec) as folder:
        if folder is None:  # another process made it meanwhile
            return
        run = _Run(domain, task, seed, folder, json.dumps(spec, sort_keys=True))
        while run.steps_done < run.plan.steps:
            loss = yield run
            run.step(loss)
        run.write()


def _advanced(running: Generator[_Run, float, None], loss: float) -> _Run | None:
    try:
        return running.send(loss)
    except StopIteration:
        return None


class _Run:
    """One run on its way: its weights, AdamW's moments, kept checkpoints and selection scores."""

    def __init__(self, domain: Domain, task: str, seed: int, folder: Path, identity: str) -> None:
        self.domain, self.task, self.seed, self.folder = domain, task, seed, folder
        self.plan, self.start = _plan(domain.spec, domain.steps(task)), domain.untrained()
        self.weights = nn.Parameter(self.start[domain.trained].to(domain.device))
        self.state = State({"vector": self.weights}, self.plan, identity)
        self.state.load(folder / ".state")
        self.keep = min(domain.spec.keep, self.plan.steps)
        self.rows = tensor_files.create_matrix(folder / "vectors.safetensors", self.keep, len(self.start))
        self.curve = _Curve(domain, task, folder / ".curve.json")
        self.shown: dict[str, str] = {}

    @property
    def steps_done(self) -> int:
        return len(self.state.losses)

    def random(self) -> torch.Generator:
        return step_generator(self.seed, self.steps_done)

    def step(self, loss: float) -> None:
        """Take the step whose gradient has arrived, and keep and score what comes out where that is due."""
        nn.utils.clip_grad_norm_([self.weights], self.plan.clip)
        self.state.optimizer.param_groups[0]["lr"] = self.plan.rate(self.steps_done)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()
        self.state.record(loss)
        self.shown |= {"run": f"{self.task} {self.seed}", "loss": f"{loss:.4f}"}
        kept = self.steps_done - 1 - (self.plan.steps - self.keep)
        if kept >= 0:
            self.rows[kept] = self._vector().numpy()
            self.rows.flush()  # before the state that says this step is done
        if self.curve.wants(self.steps_done):
            self.shown["select"] = f"{self.curve.add(self.steps_done, self._vector()):.3f}"
        if self.state.due():
            self.state.save(self.folder / ".state")

    def write(self) -> None:
        """Write what describes the finished run."""
        steps = list(range(self.plan.steps - self.keep + 1, self.plan.steps + 1))
        artifacts.write_json(self.folder / "layout.json", self.domain.layout.to_json())
        scores = {"select": [self.curve.points.get(step) for step in steps]}
        record = {"task": self.task, "run": f"{self.task}-{self.seed}", "seed": self.seed, "steps": steps}
        curve = {"scores": scores, "curve": self.curve.points, "losses": self.state.losses}
        artifacts.write_json(self.folder / "run.json", record | curve)

    def _vector(self) -> Tensor:
        return self.start.masked_scatter(self.domain.trained, self.weights.detach().cpu())


def _plan(spec: Finetuning, steps: int) -> Plan:
    return Plan(
        steps,
        spec.learning_rate,
        warmup=max(1, steps // 20),
        decay=spec.decay,
        weight_decay=spec.weight_decay,
        save_every=max(20, steps // 10),
    )


class _Curve:
    """The selection score along a run: ``curve`` points from start to end, and the kept checkpoints among them."""

    def __init__(self, domain: Domain, task: str, path: Path) -> None:
        self.domain, self.task, self.path = domain, task, path
        self.points: dict[int, float] = {}
        if path.exists():
            self.points = {int(step): score for step, score in artifacts.read_json(path).items()}
        total, keep = domain.steps(task), domain.spec.keep
        self.at = {round(total * i / domain.spec.curve) for i in range(1, domain.spec.curve + 1)}
        self.at |= {max(1, total - keep + 1), max(1, total - keep // 2)}

    def wants(self, step: int) -> bool:
        return step in self.at and step not in self.points

    def add(self, step: int, vector: Tensor) -> float:
        self.points[step] = float(np.asarray(self.domain.score(self.task, vector[None], "select"))[0])
        artifacts.write_json(self.path, self.points)
        return self.points[step]
