"""One LoRA fine-tuning run that leaves its last checkpoints, and resumes where it was stopped.

What is fine-tuned is a ``Domain``'s business; here are steps, checkpoints and scores. A finished run is a folder:
``vectors.safetensors`` (one row per kept checkpoint), ``layout.json`` and ``run.json``.

Source: arXiv 2408.01415, section 3 (the last checkpoints of a run are the training data); several runs are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from cpd.domains.domain import Domain
from cpd.domains.settings import Finetuning
from cpd.runtime import artifacts
from cpd.runtime.training import Bar, Plan, fastest_precision, train


def run_spec(domain: Domain, task: str, seed: int) -> dict[str, Any]:
    """Return what makes a run: equal specs are the same run, in whatever study they occur."""
    spec: dict[str, Any] = asdict(domain.spec)
    for irrelevant in ("tasks", "runs", "held_out", "report_rows"):
        del spec[irrelevant]
    made_by = {"task": task, "seed": seed, "steps": domain.steps(task), "precision": fastest_precision()}
    return spec | domain.made_of(task) | made_by


def run_folder(domain: Domain, task: str, seed: int) -> Path:
    """Return where a run lies, or will."""
    return artifacts.address("runs", run_spec(domain, task, seed))


def finetune(domain: Domain, task: str, seed: int, bar: Bar = tqdm) -> Path:
    """Fine-tune one adapter, or return the run that did so before.

    Args:
        domain: tasks, model, loss and score.
        task: its name.
        seed: order of the rows and dropout; the initialization is the same for all runs.
        bar: makes the progress bar.

    Returns:
        The folder of the run. ``run.json`` holds task, run, seed, the step and selection score of each kept checkpoint
        (null where it was not scored), the losses, and the validation curve.
    """
    folder = run_folder(domain, task, seed)
    if artifacts.is_complete(folder):
        return folder
    with artifacts.building(folder, run_spec(domain, task, seed)) as partial:
        keep = min(domain.spec.keep, domain.steps(task))
        rows = artifacts.create_matrix(partial / "vectors.safetensors", keep, domain.layout.size)
        model, curve = domain.model(), _Curve(domain, task, partial / ".curve.json")

        def on_step(done: int) -> Mapping[str, float] | None:
            kept, scored = done > plan.steps - keep, curve.wants(done)
            vector = domain.state(model) if kept or scored else None
            if vector is not None and kept:
                rows[done - 1 - plan.steps] = vector.numpy()
                rows.flush()  # before the state that says this step is done
            return curve.add(done, vector) if vector is not None and scored else None

        plan = _plan(domain.spec, domain.steps(task))
        losses = train(
            model,
            lambda m, _, g: domain.loss(m, task, g),
            plan,
            seed,
            partial / ".state",
            f"{task} run {seed}",
            on_step,
            bar,
        )
        steps = list(range(plan.steps - keep + 1, plan.steps + 1))
        artifacts.write_json(partial / "layout.json", domain.layout.to_json())
        scores = {"select": [curve.points.get(step) for step in steps]}
        record = {"task": task, "run": f"{task}-{seed}", "seed": seed, "steps": steps, "scores": scores}
        artifacts.write_json(partial / "run.json", record | {"curve": curve.points, "losses": losses})
    return folder


def _plan(spec: Finetuning, steps: int) -> Plan:
    return Plan(
        steps,
        spec.learning_rate,
        warmup=max(1, steps // 20),
        decay=spec.decay,
        weight_decay=spec.weight_decay,
        precision="auto",
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

    def add(self, step: int, vector: Tensor) -> dict[str, float]:
        self.points[step] = float(self.domain.score(self.task, vector[None], "select")[0])
        artifacts.write_json(self.path, self.points)
        return {"select": self.points[step]}
