"""What the notebooks share: the domain, the zoo and the generator of a preset, made once and found again.

Each is an artifact addressed by what makes it, so a notebook loads what an earlier one made, and an interrupted one
continues. What is done with them is the notebooks' business.

Source: ours.
"""

from __future__ import annotations

from dataclasses import asdict

from cpd.domains.domain import Domain
from cpd.domains.finetune import finetune_all
from cpd.domains.images.domain import ImageDomain
from cpd.domains.text.domain import TextDomain
from cpd.methods import registry
from cpd.methods.cond_pdiff import fitting
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork import fitting as teaching
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator
from cpd.runtime import artifacts, devices
from cpd.study.presets import Preset
from cpd.zoo.zoo import AdapterZoo


def domain(preset: Preset) -> TextDomain:
    """Return the tasks of a preset."""
    return TextDomain(preset.finetuning)


def zoo(tasks: Domain, condition: str, seed: int) -> AdapterZoo:
    """Fine-tune every run of a study, or find those that were, and gather them.

    Args:
        tasks: what is fine-tuned, and how many runs of it.
        condition: kind of the conditions.
        seed: first seed; run i of a task has seed + i, and the last ones are held out.

    Returns:
        The zoo.
    """
    spec = tasks.spec
    jobs = [(task, seed + i) for task in tasks.names for i in range(spec.runs + spec.held_out)]
    ordered = finetune_all(tasks, jobs)
    held_out = [run for run, (_, i) in zip(ordered, jobs, strict=True) if i - seed >= spec.runs]
    conditions = tasks.conditions(condition)
    made_by = {
        "runs": [run.name for run in ordered],
        "held_out": [run.name for run in held_out],
        "conditions": conditions,
    }
    return AdapterZoo.from_runs(ordered, held_out, conditions, artifacts.address("zoos", made_by))


def generator(zoo: AdapterZoo, learning: Learning, seed: int, method: str = "cond_pdiff") -> Generator:
    """Fit a generator to a zoo, or find the one that was.

    Args:
        zoo: what is learned.
        learning: how.
        seed: names the fit.
        method: which one learns.

    Returns:
        The generator.
    """
    made_by = {"method": method, "zoo": fitting.checked(zoo, "study"), "learning": asdict(learning), "seed": seed}
    where = {"device": devices.device().type, "precision": devices.precision()}
    folder = artifacts.address("generators", made_by | where)
    with artifacts.making(folder) as work:
        if work:
            registry.fit(method, zoo, learning, seed, work).save_pretrained(folder)
    return registry.load(folder)


def taught(tasks: TextDomain | ImageDomain, writing: Writing, seed: int) -> FittedHypernetwork:
    """Train a hypernetwork on the tasks of a domain, or find the one that was.

    Args:
        tasks: what is learned, all of it.
        writing: how.
        seed: names the fit.

    Returns:
        The generator.
    """
    made_by = {
        "method": FittedHypernetwork.name,
        "tasks": teaching.identity(tasks),
        "finetuning": asdict(tasks.spec) | {"tasks": ()},
    }
    where = {"device": devices.device().type, "precision": devices.precision()}
    how = {"writing": asdict(writing), "seed": seed, "version": teaching.VERSION}
    folder = artifacts.address("generators", made_by | where | how)
    with artifacts.making(folder) as work:
        if work:
            FittedHypernetwork.fit(tasks, writing, seed, work).save_pretrained(folder)
    return FittedHypernetwork.from_pretrained(folder)
