"""Every generated adapter beside its controls, scored on one report split.

Works for whatever domain the adapters serve, and whatever method wrote them: it needs task names and a score.

Source: ours; the arms are those of the study's design, the intervals Student's t over adapters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from cpd.methods import controls
from cpd.methods.control import Control
from cpd.methods.method import Generator, seed_of
from cpd.methods.settings import Evaluating
from cpd.runtime.executors import side_by_side
from cpd.zoo.zoo import AdapterZoo

if TYPE_CHECKING:
    from cpd.domains.domain import Domain

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """One task, and all that its arms are made of.

    Attributes:
        task: whose adapters.
        zoo: what was learned, and held-out runs.
        generator: fitted to it, a `Generator` that may have more than every method has.
        untrained: (K,) initialization, where it is known.
        how: how many adapters, and how they are sampled.
        seed: of noise.
        condition: what the generator is told.
    """

    task: str
    zoo: AdapterZoo
    generator: Any
    untrained: Tensor | None
    how: Evaluating
    seed: int
    condition: str | Tensor

    @cached_property
    def generated(self) -> Tensor:
        return generate(self.condition, self.task, self.generator, self.how.generated, self.how, self.seed)

    def rows(self, held_out: bool) -> Tensor:
        return self.zoo.adapters(self.zoo.last(held_out, self.task))


def _best_originals(of: Asked) -> Tensor:
    return of.zoo.adapters([_best(of.zoo, of.zoo.rows[i].run) for i in of.zoo.last(True, of.task)])


def _reconstruction(held_out: bool, of: Asked) -> Tensor | None:
    if not hasattr(of.generator, "reconstruct") or not of.zoo.last(held_out, of.task):
        return None
    return controls.reconstruction(of.generator, of.rows(held_out), of.task)


def _control(control: Control, of: Asked) -> Tensor:
    return control.write(of.zoo, of.task, of.how.controls, of.seed)


def _by_condition(of: Asked) -> Tensor | None:
    told_a_task = isinstance(of.condition, str) and of.condition in of.zoo.tasks  # then these are its training runs
    if told_a_task or of.generator.condition(of.condition) is None:
        return None
    return controls.nearest_by_condition(of.zoo, of.generator, of.condition)


def _latent_zero(of: Asked) -> Tensor | None:
    return controls.latent_zero(of.generator, of.task) if hasattr(of.generator, "decode") else None


def _untrained_generator(of: Asked) -> Tensor | None:
    if not hasattr(of.generator, "untrained"):
        return None
    bare = of.generator.untrained()
    return generate(of.condition, of.task, bare, of.how.wrong, of.how, of.seed, "untrained_generator")


ARMS: dict[str, Callable[[Asked], Tensor | None]] = {
    "original": lambda of: of.rows(held_out=True),
    "original_best": _best_originals,
    "training": lambda of: of.rows(held_out=False),
    "reconstruction": partial(_reconstruction, False),
    "reconstruction_held_out": partial(_reconstruction, True),
    "generated": lambda of: of.generated,
    **{name: partial(_control, control) for name, control in controls.CONTROLS.items()},
    "nearest": lambda of: controls.nearest(of.zoo, of.generated),
    controls.LOOK_UP.name: _by_condition,
    "latent_zero": _latent_zero,
    "untrained_generator": _untrained_generator,
    "untrained_adapter": lambda of: None if of.untrained is None else of.untrained[None],
}


def arms(
    task: str,
    zoo: AdapterZoo,
    generator: Generator,
    untrained: Tensor | None,
    how: Evaluating,
    seed: int,
    names: Iterable[str] = ARMS,
    condition: str | Tensor | None = None,
) -> dict[str, Tensor]:
    """Make the adapters of the arms of one task.

    Args:
        task: whose adapters.
        zoo: what was learned, and held-out runs.
        generator: fitted to it, by any method.
        untrained: (K,) initialization, where it is known.
        how: how many adapters, and how they are sampled.
        seed: of noise, which is another for every task and every arm.
        names: of the arms, keys of :data:`ARMS`; no other is made.
        condition: what the generator is told; None is the task's own.

    Returns:
        Arm -> (n, K), in the order of the names, without those that there is nothing to make of: originals where
        nothing is held out, latents where the method has none, a look-up that is told a task of the zoo.
    """
    asked = Asked(task, zoo, generator, untrained, how, seed, task if condition is None else condition)
    made = {name: ARMS[name](asked) for name in names}
    return {name: vectors for name, vectors in made.items() if vectors is not None and len(vectors)}


def generate(
    condition: str | Tensor,
    task: str,
    generator: Generator,
    n: int,
    how: Evaluating,
    seed: int,
    arm: str = "generated",
) -> Tensor:
    """Write adapters, with noise that no other task and no other arm has.

    Args:
        condition: what the generator is told.
        task: whose adapters they are to be; scaled back, where that is per task, as its.
        generator: of any method.
        n: how many.
        how: guidance and sampler.
        seed: of the study.
        arm: what they are made for.

    Returns:
        (n, K) vectors in weight units; equal arguments give equal vectors, and adapter i does not depend on n.
    """
    own = seed_of(seed, arm, task)
    return generator.generate(condition, n, own, how.guidance, how.sampler_steps, task=task, sampler=how.sampler)


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
    keys = {task: {arm: [_digest(x) for x in own] for arm, own in each.items()} for task, each in made.items()}
    jobs = {
        (task, key): (task, vector.numpy())
        for task, each in made.items()
        for arm, vectors in each.items()
        for key, vector in zip(keys[task][arm], vectors, strict=True)
    }
    found = dict(zip(jobs, side_by_side(partial(_of_array, measure), list(jobs.values()), label), strict=True))
    return {task: {arm: [found[task, key] for key in own] for arm, own in each.items()} for task, each in keys.items()}


def _digest(vector: Tensor) -> bytes:
    return hashlib.sha256(vector.numpy().tobytes()).digest()


def _of_array(measure: Callable[[str, Tensor], T], task: str, vector: np.ndarray) -> T:
    """Measure what was pickled as an array: of a tensor that is a row of many, all would be pickled."""
    return measure(task, torch.from_numpy(np.array(vector)))


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
    return [zoo.rows[i].task for i in controls.nearest_rows(zoo, vectors)[0]]


def _best(zoo: AdapterZoo, run: str) -> int:
    scored = [i for i, row in enumerate(zoo.rows) if row.run == run and row.score is not None]
    return max(scored, key=lambda i: zoo.rows[i].score or 0.0)
