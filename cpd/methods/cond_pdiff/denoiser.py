"""The conditional denoiser of latents: a residual perceptron, modulated by timestep and condition.

Noise levels, loss and samplers are ``diffusion``'s. Latents are plain vectors here.

Symbols: z latent (D,), t timestep 0..T-1, c condition (C,).
Source: arXiv 2408.01415, section 3.3; arXiv 1709.07871 (FiLM); arXiv 2212.09748 (zero initialization).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FREQUENCIES = 64  # of the timestep embedding
CONTEXT = 4  # the context of timestep and condition is so many times narrower than the hidden layers


class Denoiser(nn.Module):
    """Predict noise or velocity from a noisy latent, its timestep and its condition.

    A residual multilayer perceptron; every block is scaled, shifted and gated by timestep and condition (adaptive
    normalization), and begins as the identity.

    Args:
        latent: D, dimensions of the latent.
        condition: C, dimensions of the condition; 0 means there is none.
        width: of the hidden layers.
        depth: residual blocks.

    Source: FiLM (arXiv 1709.07871) with the zero initialization of DiT (arXiv 2212.09748); the layers are ours.
    """

    condition_mean: Tensor
    condition_scale: Tensor

    def __init__(self, latent: int, condition: int, width: int, depth: int) -> None:
        super().__init__()
        self.latent, self.condition = latent, condition
        context = width // CONTEXT
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, context))
        self.told = nn.Linear(condition, context) if condition else None
        self.null = nn.Parameter(torch.zeros(context))
        self.register_buffer("condition_mean", torch.zeros(condition))
        self.register_buffer("condition_scale", torch.ones(()))
        self.enter = nn.Linear(latent, width)
        self.blocks = nn.ModuleList(_Block(width, context) for _ in range(depth))
        self.leave = nn.Linear(width, latent)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def center(self, conditions: Tensor) -> None:
        """Take over the (M, C) training conditions' mean and one common scale; sentence embeddings are much alike."""
        self.condition_mean = conditions.mean(dim=0)
        scale = (conditions - self.condition_mean).square().mean().sqrt()
        self.condition_scale = torch.where(scale > 1e-6, scale, 1.0)

    def forward(self, z: Tensor, t: Tensor, condition: Tensor | None = None, dropped: Tensor | None = None) -> Tensor:
        """Return the prediction for noisy latents.

        Args:
            z: (B, D) noisy latents.
            t: (B,) timestep of each sample.
            condition: (B, C) condition of each sample; None is the null condition for all.
            dropped: (B,) true where the null condition replaces the given one.

        Returns:
            (B, D) predicted noise or velocity, whichever it was trained for.
        """
        told = self.null.expand(len(z), -1)
        if condition is not None and self.told is not None:
            given = self.told((condition - self.condition_mean) / self.condition_scale)  # (B, context)
            told = given if dropped is None else torch.where(dropped[:, None], told, given)
        context = functional.silu(self.time(timestep_embedding(t)) + told)  # (B, context)
        hidden = self.enter(z)
        for block in self.blocks:
            hidden = block(hidden, context)
        return self.leave(hidden)


class _Block(nn.Module):
    """h <- h + gate * MLP(scale * norm(h) + shift), with scale, shift and gate from the context."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(context, 3 * width)
        self.inner, self.outer = (nn.Linear(width, 2 * width), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        scale, shift, gate = self.modulate(context).chunk(3, dim=1)
        inside = self.norm(hidden) * (1 + scale) + shift
        return hidden + gate * self.outer(functional.silu(self.inner(inside)))


def timestep_embedding(t: Tensor) -> Tensor:
    """Return (B, 2 F) sines and cosines of (B,) timesteps. Source: arXiv 1706.03762, section 3.5."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(FREQUENCIES, device=t.device) / FREQUENCIES)
    angles = t[:, None].float() * rates  # (B, F)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
