"""Styles that nothing was trained on: the adapters of every arm for each of them, drawn with beside each other.

Source: ours; arms are those that a sceptic would ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpd import features
from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.images import albums, styles, telling
from cpd.domains.images.albums import EmojiAlbum
from cpd.domains.images.domain import ImageDomain
from cpd.domains.settings import Finetuning
from cpd.measures import frechet
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator
from cpd.study import pipeline
from cpd.study.unseen import scored
from cpd.zoo.zoo import AdapterZoo

SHOWN = 8  # pictures that a style is told by
KEPT = 6  # drawings of each arm that are kept to be looked at
DRAWS = 2  # conditions of each style of a bank
PARTS = ("test", "apart")  # whose styles are asked for


@dataclass(frozen=True)
class UnseenStyles:
    """Sizes of the study of unseen styles.

    Attributes:
        finetuning: base model, LoRA and numbers of pictures.
        writing: how hypernetworks learn.
        learning: how COND P-DIFF learns a bank.
        learned: training styles of hypernetworks.
        banks: numbers of training styles that adapters are fine-tuned on, for the methods that need them.
        asked: most unseen styles of each of `PARTS`.
    """

    finetuning: Finetuning = field(
        default_factory=lambda: Finetuning(
            suite="many_styles", base="emoji", targets="attention", rank=2, dropout=0.0, batch=16, learning_rate=5e-3,
            decay="cosine", keep=4, curve=1, select_rows=4, report_rows=64,
        )
    )  # fmt: skip
    writing: Writing = field(default_factory=lambda: Writing(writes="all", tasks=32, rows=8, cond_noise=0.1))
    learning: Learning = field(default_factory=lambda: Learning(condition="images"))
    learned: int = 256
    banks: tuple[int, ...] = (16, 40)
    asked: tuple[int, ...] = (32, 8)


PRESETS = {
    "smoke": UnseenStyles(
        finetuning=replace(UnseenStyles().finetuning, scale=0.02, batch=4, select_rows=2, report_rows=8),
        writing=Writing(writes="all", width=32, depth=1, steps=4, tasks=3, rows=2),
        learning=Learning(condition="images", latent=4, width=32, depth=1, steps=10, batch=4),
        learned=6, banks=(4,), asked=(2, 1),
    ),
    "laptop": UnseenStyles(
        finetuning=replace(UnseenStyles().finetuning, scale=0.4, report_rows=32),
        writing=Writing(writes="all", steps=150, tasks=16, rows=4, cond_noise=0.1),
        learning=Learning(condition="images", steps=500, width=256),
        learned=48, banks=(8,), asked=(8, 2),
    ),
    "full": UnseenStyles(writing=Writing(writes="all", steps=1000, tasks=32, rows=4, cond_noise=0.1)),
}  # fmt: skip
SEEDS = {"smoke": 1, "laptop": 1, "full": 1}  # how often everything is learned anew


@dataclass(frozen=True)
class Look:
    """How an adapter draws a style.

    Attributes:
        distance: Frechet distance of its pictures to the style's own, on MobileNetV2's features.
        to_none: the same, divided by that of no adapter.
        drawn: (`KEPT`, s, s, 3) uint8, the first of these pictures.
    """

    distance: float
    to_none: float
    drawn: np.ndarray


class Study:
    """Training styles, unseen styles, and what is learned from the one and drawn of the other.

    Args:
        how: sizes.
    """

    def __init__(self, how: UnseenStyles) -> None:
        self.how = how
        tables = [albums.many(part, most).table for part, most in zip(PARTS, how.asked, strict=True)]
        self.unseen = [style for table in tables for style in table]
        self._networks: dict[tuple[str, int], FittedHypernetwork] = {}
        self._banks: dict[int, AdapterZoo] = {}
        self.tier = {style.name: part for part, table in zip(PARTS, tables, strict=True) for style in table}

    @cached_property
    def learned(self) -> ImageDomain:
        """The training styles."""
        return self._domain(albums.many("training", self.how.learned))

    @cached_property
    def asked(self) -> ImageDomain:
        """The unseen styles."""
        return self._domain(EmojiAlbum(tuple(self.unseen), albums.DRAWINGS))

    def _domain(self, album: EmojiAlbum) -> ImageDomain:
        return ImageDomain(replace(self.how.finetuning, tasks=tuple(album.names)), album)

    def network(self, writes: str, seed: int) -> FittedHypernetwork:
        """Train a hypernetwork on the training styles, or find the one that was."""
        if (writes, seed) not in self._networks:
            self._networks[writes, seed] = pipeline.taught(self.learned, replace(self.how.writing, writes=writes), seed)
        return self._networks[writes, seed]

    def bank(self, count: int) -> AdapterZoo:
        """Fine-tune adapters on the first training styles, or find them."""
        if count not in self._banks:
            album = albums.many("training", count)
            spec = replace(self.how.finetuning, tasks=tuple(album.names), runs=1, held_out=0)
            self._banks[count] = pipeline.zoo(_prepared(ImageDomain(spec, album, DRAWS)), "images", 0)
        return self._banks[count]

    def generator(self, method: str, count: int, seed: int) -> Generator:
        """Fit a method to a bank, or find the generator that was."""
        return pipeline.generator(self.bank(count), self.how.learning, seed, method)

    def shown(self, draw: int, count: int = SHOWN) -> Tensor:
        """Return the (styles, F) mean features of some training pictures of every unseen style."""
        self.asked.prepare()
        found = []
        for style in self.unseen:
            seen = self.asked.real(style.name, "train")
            chosen = np.random.default_rng((draw, count)).permutation(len(seen))[:count]
            found.append(seen[torch.from_numpy(chosen)].mean(dim=0))
        return torch.stack(found)

    def told(self, how: str, draw: int, count: int = SHOWN) -> Tensor:
        """Tell every unseen style by "pictures", a "sentence", or "both".

        Returns:
            (styles, C) conditions.
        """
        sentences = [style.sentence if how != "pictures" else "" for style in self.unseen]
        seen = self.shown(draw, count)[:, None] if how != "sentence" else [None] * len(sentences)
        rows = zip(sentences, seen, strict=True)
        return torch.stack([telling.told(self.asked.embeddings, sentence, own) for sentence, own in rows])

    def tuned(self, seed: int) -> Tensor:
        """Fine-tune on every unseen style, the (styles, K) last checkpoints."""
        _prepared(self.asked)
        return last_checkpoints(finetune_all(self.asked, [(style.name, seed) for style in self.unseen]))


def _prepared(domain: ImageDomain) -> ImageDomain:
    """Draw the pictures of all styles on every core, where those are not busy with a style each anyway."""
    if domain.device.type != "cpu":
        domain.prepare()
    return domain


Arm = Callable[[Study, int], Tensor]  # of a study and a seed, an adapter for each unseen style


def _written(writes: str | None, how: str, count: int, study: Study, seed: int) -> Tensor:
    network = study.network(writes or study.how.writing.writes, seed)
    return network.write(study.told(how, seed, count))


def _of_another(study: Study, seed: int) -> Tensor:
    return _written(None, "pictures", SHOWN, study, seed).roll(1, dims=0)


def _from_bank(method: str, count: int, study: Study, seed: int) -> Tensor:
    generator = study.generator(method, count, seed)
    return torch.cat([generator.generate(seen, 1, seed) for seen in study.shown(seed)])


def arms(how: UnseenStyles) -> dict[str, Arm]:
    """Return every arm of a study, by name."""
    methods = {"look_up": "by_condition", "k_nearest": "k_nearest", "ridge": "ridge", "cond_pdiff": "cond_pdiff"}
    return {
        "none": lambda study, seed: study.asked.untrained().expand(len(study.unseen), -1),
        "tuned": lambda study, seed: study.tuned(seed),
        "pictures": partial(_written, None, "pictures", SHOWN),
        "one_picture": partial(_written, None, "pictures", 1),
        "sentence": partial(_written, None, "sentence", 0),
        "both": partial(_written, None, "both", SHOWN),
        "other": _of_another,
        "one_for_all": partial(_written, "head", "sentence", 0),
        **{f"{name}_{n}": partial(_from_bank, method, n) for name, method in methods.items() for n in how.banks},
    }


WRITES = {f"writes_{writes}": partial(_written, writes, "pictures", SHOWN) for writes in ("all", "b", "core")}


def scores(how: UnseenStyles, seed: int, names: Sequence[str] | None = None) -> dict[str, dict[str, Look]]:
    """Draw every unseen style with the adapters of arms, or find what was seen before.

    Args:
        how: sizes.
        seed: of all that is learned and drawn.
        names: of the arms; None is all.

    Returns:
        Arm -> style -> look.
    """
    chosen = list(arms(how) if names is None else names)
    found = scored.scores(
        {"unseen_styles": asdict(how)}, seed, ["none", *chosen], lambda missing: _score(_study(how), missing, seed)
    )
    none = {style: own["distance"] for style, own in found["none"].items()}
    return {
        name: {
            style: Look(own["distance"], own["distance"] / none[style], scored.unpacked(own["pictures"]))
            for style, own in found[name].items()
        }
        for name in chosen
    }


def parts(how: UnseenStyles) -> dict[str, str]:
    """Return every unseen style with "named", "random" or "apart" (an effect or a palette that was never learned)."""
    named = {style.name for style in styles.INSIDE + styles.OUTSIDE}
    return {
        style: part if part == "apart" else "named" if style in named else "random"
        for style, part in _study(how).tier.items()
    }


def own(how: UnseenStyles, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return (`KEPT`, s, s, 3) real pictures of some unseen styles, of the captions that arms draw first."""
    asked = _study(how).asked
    return {name: asked.album.pictures(name, "report", asked.painter.size, KEPT) for name in names}


@cache
def _study(how: UnseenStyles) -> Study:
    return Study(how)


def _score(study: Study, names: Sequence[str], seed: int) -> dict[str, dict[str, Any]]:
    """Draw with the adapters of every arm, all those of a style at a time, and look at the pictures."""
    known = arms(study.how) | WRITES
    made = {name: known[name](study, seed) for name in names}
    found: dict[str, dict[str, Any]] = {name: {} for name in made}
    for place, style in enumerate(study.unseen):
        vectors = torch.stack([own[place] for own in made.values()])
        drawn = study.asked.draw(style.name, vectors, "report", range(study.how.finetuning.report_rows))
        real = study.asked.real(style.name, "report")
        for name, pictures in zip(made, drawn, strict=True):
            distance = frechet.frechet_distance(real, features.features(pictures))
            found[name][style.name] = {"distance": distance, "pictures": scored.packed(pictures[:KEPT])}
    return found
