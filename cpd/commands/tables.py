"""What the commands do where ROOT holds tables of labelled texts, ``ROOT/TASK/train.csv``, and not adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from cpd.commands import evaluated, writer
from cpd.commands.writer import METHOD

if TYPE_CHECKING:
    from cpd.methods.hypernetwork.generator import FittedHypernetwork
    from cpd.methods.method import Generator
    from cpd.scoring import Scores

FREE = {
    "zero_shot": "zero-shot",
    "look_up": "looking up the learned task with the nearest sentence",
    "one_for_all": "one LoRA for all tasks, with the generated heads",
}


def there(root: Path) -> bool:
    """Tell whether a folder holds tables."""
    if not root.is_dir() or not any(root.glob("*/*.csv")):
        return False
    from cpd.domains.text import tables

    return tables.there(root)


def require_zoo(root: Path, generator: Generator) -> None:
    """Refuse a generator that was fitted to tables, where adapters are meant."""
    if generator.name == METHOD:
        raise ValueError(
            f"the generator was fitted to tables or pictures, and {root} holds none; name the folder that it learned "
            "from"
        )


def fit(
    root: Path, out: Path, base: str | None, preset: str, held_out: Sequence[str], seed: int,
    rank: int | None, steps: int | None, writes: str | None,
) -> None:  # fmt: skip
    """Learn to write adapters for the tasks of a folder of tables, and save what was learned."""
    from cpd.domains.text.tables import TABLE
    from cpd.methods.hypernetwork import presets
    from cpd.methods.hypernetwork import tables as learning

    writer.quiet()
    writing = presets.sizes(presets.TEXTS, preset, steps=steps, writes=writes)
    how = learning.spec(writer.found(base or "minilm"), rank or learning.RANK)
    tasks = learning.shortened(_tasks(root), preset)
    writer.fit(out, held_out, lambda work: learning.fit(tasks, held_out, how, writing, seed, work), f"tasks of {TABLE}")


def _tasks(root: Path) -> Sequence[Any]:
    """Read tables; refuse adapters."""
    from cpd.domains.text import tables
    from cpd.zoo import walk

    if root.is_dir() and not tables.there(root) and walk.has_adapters(root):
        raise ValueError(
            f"{root} holds adapters, and method {METHOD!r} learns tables, TASK/{tables.TABLE}, or pictures; leave "
            "--method out, or give another folder"
        )
    return tables.tasks(root)


def told(made: Generator, condition: str | None, examples: Path | None, classes: str | None) -> Any:
    """Return what a generator is told: a sentence or a task as they are, or a vector of sentence, classes and rows."""
    if examples is None and classes is None:
        return condition
    from cpd.domains.text import tables, telling

    if not _tells_classes(made):
        given = "--examples" if examples else "--classes"
        raise ValueError(
            f"{given} is for generators of texts that `cpd fit --method {METHOD}` wrote, and this one is of method "
            f"{made.name!r}; tell it a --condition"
        )
    known = (made.learned or {}).get("tasks", {}).get(condition or "", {}).get("classes", ())
    named = [word.strip() for word in classes.split(",")] if classes else list(known)
    if examples is None:
        rows, words = None, tables.as_told(named)
    else:
        words, rows = tables.examples(examples, named)
    sentence = made.sentences.get(condition or "", condition or "")
    return telling.ask(made.embeddings, made.network.shape.classes, sentence, words, rows)


def use(made: Generator, adapter: Path) -> str:
    """Say how an adapter is loaded whose head reads the mean of all tokens; nothing of others."""
    if not _tells_classes(made):
        return ""
    return f"load it with cpd.domains.text.pooled.load({made.encoder!r}, {str(adapter)!r})"


def _tells_classes(made: Generator) -> TypeGuard[FittedHypernetwork]:
    """Tell whether a generator is a hypernetwork for texts."""
    from cpd.methods.hypernetwork.generator import FittedHypernetwork

    return isinstance(made, FittedHypernetwork) and made.network.shape.classes > 0


def evaluate(
    root: Path, generator: str, names: Sequence[str], steps: int | None, out: Path, seed: int
) -> dict[str, Any]:
    """Score what is written for tasks that were not learned, write table, picture and scores, and return them."""
    from cpd import scoring
    from cpd.domains.text import tables
    from cpd.methods import registry
    from cpd.runtime import artifacts
    from cpd.unseen import tasks as unseen

    writer.quiet()
    made = registry.load(generator)
    if not _tells_classes(made):
        raise ValueError(
            f"{root} holds tables, and {generator} was fitted to adapters by method {made.name!r}; name the folder of "
            "those, or a generator of `cpd fit --method hypernetwork`"
        )
    asked = unseen.asked(made, tables.tasks(root), names, _how(made, steps), seed)
    with artifacts.rooted(out):
        found = unseen.score(asked)
    auc, accuracy = (_scores(found, name) for name in ("auc", "accuracy"))
    said: dict[str, Any] = {
        "verdict": " ".join([scoring.verdict(auc, FREE), *_few(auc)]),
        "measure": "area under the ROC curve",
        "arms": scoring.table(auc, unseen.NAMES),
        "accuracy": scoring.table(accuracy, unseen.NAMES),
        "names": unseen.NAMES,
        "scores": {task: {arm: asdict(own) for arm, own in each.items()} for task, each in found.items()},
    }
    artifacts.write_json(out / "evaluation.json", said)
    away = {unseen.NAMES[row["arm"]]: row["generated_above"] for row in said["arms"] if row["generated_above"]}
    evaluated.draw(out, away, "area under the curve, generated from the sentence minus these")
    return said


def _how(made: FittedHypernetwork, steps: int | None) -> Any:
    """Return what a generator's adapters are for, and how long others are fine-tuned beside them."""
    from dataclasses import replace

    from cpd.domains.text.tables import STEPS
    from cpd.methods.hypernetwork import tables

    config, learned = made.layout.config, made.learned or {}
    how = tables.spec(made.encoder, config["r"])
    how = replace(how, alpha=config["lora_alpha"], max_length=learned.get("max_length", how.max_length))
    return replace(how, scale=(steps or STEPS) / STEPS)


def _scores(found: dict[str, dict[str, Any]], measure: str) -> Scores:
    from cpd.scoring import Scores

    listed = {task: {arm: [getattr(own, measure)] for arm, own in each.items()} for task, each in found.items()}
    return Scores(listed, [])


def _few(auc: Scores) -> list[str]:
    """Say whether examples are better shown to the generator than fine-tuned on."""
    from cpd import scoring
    from cpd.unseen import tasks as unseen

    said = []
    for count in unseen.COUNTS:
        if away := scoring.above(auc, f"generated_{count}", f"tuned_{count}"):
            interval = evaluated.away([each if abs(each) < 1e9 else None for each in (away.mean, away.low, away.high)])
            said.append(f"Told {count} examples of each class, generated minus fine-tuned on them: {interval}.")
    return said


def shown(said: dict[str, Any], out: Path) -> str:
    """Write what was found for people to read."""
    right = {row["arm"]: row["mean"][0] for row in said["accuracy"]}
    lines = [f"{'':<28}{'AUC':>7}{'accuracy':>10}  AUC, generated minus it (95 % interval)"]
    for row in said["arms"]:
        arm = row["arm"]
        away = evaluated.away(row["generated_above"])
        lines.append(f"{said['names'][arm]:<28}{row['mean'][0]:>7.3f}{right[arm]:>10.3f}  {away}".rstrip())
    tasks = f"Means over {len(said['scores'])} tasks that were not learned: {', '.join(list(said['scores'])[:10])}"
    return "\n".join(
        [said["verdict"], "", *lines, "", tasks, f"{out / 'evaluation.json'}, evaluation.png, evaluation.svg"]
    )
