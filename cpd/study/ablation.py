"""One thing changed at a time: what a generator is worth, and smaller or mislabelled zoos to learn from.

Which things are changed is a notebook's business.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cpd import evaluation
from cpd.domains.domain import Domain
from cpd.evaluation import Evaluating
from cpd.methods.controls import nearest_rows
from cpd.methods.method import Generator
from cpd.zoo.zoo import AdapterZoo


@dataclass(frozen=True)
class Assessment:
    """What a generator is worth, task by task.

    Attributes:
        points: task -> score under the task's own condition minus the original's, in hundredths of the metric.
        other: task -> the same under the condition of the next task, scaled back as this task's.
        right: share of the adapters under their own condition that are nearest to a training adapter of the task.
        novelty: mean distance of their updates to the nearest training checkpoint, weight units.
    """

    points: dict[str, float]
    other: dict[str, float]
    right: float
    novelty: float


def assess(
    domain: Domain, zoo: AdapterZoo, generator: Generator, original: Mapping[str, float], how: Evaluating, seed: int
) -> Assessment:
    """Generate under the right condition and under another task's, and score both.

    Args:
        domain: scores.
        zoo: what is nearest is looked for in its training rows.
        generator: fitted to it, or to a part of it.
        original: task -> score of what is compared with.
        how: ``wrong`` adapters per task under its own condition, one under the next task's.
        seed: of noise.

    Returns:
        The assessment.
    """
    tasks = list(original)
    own = {name: evaluation.generate(name, name, generator, how.wrong, how, seed) for name in tasks}
    told = _following(tasks)
    other = {name: evaluation.generate(told[name], name, generator, 1, how, seed, "other_condition") for name in tasks}
    scores = evaluation.score_arms(domain, {name: {"own": own[name], "other": other[name]} for name in tasks})
    away = [nearest_rows(zoo, vectors, updates=True)[1].mean() for vectors in own.values()]
    right = [np.mean([near == name for near in evaluation.nearest_task(zoo, own[name])]) for name in tasks]

    def points(arm: str) -> dict[str, float]:
        return {name: float(100 * (np.mean(scores[name][arm]) - original[name])) for name in tasks}

    return Assessment(points("own"), points("other"), float(np.mean(right)), float(np.mean(away)))


def first_runs(zoo: AdapterZoo, count: int) -> AdapterZoo:
    """Return the zoo with only the first training runs of each task; held-out runs stay.

    Args:
        zoo: left as it is.
        count: training runs per task.
    """
    kept = {(task, zoo.rows[i].run) for task in zoo.tasks for i in zoo.last(False, task)[:count]}
    return zoo.subset([i for i, row in enumerate(zoo.rows) if row.held_out or (row.task, row.run) in kept])


def last_checkpoints(zoo: AdapterZoo, count: int) -> AdapterZoo:
    """Return the zoo with only the last checkpoints of each run.

    Args:
        zoo: left as it is.
        count: checkpoints per run.
    """
    runs = {(row.task, row.run) for row in zoo.rows}
    return zoo.subset(sorted(i for task, run in runs for i in zoo.of(task, run)[-count:]))


def mislabelled(zoo: AdapterZoo) -> AdapterZoo:
    """Return the zoo with each task under the conditions of the next one: wrong words, but still words of its own."""
    return replace(zoo, conditions={task: zoo.conditions[other] for task, other in _following(zoo.tasks).items()})


def _following(tasks: Sequence[str]) -> dict[str, str]:
    """Return task -> the next one, the first after the last."""
    return dict(zip(tasks, [*tasks[1:], tasks[0]], strict=True))
