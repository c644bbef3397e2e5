"""Styles that nothing was trained on: which they are, what is shown of them, and what is learned from other styles.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from cpd.conditions import nearest_task
from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.images import albums, styles, telling
from cpd.domains.images.albums import EmojiAlbum
from cpd.domains.images.domain import ImageDomain
from cpd.domains.settings import Finetuning
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork import fitting as teaching
from cpd.methods.hypernetwork import presets
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator
from cpd.runtime import artifacts, devices, tensor_files
from cpd.study import pipeline
from cpd.study.unseen import through_loss
from cpd.study.unseen.caption_tokens import CaptionTokens
from cpd.study.unseen.through_loss import Sampler
from cpd.zoo.zoo import AdapterZoo

SHOWN = 8  # pictures that a style is told by
KEPT = 6  # drawings of each arm that are kept to be looked at
DRAWS = 2  # conditions of each style of a bank
PARTS = ("test", "apart")  # whose styles are asked for
NAMED = len(styles.INSIDE + styles.OUTSIDE)  # the first of "test"


@dataclass(frozen=True)
class UnseenStyles:
    """Sizes of the study of unseen styles.

    Attributes:
        finetuning: base model, LoRA and numbers of pictures.
        writing: how hypernetworks learn.
        learning: how COND P-DIFF learns a bank.
        learned: training styles of hypernetworks.
        bank: training styles that adapters are fine-tuned on, for the methods that need such.
        asked: unseen styles of each of `PARTS`, the first ones.
    """

    finetuning: Finetuning = field(
        default_factory=lambda: Finetuning(
            suite="many_styles", base="emoji", targets="attention", rank=2, dropout=0.0, batch=16, learning_rate=5e-3,
            decay="cosine", keep=4, curve=1, select_rows=4, report_rows=64,
        )
    )  # fmt: skip
    writing: Writing = presets.PICTURES["full"]
    learning: Learning = field(default_factory=lambda: Learning(condition="images"))
    learned: int = 256
    bank: int = 120
    asked: tuple[int, ...] = (32, 4)


PRESETS = {
    "smoke": UnseenStyles(
        finetuning=replace(UnseenStyles().finetuning, scale=0.02, batch=4, select_rows=2, report_rows=8),
        writing=Writing(writes="all", width=32, depth=1, steps=4, tasks=3, rows=2),
        learning=Learning(condition="images", latent=4, width=32, depth=1, steps=10, batch=4),
        learned=6, bank=4, asked=(2, 1),
    ),
    "laptop": UnseenStyles(
        finetuning=replace(UnseenStyles().finetuning, scale=0.2, report_rows=16),
        writing=replace(presets.PICTURES["laptop"], steps=100),
        learning=Learning(condition="images", steps=500, width=256),
        learned=48, bank=10, asked=(4, 2),
    ),
    "full": UnseenStyles(),
}  # fmt: skip
SEEDS = {"smoke": 1, "laptop": 1, "full": 3}  # how often everything is learned anew
LEARNED = {"smoke": (3, 6), "laptop": (12, 48), "full": (16, 64, 256)}  # styles of hypernetworks in the curve
STEPS = {"smoke": (1, 2), "laptop": (25, 50), "full": (250, 1000)}  # of hypernetworks in the curve
BANKS = {"smoke": (2,), "laptop": (5,), "full": (10, 40)}  # fine-tuned adapters in the curve, beside `bank`


class Study:
    """Training styles, unseen styles, and what is learned from the one and drawn of the other.

    Args:
        how: sizes.
    """

    def __init__(self, how: UnseenStyles) -> None:
        self.how = how
        tables = [albums.many(part, most).table if most else () for part, most in zip(PARTS, how.asked, strict=True)]
        self.unseen = [style for table in tables for style in table]
        self._networks: dict[tuple[str, int], FittedHypernetwork] = {}
        self.tier = {style.name: part for part, table in zip(PARTS, tables, strict=True) for style in table}

    @cached_property
    def learned(self) -> ImageDomain:
        """The training styles."""
        return self._domain(albums.many("training", self.how.learned))

    @cached_property
    def asked(self) -> ImageDomain:
        """The unseen styles."""
        return self._domain(EmojiAlbum(tuple(self.unseen), albums.DRAWINGS))

    @cached_property
    def asked_in_tokens(self) -> CaptionTokens:
        """The unseen styles, for adapters that say in tokens of captions what a style is."""
        return CaptionTokens(self.asked.spec, self.asked.album)

    def _domain(self, album: EmojiAlbum) -> ImageDomain:
        return ImageDomain(replace(self.how.finetuning, tasks=tuple(album.names)), album)

    def network(self, writes: str, seed: int) -> FittedHypernetwork:
        """Train a hypernetwork on the training styles, or find the one that was."""
        if (writes, seed) not in self._networks:
            self._networks[writes, seed] = pipeline.taught(self.learned, replace(self.how.writing, writes=writes), seed)
        return self._networks[writes, seed]

    def reader(self, seed: int) -> FittedHypernetwork:
        """Train one LoRA for all training styles, and what writes tokens for it, or find those that were."""
        learned = CaptionTokens(self.learned.spec, self.learned.album)
        return pipeline.taught(learned, replace(self.how.writing, writes="head"), seed)

    @cached_property
    def bank(self) -> AdapterZoo:
        """Adapters of the first training styles, one for each."""
        album = albums.many("training", self.how.bank)
        spec = replace(self.how.finetuning, tasks=tuple(album.names), runs=1, held_out=0)
        return pipeline.zoo(_prepared(ImageDomain(spec, album, DRAWS)), "images", 0)

    def generator(self, method: str, seed: int) -> Generator:
        """Fit a method to that bank, or find the generator that was."""
        return pipeline.generator(self.bank, self.how.learning, seed, method)

    @cached_property
    def known(self) -> dict[str, Tensor]:
        """Training style -> (1, F) mean features of its training pictures."""
        self.learned.prepare()
        return {name: self.learned.real(name, "train").mean(dim=0, keepdim=True) for name in self.learned.names}

    def away(self, seed: int) -> list[float]:
        """Return for every unseen style how far what is shown of it lies from the most similar training style."""
        distances: list[float] = torch.cdist(self.shown(seed), torch.cat([*self.known.values()])).amin(dim=1).tolist()
        return distances

    def taken(self, seed: int) -> Tensor:
        """Look every unseen style up among all that hypernetworks learn from, and fine-tune on those that are found.

        Returns:
            (styles, K) last checkpoints, of the styles whose training pictures are most like those shown.
        """
        found = [nearest_task(seen, self.known) for seen in self.shown(seed)]
        names = list(dict.fromkeys(found))
        made = last_checkpoints(finetune_all(self.learned, [(name, 0) for name in names]))
        return made[[names.index(name) for name in found]]

    def taught(self, seed: int) -> Sampler:
        """Let COND P-DIFF go on through the loss on the training styles, or find what went on."""
        fitted = self.generator("cond_pdiff", seed)
        assert isinstance(fitted, CondPDiff)
        spec = {
            "through_loss": teaching.identity(self.learned),
            "study": asdict(replace(self.how, asked=())),
            "where": [devices.device().type, devices.precision()],
            "seed": seed,
        }
        folder = artifacts.address("generators", spec)
        with artifacts.making(folder, spec) as partial:
            if partial:
                sampler = through_loss.fit(fitted, self.learned, self.how.writing, SHOWN, seed, partial)
                tensor_files.write_tensors(partial / "sampler.safetensors", sampler.cpu().state_dict())
        sampler = Sampler(fitted)
        sampler.load_state_dict(tensor_files.read_tensors(folder / "sampler.safetensors"))
        return sampler

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

    def gone_on(self, starts: Tensor, steps: int, seed: int) -> Tensor:
        """Fine-tune on every unseen style as `tuned` does, but for so many steps, and from (styles, K) adapters."""
        names = [style.name for style in self.unseen]
        spec = self.asked.spec
        shorter = replace(spec, scale=spec.scale * steps / self.asked.steps(""))
        begun = ImageDomain(shorter, self.asked.album).starting_from(dict(zip(names, starts, strict=True)))
        return last_checkpoints(finetune_all(_prepared(begun), [(name, seed) for name in names]))


def _prepared(domain: ImageDomain) -> ImageDomain:
    """Draw the pictures of all styles on every core, where those are not busy with a style each anyway."""
    if domain.device.type != "cpu":
        domain.prepare()
    return domain


@cache
def study(how: UnseenStyles) -> Study:
    """Return the one study of these sizes in this process."""
    return Study(how)


def parts(how: UnseenStyles) -> dict[str, str]:
    """Return every unseen style with "named", "random" or "apart" (an effect or a palette that was never learned)."""
    return {
        style: part if part == "apart" else "named" if place < NAMED else "random"
        for place, (style, part) in enumerate(study(how).tier.items())
    }


def away(how: UnseenStyles, seed: int) -> dict[str, float]:
    """Return how far what is shown of every unseen style lies from the most similar training style, in features."""
    return dict(zip(study(how).tier, study(how).away(seed), strict=True))


def own(how: UnseenStyles, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return (`KEPT`, s, s, 3) real pictures of some unseen styles, of the captions that arms draw first."""
    asked = study(how).asked
    return {name: asked.album.pictures(name, "report", asked.painter.size, KEPT) for name in names}
