"""One fine-tuning run on its way: its losses, kept checkpoints and selection scores, and the folder that they go to.

Source: ours.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cpd.domains.domain import Domain
from cpd.domains.settings import Finetuning
from cpd.runtime import artifacts, tensor_files
from cpd.runtime.training import Plan, require_finite, saved_state, step_generator

STATE = ("weights", "first", "second")  # what is saved, and the losses


class Run:
    """One run on its way; its weights are here where they are due.

    A step is made by the pack, between two calls of `steps_done`: what is due after it is known before it.

    Args:
        domain: tasks, settings, layout.
        task: what is fine-tuned for.
        seed: of rows and dropout.
        folder: of the run; what a process before this one left there is gone on with.
        identity: what makes the run; a state that something else left is refused.
    """

    def __init__(self, domain: Domain, task: str, seed: int, folder: Path, identity: str) -> None:
        self.task, self.seed, self.folder, self.identity = task, seed, folder, identity
        self.plan, self.start, self.trained = _plan(domain.spec, domain.steps(task)), domain.start(task), domain.trained
        self.losses: list[float] = []
        weights = self.start[self.trained]
        self.loaded: tuple[Tensor, ...] = (weights, torch.zeros_like(weights), torch.zeros_like(weights))
        self._load()
        self.keep = min(domain.spec.keep, self.plan.steps)
        self.rows = tensor_files.create_matrix(folder / "vectors.safetensors", self.keep, len(self.start))
        self.curve = _Curve(domain.spec, self.plan.steps if domain.selects(task) else 0, folder / ".curve.json")
        self.layout = domain.layout
        self.place, self.score = 0, 0.0
        self.shown: dict[str, str] = {}

    @property
    def steps_done(self) -> int:
        """Number of steps so far."""
        return len(self.losses)

    def random(self) -> torch.Generator:
        """Return the random numbers of the next step."""
        return step_generator(self.seed, self.steps_done)

    def wants_score(self) -> bool:
        """Tell whether the weights are to be scored after this step."""
        return self.curve.wants(self.steps_done + 1)

    def is_due(self) -> bool:
        """Tell whether anything is to be done with the weights after this step."""
        return self._kept() >= 0 or self.wants_score() or self._saves()

    def vector(self) -> Tensor:
        """Return the (K,) vector of the weights that were handed over last."""
        return self.start.masked_scatter(self.trained, self.loaded[0])

    def took(self, loss: float) -> None:
        """Note a step, and do what is due after it.

        Raises:
            ValueError: if the loss is not finite.
        """
        require_finite(loss, self.steps_done)
        self.shown |= {"run": f"{self.task} {self.seed}", "loss": f"{loss:.4f}"}
        if (kept := self._kept()) >= 0:
            self.rows[kept] = self.vector().numpy()
            self.rows.flush()  # before the state that says this step is done
        if self.wants_score():
            self.curve.add(self.steps_done + 1, self.score)
            self.shown["select"] = f"{self.score:.3f}"
        saves = self._saves()
        self.losses.append(loss)
        if saves:
            self._save()

    def write(self) -> None:
        """Write what describes the finished run."""
        steps = list(range(self.plan.steps - self.keep + 1, self.plan.steps + 1))
        artifacts.write_json(self.folder / "layout.json", self.layout.to_json())
        scores = {"select": [self.curve.points.get(step) for step in steps]}
        record = {"task": self.task, "run": f"{self.task}-{self.seed}", "seed": self.seed, "steps": steps}
        curve = {"scores": scores, "curve": self.curve.points, "losses": self.losses}
        artifacts.write_json(self.folder / "run.json", record | curve)

    def _kept(self) -> int:
        return self.steps_done - (self.plan.steps - self.keep)

    def _saves(self) -> bool:
        return (self.steps_done + 1) % self.plan.save_every == 0 or self.steps_done + 1 == self.plan.steps

    def _save(self) -> None:
        tensors = dict(zip(STATE, self.loaded, strict=True)) | {
            "losses": torch.tensor(self.losses, dtype=torch.float64)
        }
        tensor_files.write_tensors(self.folder / ".state", tensors, {"identity": self.identity})

    def _load(self) -> None:
        if (path := self.folder / ".state").exists():
            tensors = saved_state(path, self.identity)
            self.losses = tensors["losses"].tolist()
            self.loaded = tuple(tensors[name] for name in STATE)


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

    def __init__(self, spec: Finetuning, total: int, path: Path) -> None:
        self.path = path
        self.points: dict[int, float] = {}
        if path.exists():
            self.points = {int(step): score for step, score in artifacts.read_json(path).items()}
        self.at = {round(total * i / spec.curve) for i in range(1, spec.curve + 1)}
        self.at |= {max(1, total - spec.keep + 1), max(1, total - spec.keep // 2)}
        self.at &= set(range(1, total + 1))

    def wants(self, step: int) -> bool:
        return step in self.at and step not in self.points

    def add(self, step: int, score: float) -> None:
        self.points[step] = score
        artifacts.write_json(self.path, self.points)
