"""Styles that a hypernetwork never saw, with pictures: what it writes for them, beside what is to be had without it.

A generator is shown training pictures of a style; its adapters draw the captions of the report pictures, and what they
draw is compared with these. The score is the share of the Frechet distance from what no adapter draws to the style's
own pictures that is closed: 0 is no adapter, 1 the pictures themselves.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cpd import features
from cpd.conditions import nearest_task
from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.images import telling
from cpd.domains.images.albums import Album
from cpd.domains.images.domain import ImageDomain
from cpd.domains.images.shown import MOST
from cpd.domains.settings import Finetuning
from cpd.measures import frechet
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.unseen.chosen import chosen

DRAWN = 32  # pictures that each adapter draws of a style
KEPT = 6  # of these, to be looked at
NAMES = {
    "generated": f"generated from {MOST} pictures",
    "one_picture": "... from one picture",
    "sentence": "... from the sentence",
    "other_condition": "generated, told another",
    "one_for_all": "average of all generated",
    "untrained_adapter": "no adapter",
    "look_up": "most similar learned style's",
    "tuned": "fine-tuned on all pictures",
}  # arm -> in plain words


@dataclass(frozen=True)
class Asked:
    """Styles that are asked for, and the generator that is asked.

    Attributes:
        generator: fitted to other styles.
        domain: the styles, on the model that draws.
        learned: the styles that the generator learned, of which there are pictures.
        seed: of fine-tuning and of the pictures that are shown.
    """

    generator: FittedHypernetwork
    domain: ImageDomain
    learned: ImageDomain
    seed: int

    def shown(self, domain: ImageDomain, count: int = MOST) -> dict[str, Tensor]:
        """Return the (n, F) features of so many training pictures of each style, or of all where there are fewer."""
        found = {}
        for style in domain.names:
            seen = domain.real(style, "train")
            order = np.random.default_rng(self.seed).permutation(len(seen))[:count]
            found[style] = seen[torch.from_numpy(order)]
        return found

    def told(self, seen: dict[str, Tensor]) -> Tensor:
        """Return the (styles, C) conditions that tell such pictures and nothing else."""
        return torch.stack([telling.told(self.generator.embeddings, seen=own) for own in seen.values()])

    def looked_up(self) -> Tensor:
        """Return what is written for the learned style whose pictures are most like those that are shown."""
        known = self.shown(self.learned)
        means = {style: own.mean(dim=0, keepdim=True) for style, own in known.items()}
        nearest = {style: known[nearest_task(own.mean(dim=0), means)] for style, own in self.shown(self.domain).items()}
        return self.generator.write(self.told(nearest))


def asked(generator: FittedHypernetwork, album: Album, names: Sequence[str], how: Finetuning, seed: int) -> Asked:
    """Choose the styles that are asked for.

    Args:
        generator: fitted to other styles.
        album: pictures of all styles that there are.
        names: of those that are meant; empty means all that the generator did not learn.
        how: model that draws, and LoRA.
        seed: of fine-tuning and of the pictures that are shown.

    Raises:
        ValueError: if a style is none or was learned, none is left, or there are no pictures of any that was learned.
    """
    there, known = album.names, list(generator.sentences)
    spec = replace(how, tasks=tuple(chosen(names, there, known, "style")), report_rows=DRAWN)
    learned = tuple(style for style in known if style in there)
    if not learned:
        raise ValueError(
            f"there are no pictures of the styles that the generator learned ({', '.join(known[:10])}); name the "
            "folder that it learned from"
        )
    domain = ImageDomain(spec, album)
    generator.layout.require_same(domain.layout, f"an adapter of {how.base}")
    return Asked(generator, domain, ImageDomain(replace(spec, tasks=learned), album), seed)


def score(of: Asked) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, np.ndarray]]]:
    """Score every arm.

    Returns:
        Style -> arm -> share of the distance that is closed; style -> arm -> (`KEPT`, s, s, 3) uint8 that it draws, and
        under "own" the pictures of the same captions.
    """
    made = {name: write(of) for name, write in ARMS.items()}
    shares: dict[str, dict[str, float]] = {}
    drawings: dict[str, dict[str, np.ndarray]] = {}
    for place, style in enumerate(of.domain.names):
        vectors = torch.stack([own[place] for own in made.values()])
        drawn = dict(zip(made, of.domain.draw(style, vectors, "report", range(DRAWN)), strict=True))
        real = of.domain.real(style, "report")
        away = {name: frechet.frechet_distance(real, features.features(own)) for name, own in drawn.items()}
        shares[style] = {name: 1 - own / away["untrained_adapter"] for name, own in away.items()}
        own = of.domain.album.pictures(style, "report", of.domain.painter.size, KEPT)
        drawings[style] = {"own": own} | {name: pictures[:KEPT] for name, pictures in drawn.items()}
    return shares, drawings


def _generated(count: int, of: Asked) -> Tensor:
    return of.generator.write(of.told(of.shown(of.domain, count)))


def _of_sentences(of: Asked) -> Tensor:
    told = [telling.told(of.generator.embeddings, of.domain.sentence(style)) for style in of.domain.names]
    return of.generator.write(torch.stack(told))


def _of_another(of: Asked) -> Tensor:
    if len(of.domain.names) > 1:
        return _generated(MOST, of).roll(1, dims=0)
    return of.generator.write(next(iter(of.generator.conditions.values())))


ARMS: dict[str, Callable[[Asked], Tensor]] = {
    "generated": partial(_generated, MOST),
    "one_picture": partial(_generated, 1),
    "sentence": _of_sentences,
    "other_condition": _of_another,
    "one_for_all": lambda of: of.generator.with_one_lora(_generated(1, of)),
    "untrained_adapter": lambda of: of.domain.untrained().expand(len(of.domain.names), -1),
    "look_up": Asked.looked_up,
    "tuned": lambda of: last_checkpoints(finetune_all(of.domain, [(style, of.seed) for style in of.domain.names])),
}
