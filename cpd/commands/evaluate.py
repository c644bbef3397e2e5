"""``cpd evaluate``: is generating better than looking up, by the user's own score?"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cpd.commands import arguments, evaluated, pictures, tables

if TYPE_CHECKING:
    from cpd.methods.method import Generator
    from cpd.scoring import Scores
    from cpd.zoo.zoo import AdapterZoo


@click.command(short_help="is generating better than looking up, for your adapters?")
@arguments.root
@click.argument("generator", metavar="GENERATOR")
@click.option(
    "--score",
    metavar="COMMAND",
    help="prints a number for one adapter, the higher the better; {adapter} is its folder, {task} the task's name; "
    "needed where ROOT holds adapters",
)
@click.option(
    "--task", "names", multiple=True, metavar="TASK",
    help="where ROOT holds tables or pictures: a task or style to ask for, may be given several times; default: all "
    "that were not learned",
)  # fmt: skip
@click.option(
    "--base", metavar="BASE", help="where ROOT holds pictures: the model that draws, as of `cpd fit`; default: emoji"
)
@click.option(
    "--out", type=arguments.PATH, default=Path("evaluation"), show_default=True, metavar="FOLDER",
    help="gets table, picture and scores; scores that are there already are not made again",
)  # fmt: skip
@click.option("--n", type=click.IntRange(1), default=6, show_default=True, help="generated adapters of each task")
@click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="commands at once; default: the cores"
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True,
    help="seconds after which a command is stopped",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(2),
    help="where ROOT holds tables or pictures: of the fine-tuning that is shown beside; default: 60 on tables, 200 on "
    "pictures",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="of the noise, and of rows that are shown")
@arguments.adapter
@arguments.as_json
def evaluate(
    root: Path, generator: str, score: str | None, names: tuple[str, ...], base: str | None, out: Path, n: int,
    jobs: int, timeout: float, steps: int | None, seed: int, adapter: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Score generated adapters beside held-out runs, training runs, look-ups, averages and random ones.

    ROOT is what GENERATOR was fitted to; runs that `cpd fit --held-out N` kept out are shown as what fine-tuning gives.
    No base model is needed here: your command loads it. A command that fails, prints no number or hangs is shown with
    its last line. Stopped and started again, it goes on.

    Where ROOT holds tables, adapters are written for tasks that `cpd fit --held-out TASK` kept out, and scored on one
    half of their rows beside zero-shot, prototypes, a look-up and fine-tuning on the other half. Where it holds
    pictures, adapters are written for styles that were kept out, and what they draw is compared with the styles' own
    pictures, beside no adapter, a look-up and fine-tuning.

    \b
    Examples:
      cpd fit adapters --held-out 1 --out generator
      cpd evaluate adapters generator --score "python score.py {adapter} {task}"
      cpd evaluate adapters generator --score "./score.sh {adapter} {task}" --jobs 8 --json
      cpd evaluate tables generator
      cpd evaluate pictures generator
    """  # fmt: skip
    if tables.there(root):
        arguments.require_default("of a folder of tables", "score", "n", "jobs", "timeout", "adapter", "base")
        said = tables.evaluate(root, generator, names, steps, out, seed)
        click.echo(json.dumps(said, indent=1) if as_json else tables.shown(said, out))
        return
    if pictures.there(root):
        arguments.require_default("of a folder of pictures", "score", "n", "jobs", "timeout", "adapter")
        said = pictures.evaluate(root, generator, names, base, steps, out, seed)
        click.echo(json.dumps(said, indent=1) if as_json else pictures.shown(said, out))
        return
    arguments.require_default("of a folder of adapters", "names", "base", "steps")
    if score is None:
        raise click.UsageError("Missing option '--score', which a folder of adapters needs")
    said = _evaluated(root, generator, score, out, n, jobs, timeout, seed, adapter)
    click.echo(json.dumps(said, indent=1) if as_json else _shown(said, out))


def _evaluated(
    root: Path, generator: str, score: str, out: Path, n: int, jobs: int, timeout: float, seed: int, adapter: str | None
) -> dict[str, Any]:
    """Score the adapters of every arm with a command, write table and picture, and return what was found."""
    from cpd import scoring
    from cpd.evaluation import Evaluating
    from cpd.methods import registry

    command = scoring.Command(score, timeout)
    made = registry.load(generator)
    tables.require_zoo(root, made)
    zoo = _zoo(root, made, adapter)
    arms = scoring.arms(zoo, made, Evaluating(generated=n, controls=n, wrong=n), seed)
    found = scoring.score(arms, made.layout, command, jobs, out / "scores")
    if not any(found.scores.values()):
        raise ValueError(f"the command scored no adapter, the first one ended with {found.failed[0][-1]}")
    return _written(out, found, score, zoo)


def _zoo(root: Path, generator: Generator, adapter: str | None) -> AdapterZoo:
    """Read the adapters that a generator was fitted to, with the same runs held out."""
    import tempfile

    from cpd.methods.method import learned_from
    from cpd.zoo.folders import from_folders

    learned = generator.learned or {"tasks": {}}
    held_out = max((task["held_out_runs"] for task in learned["tasks"].values()), default=0)
    with tempfile.TemporaryDirectory() as temporary:
        zoo = from_folders(root, Path(temporary) / "zoo", held_out, adapter)
        zoo = zoo.subset(range(len(zoo.rows)))  # in memory: the file goes
    generator.layout.require_same(zoo.layout, str(root))
    if learned["tasks"] and learned_from(zoo) != learned:
        now, then = (sum(task["adapters"] for task in each["tasks"].values()) for each in (learned_from(zoo), learned))
        raise ValueError(
            f"{root} has {now} training adapters of {', '.join(zoo.tasks)}, the generator was fitted to {then} of "
            f"{', '.join(learned['tasks'])}; name the folder that it was fitted to, or fit it again"
        )
    return zoo


def _written(out: Path, found: Scores, command: str, zoo: AdapterZoo) -> dict[str, Any]:
    """Write table and picture; return what was found, as JSON values."""
    from cpd import scoring
    from cpd.runtime import artifacts

    said = {
        "command": command,
        "verdict": scoring.verdict(found),
        "arms": scoring.table(found),
        "held_out_runs": len(zoo.last(held_out=True)),
        **asdict(found),
    }
    artifacts.write_json(out / "evaluation.json", said)
    away = {row["arm"]: row["generated_above"] for row in said["arms"] if row["generated_above"]}
    evaluated.draw(out, away, "score, generated minus these")
    return said


def _shown(said: dict[str, Any], out: Path) -> str:
    from cpd.study.arms import name

    lines = [f"{'':<26}{'score':>9}  {'generated minus it (95 % interval)':<36}{'scored':>6}"]
    for row in said["arms"]:
        away = evaluated.away(row["generated_above"])
        lines.append(f"{name(row['arm']):<26}{row['mean'][0]:>9.4g}  {away:<36}{row['scored']:>6}")
    failed = [f"  {name(arm)}, {task}: {line}" for task, arm, line in said["failed"]]
    more = ["", f"{len(failed)} scores are missing:", *failed[:10], *(["  ..."] if len(failed) > 10 else [])]
    if not said["held_out_runs"]:
        lines += ["", "No run was held out: fit with --held-out 1 to see what new runs score."]
    if failed:
        lines += more
    return "\n".join([said["verdict"], "", *lines, "", f"{out / 'evaluation.json'}, evaluation.png, evaluation.svg"])
