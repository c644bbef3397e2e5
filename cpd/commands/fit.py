"""``cpd fit``: learn a folder of adapters, of tables or of pictures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cpd.commands import arguments, pictures, tables
from cpd.commands.writer import METHOD

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo


ADAPTERS = ("normalization", "condition", "encoder", "autoencoder", "adapter")  # options of a folder of adapters
DATA = ("base", "rank", "steps", "writes")  # options of a folder of tables or pictures


@click.command(short_help="learn a folder of adapters, of tables or of pictures")
@arguments.root
@click.option("--out", type=arguments.PATH, required=True, metavar="GENERATOR", help="folder to write; must not exist")
@click.option(
    "--method",
    default="cond_pdiff",
    show_default=True,
    help="what learns: cond_pdiff; or a control (run_soup, soup, gaussian, noisy_soup, by_condition), which answers "
    "for the task with the nearest condition; or hypernetwork, which learns tables, TASK/train.csv, or pictures, "
    "STYLE/*.png",
)
@click.option(
    "--preset", default="laptop", show_default=True, help="how long to learn: smoke, laptop, full, paper, authors"
)
@click.option("--normalization", help="none, shared (all tasks together) or per_task; default: the preset's")
@click.option(
    "--condition",
    help="description, examples, one_hot, none, or images (conditions.yaml then names a picture, or a folder of up to "
    "8, per task); default: the preset's",
)
@click.option("--encoder", help="sentence encoder: minilm, a sentence-transformers name or folder")
@click.option("--autoencoder", help="linear (any size, no training) or convolutional; default: the preset's")
@click.option(
    "--held-out",
    multiple=True,
    metavar="N|TASK",
    help="keep out, for `cpd evaluate`, the last N runs of each task; of tables a task, of pictures a style, may be "
    "given several times",
)
@click.option(
    "--base",
    metavar="BASE",
    help="of tables: base encoder, minilm (default), a name or a folder; of pictures: emoji, the small PixArt of this "
    "package (default), or the folder of another",
)
@click.option(
    "--rank", type=click.IntRange(1), help="of the LoRA that is written; default: 4 for tables, 2 for pictures"
)
@click.option("--steps", type=click.IntRange(1), help="how long to learn tables or pictures; default: the preset's")
@click.option(
    "--writes",
    help="what a condition decides: b, all, core or head (only the head of a text adapter, no part of a picture "
    "adapter); default: b for tables, all for pictures",
)
@arguments.adapter
@click.option("--seed", type=int, default=0, show_default=True, help="of initialization and training")
def fit(
    root: Path, out: Path, method: str, preset: str, held_out: tuple[str, ...], adapter: str | None, seed: int,
    base: str | None, rank: int | None, steps: int | None, writes: str | None, **given: str | None,
) -> None:  # fmt: skip
    """Learn every adapter of a folder: an autoencoder, then a diffusion model of its latents under a condition.

    Or, with --method, keep of it what a simpler method needs, to compare with. Stopped at any moment and started again
    with the same arguments, it goes on where it was.

    With --method hypernetwork, learn to write adapters from tables: ROOT/TASK/train.csv with the columns text and
    label, and in conditions.yaml a sentence for each task, or several. Or from pictures: ROOT/STYLE/ with six or more
    of each style; conditions.yaml may describe each style, and captions.csv (file,caption) each picture.

    \b
    Examples:
      cpd fit adapters --out generator
      cpd fit adapters --out quick --preset smoke --condition one_hot
      cpd fit adapters --out average --method soup
      accelerate launch --num_processes 4 -m cpd fit adapters --out generator   # four GPUs, four times the batch
      cpd fit tables --method hypernetwork --held-out spam --out writer
      cpd fit pictures --method hypernetwork --held-out woodcut --out writer
    """
    if method == METHOD:
        arguments.require_default(f"of method {method!r}", *ADAPTERS)
        learn = pictures.fit if pictures.there(root) else tables.fit
        learn(root, out, base, preset, held_out, seed, rank, steps, writes)
    else:
        arguments.require_default(f"of method {method!r}", *DATA)
        _fit(root, out, method, preset, _runs(held_out), adapter, seed, given)


def _fit(
    root: Path, out: Path, method: str, preset: str, held_out: int, adapter: str | None, seed: int,
    given: Mapping[str, str | None],
) -> None:  # fmt: skip
    """Learn a folder of adapters."""
    from accelerate import Accelerator

    from cpd.adapters.proof import require_loadable
    from cpd.methods import registry
    from cpd.study.presets import preset as named
    from cpd.zoo.zoo import AdapterZoo

    learning = replace(named(preset).learning, **{name: value for name, value in given.items() if value})  # type: ignore[arg-type]
    registry.able(method, learning)  # or refused, before any work
    if tables.there(root):
        raise ValueError(
            f"{root} holds tables, TASK/train.csv, and method {method!r} learns adapters; give a folder of adapters, "
            f"or say --method {METHOD}"
        )
    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another folder or delete it first")
    work = out.absolute().with_name(f".{out.absolute().name}.work")
    process = Accelerator()
    with process.main_process_first():
        zoo = _gathered(root, work, held_out, adapter) if process.is_main_process else AdapterZoo.load(work / "zoo")
    if process.is_main_process:
        require_loadable(zoo.layout, zoo.adapters([0])[0])
    generator = registry.fit(method, zoo, learning, seed, work)
    if process.is_main_process:
        generator.save_pretrained(out)
        shutil.rmtree(work)
        for note in zoo.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"{out}: learned {len(zoo.training())} adapters of {', '.join(zoo.tasks)}")


def _runs(held_out: Sequence[str]) -> int:
    """Return how many runs of each task are held out."""
    if len(held_out) > 1 or not all(each.isdecimal() for each in held_out):
        raise ValueError(
            f"--held-out {' '.join(held_out)}: of a folder of adapters it is a number of runs, such as 1; tasks are "
            f"held out by name with --method {METHOD}"
        )
    return int(held_out[0]) if held_out else 0


def _gathered(root: Path, work: Path, held_out: int, adapter: str | None) -> AdapterZoo:
    """Gather a folder of adapters into a zoo in the folder of work, anew; leave nothing there if that fails."""
    from cpd.zoo.folders import from_folders

    shutil.rmtree(work / "zoo", ignore_errors=True)
    try:
        return from_folders(root, work / "zoo", held_out, adapter)
    except BaseException:
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()
        raise
