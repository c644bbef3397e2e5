"""The small model that draws emoji from their names: trained once, kept in the package, the base of all style adapters.

Two stages: an autoencoder on plain and randomly styled drawings, so that its latents hold any style; a transformer on
the latents of the plain ones. Held-out drawings are seen by neither.

Source: arXiv 2112.10752 (the two stages); sizes and times are ours.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cpd import artifacts
from cpd.settings import Drawing
from cpd.tasks import emoji, pixart, styles
from cpd.training import Plan, train

KEPT = Path(__file__).with_name("emoji_pixart")  # the trained model, part of the package
GUIDANCE = 2.0  # of pictures that are shown
LOOKS, SHOWN = 8, 8  # times that pictures are drawn on the way, and how many
PARTS = ("transformer", "autoencoder")  # what is trained
KL_WEIGHT = 1e-4  # keeps the latents near the origin and smooth; the decoder stays sharp


def trained(how: Drawing, seed: int) -> Path:
    """Train the small model, or find the one that was: kept in the package, or made here before.

    Args:
        how: sizes of the training.
        seed: of the initialization and of everything random in the training.

    Returns:
        The folder of the model, for `pixart.from_pretrained`. In it ``losses.json`` holds the losses in 200 stretches,
        and ``samples/STEP.png`` what the transformer drew on the way.
    """
    spec = asdict(how) | {"seed": seed}
    if artifacts.is_complete(KEPT) and artifacts.verify(KEPT) == spec:
        return KEPT
    folder = artifacts.address("drawing", spec)
    if not artifacts.is_complete(folder):
        with artifacts.building(folder, spec) as partial:
            model = pixart.small(seed)
            losses = {
                "autoencoder": fit_autoencoder(model, how, seed, partial / ".autoencoder"),
                "transformer": fit_transformer(model, how, seed, partial / ".transformer", partial / "samples"),
            }
            model.save_pretrained(partial)
            artifacts.write_json(partial / "losses.json", {name: _thinned(x) for name, x in losses.items()})
    return folder


def fit_autoencoder(model: pixart.PixArt, how: Drawing, seed: int, state: Path) -> list[float]:
    """Minimize the absolute error of reconstructed pictures, then set the unit of the latents.

    Returns:
        The loss of each step, in half ranges of a colour channel.
    """
    drawn = training_pictures(how.variants, seed)

    def loss(module: Any, _: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(drawn), (how.ae_batch,), generator=generator)
        x = pixart.as_signal(drawn[rows]).to(next(module.parameters()).device)
        law = module.encode(x).latent_dist
        error = (module.decode(law.sample(generator)).sample - x).abs().mean()
        return error + KL_WEIGHT * law.kl().mean() / x[0].numel()

    plan = Plan(how.ae_steps, how.ae_learning_rate, warmup=how.ae_steps // 20, precision="auto")
    losses = train(model.autoencoder, loss, plan, seed, state, "autoencoder of pictures")
    model.autoencoder.cpu()
    spread = float(model.latents(plain_pictures()).std())
    model.autoencoder.register_to_config(scaling_factor=1 / spread)
    return losses


def fit_transformer(model: pixart.PixArt, how: Drawing, seed: int, state: Path, samples: Path) -> list[float]:
    """Minimize the denoising error of the plain drawings' latents under their captions, drawing some on the way.

    Returns:
        The loss of each step, dimensionless.
    """
    latents, captions = model.latents(plain_pictures()), model.encode(training_captions())
    shown = captions[:: len(captions) // SHOWN][:SHOWN]
    samples.mkdir(parents=True, exist_ok=True)

    def loss(module: nn.Module, _: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (how.batch,), generator=generator)
        device = next(module.parameters()).device
        return model.loss(module, latents[rows].to(device), captions[rows], how.cond_drop, generator)

    def on_step(done: int) -> None:
        if done % max(1, how.steps // LOOKS) == 0:
            row = np.concatenate(list(model.draw(model.transformer, shown, seed, guidance=GUIDANCE)), axis=1)
            Image.fromarray(row).save(samples / f"{done:06d}.png")

    plan = Plan(how.steps, how.learning_rate, warmup=how.steps // 20, ema=how.ema, precision="auto")
    losses = train(model.transformer, loss, plan, seed, state, "transformer", on_step)
    model.transformer.cpu()
    return losses


def _thinned(losses: list[float]) -> list[float]:
    return [float(part.mean()) for part in np.array_split(np.array(losses), min(200, len(losses)))]


def training_captions() -> list[str]:
    """Return the captions of the drawings that are not held out."""
    return [each.caption for each in emoji.known()]


def plain_pictures() -> np.ndarray:
    """Return (n, s, s, 3) uint8: the plain drawings that are not held out, in the order of their captions."""
    return np.stack([styles.render(drawing.svg, styles.PLAIN, pixart.SIZE) for drawing in emoji.known()])


def training_pictures(variants: int, seed: int) -> Tensor:
    """Return (n, s, s, 3) uint8: the plain drawings, then copies of each in a style of its own."""
    rng = np.random.default_rng(seed)
    styled = [styles.render(d.svg, styles.random(rng), pixart.SIZE) for _ in range(variants) for d in emoji.known()]
    return torch.from_numpy(np.concatenate([plain_pictures(), np.stack(styled)]) if styled else plain_pictures())
