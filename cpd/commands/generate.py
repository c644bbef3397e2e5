"""``cpd generate``: write new adapters for a condition, or for many."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cpd.commands import arguments, pictures, tables
from cpd.commands.writer import METHOD

if TYPE_CHECKING:
    from torch import Tensor

    from cpd.adapters.layout import AdapterLayout
    from cpd.methods.method import Generator


@click.command(short_help="write new adapters for a condition")
@click.argument("generator", metavar="GENERATOR")
@click.option(
    "--condition", metavar="TEXT", help="what the adapters are to be good for: a task's name or text, or any other"
)
@click.option(
    "--condition-file",
    type=arguments.PATH,
    metavar="FILE",
    help="a condition in each line; their adapters go to 000/, 001/, ...",
)
@click.option(
    "--examples",
    type=arguments.PATH,
    metavar="FILE",
    help="of generators of method hypernetwork, with --condition or alone: labelled texts of the task, a CSV file with "
    "the columns text and label; or a picture in the style, or a folder of up to 8",
)
@click.option(
    "--classes", metavar="A,B,...", help="what the classes of the task are called; default: no and yes, or the labels"
)
@click.option("--n", type=int, help="how many for each condition; default: 10, of a hypernetwork 1")
@click.option("--out", type=arguments.PATH, required=True, metavar="FOLDER", help="gets 000, 001, ...; must be empty")
@click.option("--seed", type=int, default=0, show_default=True, help="of the noise")
@click.option("--guidance", type=float, default=1.0, show_default=True, help="scale; 1 is none")
@click.option("--steps", type=int, default=50, show_default=True, help="of the sampler")
@click.option("--task", help="whose statistics scale the weights back; needed after per_task normalization")
@click.option(
    "--merge-scale", type=float, default=1.0, show_default=True, help="multiplies what the adapters do, through B"
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["peft", "diffusers"]),
    default="peft",
    show_default=True,
    help="of the files; diffusers where the adapters were learned from files of diffusers",
)
def generate(
    generator: str,
    condition: str | None,
    condition_file: Path | None,
    examples: Path | None,
    classes: str | None,
    n: int | None,
    out: Path,
    seed: int,
    guidance: float,
    steps: int,
    task: str | None,
    merge_scale: float,
    kind: str,
) -> None:
    """Write new adapters for a condition: a task's name or its text, or any other text.

    GENERATOR is a folder that `cpd fit` wrote, or the name of one on the hub, as in user/name. Each adapter loads with
    peft.PeftModel.from_pretrained(base_model, "new/000").

    \b
    Examples:
      cpd generate generator --condition "Is a film review positive?" --n 10 --out new
      cpd generate generator --condition movies --task movies --n 3 --out new
      cpd generate generator --condition-file conditions.txt --n 1 --out new
      cpd generate user/name --condition movies --out new
      cpd generate writer --condition "Is this mail about money?" --examples few.csv --out new
      cpd generate writer --examples woodcuts --out new
    """
    from cpd.methods import registry

    told_otherwise = condition is not None or examples is not None
    if told_otherwise == (condition_file is not None):
        raise click.UsageError("give --condition or --condition-file, one of them, or --examples")
    if condition_file is not None:
        arguments.require_default("of a file of conditions, which are sentences", "classes")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder; choose another one or empty it first")
    lines = [] if condition_file is None else _lines(condition_file)
    made = registry.load(generator)
    asked = lines or [_told(made, condition, examples, classes)]
    count = n if n is not None else 1 if made.name == METHOD else 10
    vectors = (made.generate(told, count, seed, guidance, steps, task) for told in asked)
    _write(out, vectors, bool(lines), made.layout, merge_scale, kind)
    each = f" for each of {len(asked)} conditions" if lines else ""
    click.echo(f"{out}: {count} adapters{each}, 000 to {count - 1:03d}, of {made.layout.size:,} parameters")
    if use := tables.use(made, out / ("000/000" if lines else "000")):
        click.echo(use)


def _told(made: Generator, condition: str | None, examples: Path | None, classes: str | None) -> Any:
    """Return what a generator is told, a sentence as it is or a vector of that and examples."""
    from cpd.methods.hypernetwork.generator import FittedHypernetwork

    if isinstance(made, FittedHypernetwork) and not made.network.shape.classes and classes is None:
        return pictures.told(made, condition, examples)
    return tables.told(made, condition, examples, classes)


def _write(
    out: Path, vectors: Iterable[Tensor], numbered: bool, layout: AdapterLayout, merge_scale: float, kind: str
) -> None:
    """Write the adapters of each condition, in a folder of its own where they are numbered, all of them or none."""
    from cpd.adapters.layout import scaled
    from cpd.adapters.peft_files import write_adapter, write_diffusers
    from cpd.adapters.proof import require_loadable

    write: Callable[..., Path] = write_diffusers if kind == "diffusers" else write_adapter
    partial = out.absolute().with_name(f".{out.absolute().name}.partial")
    try:
        for i, own in enumerate(vectors):
            if not i:
                require_loadable(layout, own[0])
            place = partial / f"{i:03d}" if numbered else partial
            for j, vector in enumerate(own):
                write(place / f"{j:03d}", layout, scaled(layout, vector, merge_scale))
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _lines(path: Path) -> list[str]:
    """Return the conditions in a file, one a line; empty lines do not count."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}); save it as UTF-8, a condition in each line") from None
    if not lines:
        raise ValueError(f"{path} holds no condition; write one in each line")
    return lines
