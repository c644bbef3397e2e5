"""The small model that draws emoji from their names: trained once, kept in the package, the base of all style adapters.

Latents are principal components of squares of plain and randomly styled drawings. A transformer learns the plain ones
first; then it goes on with plain and styled ones under the same captions, as a base model that has seen the world has
seen its styles. Held-out drawings are never seen, nor are the styles of the study.

Source: arXiv 2112.10752 (the two stages); sizes and times are ours.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cpd.domains.images import emoji, pixart, styles
from cpd.domains.images.settings import Drawing
from cpd.runtime import artifacts
from cpd.runtime.training import Plan, train

KEPT = Path(__file__).with_name("emoji_pixart")  # the trained model, part of the package
GUIDANCE = 2.0  # of the pictures that are drawn on the way
LOOKS, SHOWN = 8, 8  # times that pictures are drawn on the way, and how many
PARTS = ("transformer", "autoencoder")  # what is trained


def trained(how: Drawing, seed: int) -> Path:
    """Train the small model, or find the one that was: kept in the package, or made here before.

    Args:
        how: sizes of the training.
        seed: of the initialization and of everything random in the training.

    Returns:
        The folder of the model, for `pixart.from_pretrained`. In it ``losses.json`` holds the transformer's losses on
        ``plain`` drawings and with ``styled`` ones, each in 200 stretches, ``variances.json`` the shares of the
        principal components, and ``samples/STEP.png`` what the transformer drew on the way.
    """
    spec = asdict(how) | {"seed": seed}
    if artifacts.is_complete(KEPT) and artifacts.verify(KEPT) == spec:
        return KEPT
    folder = artifacts.address("drawing", spec)
    with artifacts.making(folder, spec) as partial:
        if partial:
            first = _trained_on_plain(how, seed)
            shutil.copytree(first / "samples", partial / "samples", dirs_exist_ok=True)
            model = pixart.from_pretrained(str(first))
            styled = fit_transformer(model, how, how.styled_steps, how.styled, seed, partial, how.steps)
            model.save_pretrained(partial)
            losses = {"plain": artifacts.read_json(first / "losses.json"), "styled": _thinned(styled)}
            artifacts.write_json(partial / "losses.json", losses)
            shutil.copyfile(first / "variances.json", partial / "variances.json")
    return folder


def _trained_on_plain(how: Drawing, seed: int) -> Path:
    spec: dict[str, Any] = asdict(how) | {"seed": seed}
    for later in ("styled_steps", "styled"):
        del spec[later]
    folder = artifacts.address("drawing", spec)
    with artifacts.making(folder, spec) as partial:
        if partial:
            model = pixart.small(seed)
            artifacts.write_json(partial / "variances.json", fit_autoencoder(model, how.variants, seed))
            losses = fit_transformer(model, how, how.steps, 0.0, seed, partial)
            model.save_pretrained(partial)
            artifacts.write_json(partial / "losses.json", _thinned(losses))
    return folder


def fit_autoencoder(model: pixart.PixArt, variants: int, seed: int) -> list[float]:
    """Find the principal components of all training pictures, then set the unit of the latents.

    Returns:
        Shares of the variance along all components, the largest first.
    """
    shares = model.autoencoder.fit(pixart.as_signal(training_pictures(variants, seed)))
    spread = float(model.latents(plain_pictures()).std())
    model.autoencoder.register_to_config(scaling_factor=1 / spread)
    return [float(share) for share in shares]


def fit_transformer(
    model: pixart.PixArt, how: Drawing, steps: int, styled: float, seed: int, folder: Path, before: int = 0
) -> list[float]:
    """Minimize the denoising error of the drawings' latents under their captions, drawing some on the way.

    Args:
        model: its transformer is trained in place.
        how: sizes of the training.
        steps: optimizer steps.
        styled: share of styled drawings; the others are plain.
        seed: of everything random.
        folder: keeps the training state, and the pictures in ``samples``.
        before: steps that were done earlier.

    Returns:
        The loss of each step, dimensionless.
    """
    captions = model.encode(training_captions())
    latents = model.latents(training_pictures(how.variants, seed).numpy()).unflatten(0, (-1, len(captions)))
    shown = captions[:: len(captions) // SHOWN][:SHOWN]
    (folder / "samples").mkdir(parents=True, exist_ok=True)

    def loss(module: nn.Module, _: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(captions), (how.batch,), generator=generator)
        look = torch.zeros_like(rows)
        if styled:
            chosen = torch.rand(how.batch, generator=generator) < styled
            look = chosen * torch.randint(1, len(latents), (how.batch,), generator=generator)
        z = latents[look, rows].to(next(module.parameters()).device)
        return model.loss(module, z, captions[rows], how.cond_drop, generator)

    def on_step(done: int) -> None:
        if done % max(1, steps // LOOKS) == 0:
            row = np.concatenate(list(model.draw(model.transformer, shown, seed, guidance=GUIDANCE)), axis=1)
            Image.fromarray(row).save(folder / "samples" / f"{before + done:06d}.png")

    plan = Plan(steps, how.learning_rate, warmup=steps // 20, ema=how.ema, precision="auto")
    losses = train(model.transformer, loss, plan, seed, folder / ".transformer", "transformer", on_step)
    return losses


def _thinned(losses: list[float]) -> list[float]:
    return [float(part.mean()) for part in np.array_split(np.array(losses), min(200, len(losses)))]


def training_captions() -> list[str]:
    """Return the captions of the drawings that are not held out."""
    return [each.caption for each in emoji.known()]


@cache
def plain_pictures() -> np.ndarray:
    """Return (n, s, s, 3) uint8: the plain drawings that are not held out, in the order of their captions."""
    return np.stack([styles.render(drawing.svg, styles.PLAIN, pixart.SIZE) for drawing in emoji.known()])


@cache
def training_pictures(variants: int, seed: int) -> Tensor:
    """Return (n, s, s, 3) uint8: the plain drawings, then copies of each in a style of its own."""
    rng = np.random.default_rng(seed)
    styled = [styles.render(d.svg, styles.random(rng), pixart.SIZE) for _ in range(variants) for d in emoji.known()]
    return torch.from_numpy(np.concatenate([plain_pictures(), np.stack(styled)]) if styled else plain_pictures())
