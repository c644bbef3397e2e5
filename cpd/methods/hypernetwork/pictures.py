"""A hypernetwork for people with many styles of their own: fitted to folders of pictures, and not to adapters.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path

from cpd.domains.domain import digest
from cpd.domains.images.albums import Album
from cpd.domains.images.domain import ImageDomain
from cpd.domains.settings import Finetuning
from cpd.methods.hypernetwork import fitting, presets
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime import artifacts

RANK = 2


def spec(base: str, rank: int) -> Finetuning:
    """Return what adapters are written for.

    Args:
        base: "emoji" for the small PixArt of this package, or a folder that holds another.
        rank: of the LoRA.
    """
    return Finetuning(
        suite="folder", base=base, targets="attention", rank=rank, dropout=0.0, keep=1, curve=1, select_rows=4
    )


def fit(
    album: Album, held_out: Collection[str], how: Finetuning, writing: Writing, seed: int, folder: Path
) -> FittedHypernetwork:
    """Learn to write adapters for styles, through the loss of the model that draws.

    Args:
        album: pictures in styles, and what is said of these.
        held_out: names of those that nothing is learned from.
        how: base model and LoRA.
        writing: how long to learn.
        seed: names the fit.
        folder: keeps the training state; called again with it, an interrupted fit goes on where it was.

    Returns:
        The generator.

    Raises:
        ValueError: if a style that is held out is none, fewer than two are left, or a style has too few pictures.
    """
    names = presets.learned(album.names, held_out)
    domain = ImageDomain(replace(how, tasks=tuple(names)), album)
    with artifacts.rooted(folder):
        seen = digest(fitting.identity(domain), asdict(domain.spec), asdict(writing), seed)
        made = FittedHypernetwork.fit(domain, writing, seed, folder / seen)
    about = {name: {"pictures": domain.size(name)} for name in names}
    return replace(made, learned={"tasks": about, "held_out": sorted(held_out)})
