"""Every generated adapter beside its controls, scored on one report split.

Works for whatever domain the adapters serve: it needs task names and a score.

Source: ours; the arms are those of the study's design, the intervals Student's t over adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from cpd.domains.domain import Domain
from cpd.measures import distances
from cpd.methods import controls
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.runtime import checks
from cpd.runtime.executors import side_by_side
from cpd.zoo.zoo import AdapterZoo

T = TypeVar("T")
ARMS = {
    "original": "held-out runs, last checkpoint",
    "original_best": "held-out runs, best on the selection split",
    "training": "training runs, last checkpoint",
    "reconstruction": "training runs' last checkpoint through the autoencoder",
    "reconstruction_held_out": "held-out runs' last checkpoint through the autoencoder",
    "generated": "from noise and the task's condition",
    "run_soup": "average of each training run",
    "soup": "average of all training runs",
    "gaussian": "every coordinate from its own normal law",
    "noisy_soup": "soup plus noise as long as the runs are far from it",
    "nearest": "training adapters nearest to the generated ones",
    "latent_zero": "the decoded latent 0",
    "untrained_generator": "the generator before training",
    "untrained_adapter": "the initialization",
}


@dataclass(frozen=True)
class Evaluating:
    """How much is generated and scored.

    Attributes:
        generated: adapters per task.
        controls: adapters per task of each random control (Gaussian, soup plus noise).
        wrong: adapters per pair of tasks in "generated for task i, scored on task j".
        sampler: "ddim", "dpm" (DPM-Solver++) or "ddpm" (ancestral).
        sampler_steps: steps of the sampler.
        guidance: scale; 1 means off.
    """

    generated: int = 10
    controls: int = 10
    wrong: int = 3
    sampler: str = "ddim"
    sampler_steps: int = 50
    guidance: float = 1.0

    def __post_init__(self) -> None:
        checks.one_of(("ddim", "dpm", "ddpm"), sampler=self.sampler)
        checks.positive(
            generated=self.generated, controls=self.controls, wrong=self.wrong, sampler_steps=self.sampler_steps
        )


def arms(
    task: str, zoo: AdapterZoo, generator: CondPDiff, untrained: Tensor, how: Evaluating, seed: int
) -> dict[str, Tensor]:
    """Make the adapters of every arm of one task.

    Args:
        task: whose adapters.
        zoo: what was learned, and held-out runs.
        generator: fitted to it.
        untrained: (K,) initialization.
        how: how many adapters, and how they are sampled.
        seed: of noise.

    Returns:
        Arm -> (n, K); the keys of :data:`ARMS`, without the held-out ones where nothing is held out.
    """
    generated = generate(task, task, generator, how.generated, how, seed)
    training, held_out = zoo.last(False, task), zoo.last(True, task)
    found = {
        "training": _rows(zoo, training),
        "reconstruction": controls.reconstruction(generator, _rows(zoo, training), task),
        "generated": generated,
        "run_soup": controls.run_soups(zoo, task),
        "soup": controls.soup(zoo, task),
        "gaussian": controls.gaussian(zoo, task, how.controls, seed),
        "noisy_soup": controls.noisy_soup(zoo, task, how.controls, seed),
        "nearest": controls.nearest(zoo, generated).unique(dim=0),
        "latent_zero": controls.latent_zero(generator, task),
        "untrained_generator": generate(task, task, generator.untrained(), how.wrong, how, seed),
        "untrained_adapter": untrained[None],
    }
    if held_out:
        found["original"] = _rows(zoo, held_out)
        found["original_best"] = _rows(zoo, [_best(zoo, zoo.rows[i].run) for i in held_out])
        found["reconstruction_held_out"] = controls.reconstruction(generator, found["original"], task)
    return {name: found[name] for name in ARMS if name in found}


def generate(condition: str, task: str, generator: CondPDiff, n: int, how: Evaluating, seed: int) -> Tensor:
    """Write (n, K) adapters under the condition of one task, scaled back (where that is per task) as another's."""
    return generator.generate(condition, n, seed, how.guidance, how.sampler_steps, task=task, sampler=how.sampler)


def score_arms(domain: Domain, made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, list[float]]]:
    """Score every arm of every task on the report split.

    Args:
        domain: scores.
        made: task -> arm -> (n, K), as :func:`arms` makes them.

    Returns:
        Task -> arm -> n scores.
    """
    return measure_arms(partial(_score, domain), made, "scoring adapters")


def measure_arms(
    measure: Callable[[str, Tensor], T], made: Mapping[str, Mapping[str, Tensor]], label: str
) -> dict[str, dict[str, list[T]]]:
    """Measure every arm of every task, an adapter that is in several arms once.

    Args:
        measure: of a task and a (K,) adapter; pickled for the processes.
        made: task -> arm -> (n, K).
        label: of the progress bar.

    Returns:
        Task -> arm -> n measurements.
    """
    keys = {
        task: {arm: [vector.numpy().tobytes() for vector in vectors] for arm, vectors in each.items()}
        for task, each in made.items()
    }
    jobs = {
        (task, key): (task, vector.clone())
        for task, each in made.items()
        for arm, vectors in each.items()
        for key, vector in zip(keys[task][arm], vectors, strict=True)
    }
    found = dict(zip(jobs, side_by_side(measure, list(jobs.values()), label), strict=True))
    return {task: {arm: [found[task, key] for key in own] for arm, own in each.items()} for task, each in keys.items()}


def cross(domain: Domain, adapters: Mapping[str, Tensor]) -> np.ndarray:
    """Score each task's adapters on every task.

    Args:
        domain: scores.
        adapters: task -> (n, K).

    Returns:
        (tasks, tasks) mean scores; row: whose adapters, column: scored on.
    """
    found = measure_arms(partial(_score, domain), dict.fromkeys(adapters, adapters), "scoring across tasks")
    return np.array([[np.mean(found[scored_on][own]) for scored_on in adapters] for own in adapters])


def _score(domain: Domain, task: str, vector: Tensor) -> float:
    return float(domain.score(task, vector[None], "report")[0])


def lost_share(matrix: np.ndarray, original: np.ndarray, untrained: np.ndarray) -> float:
    """Say how much of what training gained is gone under other tasks' conditions.

    One ratio of sums over all pairs of tasks, not a mean of ratios: a task on which training gained next to nothing has
    next to nothing to lose, and its own ratio would be noise.

    Args:
        matrix: (tasks, tasks) of :func:`cross`.
        original: (tasks,) mean score of trained adapters.
        untrained: (tasks,) score of the untrained adapter.

    Returns:
        Share of the gap between untrained and original; 1 is all of it. The diagonal does not count.
    """
    lost = (original - matrix)[~np.eye(len(matrix), dtype=bool)].sum()
    return float(lost / (len(matrix) - 1) / (original - untrained).sum())


def nearest_task(zoo: AdapterZoo, vectors: Tensor) -> list[str]:
    """Return the task of the training adapter nearest to each of (n, K) vectors."""
    rows = zoo.training()
    return [zoo.rows[rows[i]].task for i in distances.distances(vectors, zoo.vectors[rows]).argmin(axis=1)]


def _rows(zoo: AdapterZoo, index: list[int]) -> Tensor:
    return torch.from_numpy(np.array(zoo.vectors[index]))


def _best(zoo: AdapterZoo, run: str) -> int:
    scored = [i for i, row in enumerate(zoo.rows) if row.run == run and row.score is not None]
    return max(scored, key=lambda i: zoo.rows[i].score or 0.0)
