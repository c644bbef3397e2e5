"""AdamW for many vectors at once, each a training of its own, with its own rate, steps and clipped gradient.

What torch's AdamW does to one parameter is done here to every row of a matrix, in a handful of operations however many
rows there are: an optimizer for each would spend the time of a GPU on starting them.

Source: arXiv 1711.05101, algorithm 2; constants are torch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass
class Rows:
    """Vectors that are trained side by side, and AdamW's moments of each.

    Attributes:
        weights: (G, T).
        first: (G, T) running mean of each gradient.
        second: (G, T) running mean of its square.
    """

    weights: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def stacked(cls, rows: Sequence[tuple[Tensor, ...]], device: torch.device) -> Rows:
        """Put the (T,) weights and moments of trainings into a matrix each, on a device."""
        return cls(*(torch.stack(part).to(device) for part in zip(*rows, strict=True)))

    def step(
        self,
        chosen: Tensor,
        gradients: Tensor,
        rates: Sequence[float],
        done: Sequence[int],
        weight_decay: float,
        clip: float,
    ) -> None:
        """Take one step with some of the rows.

        Args:
            chosen: (g,) which, on the device.
            gradients: (g, T) of these; clipped in place.
            rates: g learning rates.
            done: g numbers of steps that each has taken before.
            weight_decay: per step and learning rate.
            clip: largest norm of a gradient.
        """
        rate, step = torch.tensor([list(rates), [1.0 + n for n in done]], dtype=torch.float64)
        scale = torch.stack([1 - rate * weight_decay, rate / (1 - BETAS[0] ** step), (1 - BETAS[1] ** step).sqrt()])
        keep, size, root = scale.float().to(gradients.device)[..., None]  # (g, 1) each
        gradients *= (clip / (gradients.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1)
        first = self.first[chosen].lerp(gradients, 1 - BETAS[0])
        second = self.second[chosen] * BETAS[1] + (1 - BETAS[1]) * gradients.square()
        moved = self.weights[chosen] * keep - size * first / (second.sqrt() / root + EPSILON)
        for whole, part in ((self.weights, moved), (self.first, first), (self.second, second)):
            whole[chosen] = part
