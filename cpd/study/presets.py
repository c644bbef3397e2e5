"""Sizes of the study, as data: smoke, laptop (default), full, paper, authors; and the same for styles of pictures.

Sources: the values of ``authors`` are those of the authors' text code (arXiv 2408.01415 and its repository); the others
are ours, measured on 2 CPU cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from cpd.domains.images.settings import Drawing
from cpd.domains.settings import Finetuning
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.settings import Evaluating

T = TypeVar("T")


@dataclass(frozen=True)
class Preset:
    """One size of the whole study."""

    name: str
    finetuning: Finetuning = field(default_factory=Finetuning)
    learning: Learning = field(default_factory=Learning)
    evaluating: Evaluating = field(default_factory=Evaluating)
    drawing: Drawing = field(default_factory=Drawing)


_SMOKE = Preset(
    "smoke",
    Finetuning(
        tasks=("movies", "editorials", "spam"), runs=2, keep=4, scale=0.04, curve=1, select_rows=16, report_rows=16,
        max_length=24, batch=8,
    ),
    Learning(latent=16, ae_steps=20, ae_batch=16, width=64, depth=2, steps=40, batch=32),
    Evaluating(generated=2, controls=2, wrong=1, sampler_steps=5),
    Drawing(variants=1, steps=2, styled_steps=2, batch=8),
)  # fmt: skip
_FULL = Preset(
    "full",
    Finetuning(
        suite="glue",
        rank=4,
        alpha=16,
        runs=4,
        held_out=2,
        keep=50,
        learning_rate=2e-3,
        curve=8,
        select_rows=500,
        report_rows=1000,
    ),
    Learning(ae_steps=700, steps=2500),
)
_PAPER = Preset(
    "paper",
    Finetuning(
        suite="glue",
        base="bert-base-uncased",
        targets="attention",
        rank=4,
        alpha=16,
        runs=8,
        held_out=2,
        keep=50,
        scale=4.0,
        learning_rate=2e-3,
    ),
    Learning(autoencoder="convolutional", latent=512, ae_steps=8000, steps=20000, width=1024),
    Evaluating(generated=50, controls=50, wrong=10),
)
_AUTHORS = Preset(
    "authors",
    Finetuning(
        suite="glue", base="bert-base-uncased", targets="attention", rank=1, runs=1, keep=200, scale=4.0,
        learning_rate=1e-4, weight_decay=0.1,
    ),
    Learning(
        normalization="per_task", autoencoder="convolutional", latent=468, ae_steps=40_000, ae_batch=256,
        ae_learning_rate=1e-3, steps=48_000, batch=256, learning_rate=1e-3, cond_drop=0.0, cond_noise=0.0, ema=0.0,
        prediction="epsilon", betas="linear",
    ),
    Evaluating(generated=10, sampler="ddpm", sampler_steps=1000),
)  # fmt: skip
_LAPTOP = Preset(
    "laptop",
    Finetuning(runs=2, curve=2, select_rows=100, report_rows=150),
    Learning(ae_steps=700, steps=1500, width=256),
    evaluating=Evaluating(generated=6, controls=3, wrong=1),
)
_STYLES = Finetuning(
    suite="emoji",
    base="emoji",
    targets="attention",
    rank=2,
    dropout=0.0,
    batch=16,
    learning_rate=5e-3,
    decay="cosine",
    curve=2,
)
_LEARNING = Learning(condition="images", ae_steps=700, steps=2500)
PRESETS: dict[str, Preset] = {each.name: each for each in (_SMOKE, _LAPTOP, _FULL, _PAPER, _AUTHORS)}
STYLES: dict[str, Preset] = {
    "smoke": Preset(
        "smoke",
        replace(
            _STYLES,
            suite="few_emoji",
            tasks=("night", "sunset", "neon"),
            runs=2,
            keep=2,
            scale=0.02,
            batch=4,
            select_rows=2,
            report_rows=8,
        ),
        replace(_SMOKE.learning, condition="images"),
        _SMOKE.evaluating,
        _SMOKE.drawing,
    ),
    "laptop": Preset(
        "laptop",
        replace(
            _STYLES,
            tasks=("night", "sunset", "candy", "neon", "blueprint", "cutout", "newspaper", "blocks"),
            runs=2,
            select_rows=16,
            report_rows=80,
            scale=0.4,
        ),
        replace(_LEARNING, steps=1000),
        Evaluating(generated=3, controls=1, wrong=1),
    ),
    "full": Preset(
        "full", replace(_STYLES, select_rows=64, report_rows=1000), _LEARNING, Evaluating(3, controls=1, wrong=1)
    ),
    "paper": Preset(
        "paper",
        replace(
            _STYLES,
            suite="folder",
            base="PixArt-alpha/PixArt-XL-2-512x512",
            rank=1,
            scale=10.0,
            learning_rate=1e-4,
            keep=64,
            report_rows=1000,
        ),
        replace(_PAPER.learning, condition="images"),
        _PAPER.evaluating,
    ),
}  # the same sizes, for pictures
PARTS = ("finetuning", "learning", "evaluating")  # whose numbers `preset` can change
AUTHORS_ALPHA = {1: 8, 2: 8, 4: 16, 16: 32}  # the authors' alpha of each rank


def chosen(name: str, among: Mapping[str, T]) -> T:
    """Return what a table has of a preset.

    Raises:
        ValueError: if it has none.
    """
    if name not in among:
        raise ValueError(f"no preset {name!r}; there are {', '.join(among)}")
    return among[name]


def preset(name: str, among: Mapping[str, Preset] = PRESETS, /, **changes: Any) -> Preset:
    """Return a preset, with some of its numbers changed.

    Args:
        name: one of them.
        among: :data:`PRESETS`, or :data:`STYLES` for pictures.
        **changes: fields of any of its three parts, as in ``rank=4, normalization="per_task"``.

    Raises:
        ValueError: if the name or a field is unknown, a field is in two parts, or a value is out of range.
    """
    chosen(name, among)
    for change in changes:
        if (
            len(owners := [part for part in PARTS if change in {f.name for f in fields(getattr(among[name], part))}])
            > 1
        ):
            raise ValueError(
                f"{change} is a setting of {' and of '.join(owners)}; change it in one of them with dataclasses.replace"
            )
    parts: dict[str, Any] = {}
    for part in PARTS:
        current = getattr(among[name], part)
        mine = {f.name: changes.pop(f.name) for f in fields(current) if f.name in changes}
        parts[part] = replace(current, **mine)
    if changes:
        known = sorted(f.name for part in (Finetuning, Learning, Evaluating) for f in fields(part))
        raise ValueError(f"no setting {next(iter(changes))!r}; there are {', '.join(known)}")
    return Preset(name, **parts, drawing=among[name].drawing)
