"""What ``cpd fit --method hypernetwork`` does for texts and pictures alike: learn, prove that it loads, save."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cpd.methods.hypernetwork.generator import FittedHypernetwork

METHOD = "hypernetwork"  # that learns tables and pictures


def fit(out: Path, held_out: Sequence[str], learn: Callable[[Path], FittedHypernetwork], what: str) -> None:
    """Learn beside a folder that does not exist yet, and save there what was learned, whole or not at all.

    Args:
        out: the folder.
        held_out: names of what is not learned.
        learn: in a folder of work; called again with it, it goes on where it was.
        what: is learned, in plural.
    """
    from accelerate import Accelerator

    from cpd.adapters.proof import require_loadable

    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another folder or delete it first")
    work = out.absolute().with_name(f".{out.absolute().name}.work")
    process = Accelerator()
    made = learn(work)
    if process.is_main_process:
        require_loadable(made.layout, made.generate(next(iter(made.sentences)))[0])
        made.save_pretrained(out)
        shutil.rmtree(work)
        kept = f", {len(held_out)} held out ({', '.join(held_out)})" if held_out else ""
        click.echo(f"{out}: learned to write adapters from {len(made.sentences)} {what}{kept}")


def found(base: str) -> str:
    """Return a base model's name, of a folder the path from everywhere."""
    return str(Path(base).absolute()) if Path(base).is_dir() else base


def quiet() -> None:
    """Show no bars but ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()
