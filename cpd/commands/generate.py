"""``cpd generate``: write new adapters for a condition, or for many."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import click

from cpd.commands import arguments


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
@click.option("--n", type=int, default=10, show_default=True, help="how many for each condition")
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
    n: int,
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
    """
    from cpd.adapters.layout import scaled
    from cpd.adapters.peft_files import write_adapter, write_diffusers
    from cpd.adapters.proof import require_loadable
    from cpd.methods import registry

    if (condition is None) == (condition_file is None):
        raise click.UsageError("give --condition or --condition-file, one of them")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder; choose another one or empty it first")
    asked = [condition] if condition is not None else _lines(condition_file)
    made = registry.load(generator)
    write: Callable[..., Path] = write_diffusers if kind == "diffusers" else write_adapter
    partial = out.absolute().with_name(f".{out.absolute().name}.partial")
    try:
        for i, told in enumerate(asked):
            vectors = made.generate(told, n, seed, guidance, steps, task)
            if not i:
                require_loadable(made.layout, vectors[0])
            place = partial if condition is not None else partial / f"{i:03d}"
            for j, vector in enumerate(vectors):
                write(place / f"{j:03d}", made.layout, scaled(made.layout, vector, merge_scale))
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    each = f" for each of {len(asked)} conditions" if condition is None else ""
    click.echo(f"{out}: {n} adapters{each}, 000 to {n - 1:03d}, of {made.layout.size:,} parameters")


def _lines(path: Path | None) -> list[str]:
    """Return the conditions in a file, one a line; empty lines do not count."""
    assert path is not None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}); save it as UTF-8, a condition in each line") from None
    if not lines:
        raise ValueError(f"{path} holds no condition; write one in each line")
    return lines
