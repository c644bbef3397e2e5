"""Arms scored by a command of the user's own: is generating better than looking up, for these adapters?

The command is told a folder with one adapter and the name of a task, and prints a number, the higher the better. What
was scored once is kept, so that an evaluation that was stopped goes on.

Source: ours; intervals are Student's t over tasks, and Welch's where there is one task only.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import statistics
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats
from torch import Tensor
from tqdm import tqdm

from cpd import evaluation
from cpd.adapters.layout import AdapterLayout
from cpd.adapters.peft_files import write_adapter
from cpd.evaluation import Evaluating
from cpd.measures.statistics import Interval, interval, paired_difference
from cpd.methods.method import Generator
from cpd.runtime import artifacts
from cpd.runtime.command import Command
from cpd.zoo.zoo import AdapterZoo

OTHER = "other_condition"
SCORED = (
    *("original", "training", "reconstruction", "generated", OTHER, "nearest"),
    *("soup", "run_soup", "gaussian", "noisy_soup"),
)
LOOK_UPS = {
    "nearest": "looking up the nearest training adapter",
    "soup": "averaging each task's training runs",
    "run_soup": "averaging the checkpoints of one run",
}  # what costs nothing, in plain words


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
        scores: task -> arm -> scores of its adapters; those that failed are not among them.
        failed: task, arm and last line of each command that failed.
    """

    scores: dict[str, dict[str, list[float]]]
    failed: list[tuple[str, str, str]]


def arms(zoo: AdapterZoo, generator: Generator, how: Evaluating, seed: int) -> dict[str, dict[str, Tensor]]:
    """Make the adapters of every arm that needs no base model.

    Args:
        zoo: what was learned, and held-out runs.
        generator: fitted to it.
        how: how many of each.
        seed: of noise.

    Returns:
        Task -> arm -> (n, K); "other_condition" is generated under the next task's condition, where there is one.
    """
    made, tasks = {}, zoo.tasks
    own = [name for name in SCORED if name != OTHER]
    for i, task in enumerate(tqdm(tasks, desc="writing adapters", unit=" tasks")):
        made[task] = evaluation.arms(task, zoo, generator, None, how, seed, own)
        if len(tasks) > 1:
            other = tasks[(i + 1) % len(tasks)]
            made[task][OTHER] = evaluation.generate(other, task, generator, how.generated, how, seed, OTHER)
    return made


def score(
    made: Mapping[str, Mapping[str, Tensor]], layout: AdapterLayout, command: Command, jobs: int, folder: Path
) -> Scores:
    """Score every adapter with a command, an adapter that is in several arms of a task once.

    Args:
        made: task -> arm -> (n, K), as `arms` makes them.
        layout: of the vectors.
        command: scores one adapter.
        jobs: commands that run at once.
        folder: keeps the scores; called again with it, only what is missing is scored.

    Returns:
        Scores and failures.
    """
    about = json.dumps([command.identity, layout.to_json()])
    keys = {
        task: {arm: [_key(about, task, x) for x in own] for arm, own in each.items()} for task, each in made.items()
    }
    asked = {
        key: (task, vector)
        for task, each in made.items()
        for arm, own in each.items()
        for key, vector in zip(keys[task][arm], own, strict=True)
    }
    found: dict[str, float | str] = {key: kept for key in asked if (kept := _kept(folder / f"{key}.json")) is not None}
    missing, written = [key for key in asked if key not in found], folder / "adapters"

    def one(key: str) -> float | str:
        task, vector = asked[key]
        place = (written / key).absolute()  # for commands that change the folder they are in
        try:
            scored = command(write_adapter(place, layout, vector), task)
        except ValueError as error:
            return str(error)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        artifacts.write_json(folder / f"{key}.json", scored)
        return scored

    progress = tqdm(total=len(asked), initial=len(found), desc="scoring adapters")
    with _pool(jobs, command, written) as pool, progress:
        for key, scored in zip(missing, pool.map(one, missing), strict=True):
            found[key] = scored
            progress.update()
    return _gathered(keys, found)


def _gathered(keys: Mapping[str, Mapping[str, list[str]]], found: Mapping[str, float | str]) -> Scores:
    """Put the scores, and what was said where there is none, back to the arms of their tasks."""
    listed = [(task, arm, found[key]) for task, each in keys.items() for arm, own in each.items() for key in own]
    scores: dict[str, dict[str, list[float]]] = {task: {} for task in keys}
    for task, arm, scored in listed:
        if isinstance(scored, float):
            scores[task].setdefault(arm, []).append(scored)
    return Scores(scores, [(task, arm, line) for task, arm, line in listed if isinstance(line, str)])


def mean(found: Scores, arm: str) -> Interval | None:
    """Return an arm's mean over tasks and its interval, of a single task over its adapters; None without any score."""
    own = [each[arm] for each in found.scores.values() if arm in each]
    if not own:
        return None
    return interval(own[0] if len(found.scores) == 1 else [statistics.mean(values) for values in own])


def above(found: Scores, arm: str, other: str) -> Interval | None:
    """Return how much an arm scores above another, paired over tasks.

    Of a single task it is over adapters: Welch's interval; where an arm is one adapter, as an average is, that of the
    other arm's mean.
    """
    both = [each for each in found.scores.values() if arm in each and other in each]
    if not both:
        return None
    if len(found.scores) > 1:
        return paired_difference(*([statistics.mean(each[name]) for each in both] for name in (arm, other)))
    a, b = both[0][arm], both[0][other]
    away = statistics.mean(a) - statistics.mean(b)  # exact: equal scores are 0 apart, however many they are
    if min(len(a), len(b)) < 2:
        return paired_difference(a, b * len(a)) if len(b) == 1 else paired_difference(a * len(b), b)
    if len({*a}) == len({*b}) == 1:
        return Interval(away, away, away, min(len(a), len(b)))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    return Interval(away, float(low), float(high), min(len(a), len(b)))


def verdict(found: Scores, free: Mapping[str, str] = LOOK_UPS) -> str:
    """Say in plain words whether generating is worth it: is it above the best of what costs nothing?

    Args:
        found: scores.
        free: arms that cost nothing -> in plain words.
    """
    there = {arm: value for arm in free if (value := above(found, "generated", arm))}
    if not there:
        return "Nothing can be said: no generated adapter was scored beside a look-up."
    best, away = min(there.items(), key=lambda item: item[1].mean)
    plain = free[best]
    figures = f"generated minus that: {away.mean:+.3g}, 95 % interval {away.low:.3g} to {away.high:.3g}"
    if away.low > 0:
        said = f"Generated adapters score higher than {plain} ({figures})."
    elif away.high < 0:
        better = "a look-up" if free is LOOK_UPS else "that"
        said = f"Generated adapters score lower than {plain} ({figures}): {better} is better."
    else:
        said = f"{plain[0].upper()}{plain[1:]} does as well, as far as can be told ({figures})."
    if (other := above(found, "generated", OTHER)) and other.low <= 0:
        said += " Told another task, the generator does as well: its condition decides nothing that can be seen here."
    return said


def table(found: Scores, arms: Iterable[str] = SCORED) -> list[dict[str, Any]]:
    """Return a row for each arm: its mean, how much generated adapters score above it, and how many were scored."""
    rows = []
    for arm in arms:
        if own := mean(found, arm):
            away = None if arm == "generated" else above(found, "generated", arm)
            count = sum(len(each.get(arm, ())) for each in found.scores.values())
            rows.append({"arm": arm, "mean": _plain(own), "generated_above": away and _plain(away), "scored": count})
    return rows


def _plain(value: Interval) -> list[float | None]:
    return [each if math.isfinite(each) else None for each in (value.mean, value.low, value.high)]


@contextmanager
def _pool(jobs: int, command: Command, written: Path) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that wait for commands; when the block is left, early too, none goes on and no adapter is there."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        command.stop()
        raise
    finally:
        pool.shutdown()
        shutil.rmtree(written, ignore_errors=True)


def _key(about: str, task: str, vector: Tensor) -> str:
    return hashlib.sha256(json.dumps([about, task]).encode() + vector.numpy().tobytes()).hexdigest()[:32]


def _kept(path: Path) -> float | None:
    return float(artifacts.read_json(path)) if path.exists() else None
