"""The paper's claims, and ours, each with the numbers that decide it and a verdict that follows from them by one rule.

A *setting* is one place where a claim was put to the test. It holds where the whole 95 % interval lies on the claim's
side of a mark that was set before; it leans where only the mean does; else it fails. A claim is reproduced where every
setting holds, and by copying where something that needs no generator does as well; it is not supported where every
setting fails; else partly. Of a claim of ours that holds in every setting, nothing is said but that.

Source: ours; `CLAIMS` are those of arXiv 2408.01415.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cpd.measures.statistics import Interval, interval

MARGIN = 0.5  # points, stated before the runs
TENTH = 0.1  # of a distance between pictures

Read = Callable[[str], dict[str, Any]]  # gives the numbers of a notebook by key


class Bounds(NamedTuple):
    """A mean and the ends of its 95 % interval; infinite where there is none."""

    mean: float
    low: float = -math.inf
    high: float = math.inf


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    REPRODUCED = "reproduced"
    COPYING = "reproduced, by copying"
    PARTLY = "partly"
    UNSUPPORTED = "not supported"
    HELD = "holds"


class Outcome(StrEnum):
    """What one setting says of a claim."""

    HOLDS = "holds"
    LEANS = "leans"
    FAILS = "fails"


def outcome(found: Bounds | Interval, needed: float, above: bool = True) -> Outcome:
    """Return whether a claim holds in one setting.

    Args:
        found: what was measured.
        needed: the mark.
        above: the claim's side of it.
    """
    mean, end = (found.mean, found.low) if above else (-found.mean, -found.high)
    mark = needed if above else -needed
    return Outcome.HOLDS if end >= mark else Outcome.LEANS if mean >= mark else Outcome.FAILS


def verdict(settings: Sequence[Bounds], needed: float, above: bool = True, gain: Bounds | None = None) -> Verdict:
    """Return the verdict on a claim.

    Args:
        settings: what was measured in each.
        needed: the mark.
        above: the claim's side of it.
        gain: by how much generated adapters are better than the best control that needs no generator; the control does
            as well unless the whole interval is above zero.
    """
    found = {outcome(each, needed, above) for each in settings}
    if found == {Outcome.HOLDS}:
        return Verdict.COPYING if gain is not None and gain.low <= 0 else Verdict.REPRODUCED
    return Verdict.UNSUPPORTED if found == {Outcome.FAILS} else Verdict.PARTLY


@dataclass(frozen=True)
class Claim:
    """A claim with what decides it.

    Attributes:
        rows: arm or setting -> what was measured, as the claim's figure shows them.
        quantity: what is measured, with its unit.
        deciding: which of the rows are settings of the claim.
        needed: the mark.
        above: the claim's side of it.
        gain: see ``verdict``.
        ours: whether it is a claim of this study, and not of the paper.
    """

    rows: Mapping[str, Bounds]
    quantity: str
    deciding: Sequence[str]
    needed: float
    above: bool = True
    gain: Bounds | None = None
    ours: bool = False

    @property
    def verdict(self) -> Verdict:
        """Return what the numbers say."""
        found = verdict([self.rows[each] for each in self.deciding], self.needed, self.above, self.gain)
        return Verdict.HELD if self.ours and found is Verdict.REPRODUCED else found


def over(values: Sequence[float] | np.ndarray) -> Bounds:
    """Return the mean of some values with its 95 % interval."""
    found = interval(values)
    return Bounds(found.mean, found.low, found.high)


def _points(scores: Mapping[str, Mapping[str, Sequence[float]]], arm: str) -> np.ndarray:
    """Return an arm's mean score on each task, in points."""
    return np.array([100 * np.mean(each[arm]) for each in scores.values()])


def _distances(frechet: Mapping[str, Mapping[str, Sequence[float]]], arm: str) -> np.ndarray:
    """Return an arm's mean distance to each style."""
    return np.array([np.mean(each[arm]) for each in frechet.values()])


def perform(read: Read) -> Claim:
    """Generated adapters perform as well as trained ones."""
    of = partial(_points, read("03_evaluation")["scores"])
    rows = {arm: over(of(arm) - of("original")) for arm in ("generated", "nearest", "training", "soup")}
    gain = over(of("generated") - of("nearest"))
    return Claim(rows, "points from the originals", ["generated"], -MARGIN, gain=gain)


def soup(read: Read) -> Claim:
    """They are better than the average of the training checkpoints."""
    places = {"six GLUE tasks": "03_evaluation", "six small tasks": "laptop/03_evaluation"}
    found = {place: partial(_points, read(name)["scores"]) for place, name in places.items()}
    rows = {place: over(of("generated") - of("soup")) for place, of in found.items()}
    return Claim(rows, "points above the average of the runs", list(rows), 0.0)


def condition(read: Read) -> Claim:
    """The condition controls what is written."""
    evaluation, ablations = read("03_evaluation"), read("07_ablations")
    cross, handed = 100 * np.array(evaluation["cross"]), partial(_points, evaluation["per_task"])
    others = (cross.sum(axis=0) - cross.diagonal()) / (len(cross) - 1)
    rows = {
        "one scale for all tasks": over(cross.diagonal() - others),
        "each task's own scale": over(handed("generated") - handed("other_condition")),
        "the authors' settings": Bounds(ablations["protocol"] - ablations["protocol_other"]),
    }
    return Claim(rows, "points lost when another task is asked for", list(rows), MARGIN)


def normalization(read: Read) -> Claim:
    """Each task has to be normalized by itself."""
    return _changes(read, {"per task": "normalization: per task", "none at all": "normalization: none"}, "per task")


def novelty(read: Read) -> Claim:
    """Generated parameters differ from trained ones."""
    found = {task: each for task, each in read("05_novelty")["distances"].items() if task != "mean"}
    arms = ("generated", "original", "noisy_soup")
    rows = {arm: over([each[arm] / each["training"] for each in found.values()]) for arm in arms}
    return Claim(rows, "distance to the nearest training run (1: as runs from each other)", ["generated"], 0.5)


def fid(read: Read) -> Claim:
    """Generated style adapters reach the FID of trained ones."""
    of = partial(_distances, read("06_styles")["frechet"])
    rows = {arm: over(of(arm) / of("original")) for arm in ("generated", "by_condition", "soup", "gaussian")}
    gain = over((of("by_condition") - of("generated")) / of("original"))
    return Claim(rows, "Frechet distance (1: the original's)", ["generated"], 1 + TENTH, above=False, gain=gain)


def between(read: Read) -> Claim:
    """Styles between the training styles can be written."""
    of = partial(_distances, read("06_styles_between")["frechet"])
    rows = {arm: over(of(arm) / of("tuned")) for arm in ("generated", "by_condition", "neighbours", "soup_of_all")}
    gain = over((of("neighbours") - of("generated")) / of("tuned"))
    return Claim(rows, "Frechet distance (1: fine-tuned there)", ["generated"], 1 + TENTH, above=False, gain=gain)


def held_out(read: Read) -> Claim:
    """Styles that were never trained on can be written."""
    of = partial(_distances, read("06_styles_held_out")["frechet"])
    rows = {
        arm: over(of(arm) / of("untrained_adapter")) for arm in ("generated", "tuned", "by_condition", "soup_of_all")
    }
    gain = over((of("by_condition") - of("generated")) / of("untrained_adapter"))
    return Claim(rows, "Frechet distance (1: no adapter)", ["generated"], 1 - TENTH, above=False, gain=gain)


def noise(read: Read) -> Claim:
    """Noise on input and latent is needed."""
    kinds = {"no noise": "none", "on the input only": "input only", "on the latent only": "latent only"}
    changes = {label: f"noise of the autoencoder: {kind}" for label, kind in kinds.items()}
    return _changes(read, changes, "no noise", loss=True)


def autoencoder(read: Read) -> Claim:
    """The autoencoder has to be a trained network."""
    return _changes(read, {"convolutional": "autoencoder: convolutional"}, "convolutional")


def ranks(read: Read) -> Claim:
    """It works across ranks 1 to 16."""
    scores = read("07_ranks")["scores"]
    found = {f"rank {rank}": partial(_points, scores[rank]) for rank in sorted(scores, key=int)}
    rows = {rank: over(of("generated") - of("training")) for rank, of in found.items()}
    gain = over(np.concatenate([of("generated") - of("nearest") for of in found.values()]))
    return Claim(rows, "points from the training runs", list(rows), -MARGIN, gain=gain)


def cost(read: Read) -> Claim:
    """Generating is cheaper than fine-tuning."""
    found = read("08_cost")
    seconds = {"training": found["finetune_seconds"], "generated": found["generate_seconds"], "nearest": 0.0}
    rows = {arm: Bounds(value, value, value) for arm, value in seconds.items()}
    gain = Bounds(*[-seconds["generated"]] * 3)
    return Claim(rows, "seconds for one more adapter", ["generated"], seconds["training"], above=False, gain=gain)


def unseen_tasks(read: Read) -> Claim:
    """An adapter written from a sentence is better, on a task never seen, than whatever else uses the sentence."""
    found = read("10_unseen_tasks")["against"]
    rows = {arm: Bounds(*each) for arm, each in found.items()}
    return Claim(rows, "AUC of written adapters minus that of another way", list(rows), 0.0, ours=True)


def unseen_examples(read: Read) -> Claim:
    """Told a few examples, the written adapter is better than one that is fine-tuned on them."""
    found = read("10_unseen_tasks")
    ends = ("", "_low", "_high")
    rows = {f"{n} examples": Bounds(*(found[f"examples_{n}_minus_tuned_{n}{end}"] for end in ends)) for n in (4, 16)}
    return Claim(rows, "accuracy of written adapters minus that of fine-tuned ones", list(rows), 0.0, ours=True)


def unseen_styles(read: Read) -> Claim:
    """An adapter written from pictures is better, for a style never seen, than whatever else costs as much."""
    found = read("10_unseen_styles")["against"]
    rows = {arm: Bounds(*each) for arm, each in found.items()}
    quantity = "distance of what is written minus that of another way (1: no adapter)"
    return Claim(rows, quantity, list(rows), 0.0, above=False, ours=True)


def unseen_lora(read: Read) -> Claim:
    """It is worth writing the LoRA, and not the head alone."""
    found = read("10_unseen_tasks")["over_shared"]
    rows = {f"unseen {part}": Bounds(*each) for part, each in found.items() if part in ("topics", "questions")}
    return Claim(rows, "AUC of written adapters minus that of a shared LoRA", list(rows), 0.0, ours=True)


def _changes(read: Read, shown: Mapping[str, str], deciding: str, loss: bool = False) -> Claim:
    """Return a claim on one part of the method, decided by what changing it does to the score."""
    found, sign = read("07_ablations")["changes"], -1 if loss else 1
    ends = {label: [sign * found[key][end] for end in ("change", "low", "high")] for label, key in shown.items()}
    rows = {label: Bounds(mean, *sorted(others)) for label, (mean, *others) in ends.items()}
    return Claim(rows, f"points {'lost' if loss else 'gained'}", [deciding], MARGIN)


CLAIMS = {
    "perform": perform,
    "soup": soup,
    "condition": condition,
    "normalization": normalization,
    "novelty": novelty,
    "fid": fid,
    "between": between,
    "held-out": held_out,
    "noise": noise,
    "autoencoder": autoencoder,
    "ranks": ranks,
    "cost": cost,
}
OURS = {
    "unseen-styles": unseen_styles,
    "unseen-tasks": unseen_tasks,
    "unseen-examples": unseen_examples,
    "unseen-lora": unseen_lora,
}


def reader(results: Path) -> Read:
    """Return what reads the numbers of notebooks from a folder of results."""
    return lambda notebook: json.loads((results / f"{notebook}.json").read_text(encoding="utf-8"))
