"""Parameter vector <-> latent: a 1-D convolutional autoencoder that sees the scale of its input.

The vector is cut into patches first, because convolutions at full length are slow; two stages that shorten the map four
times follow, and one linear layer to the latent. The decoder mirrors that. It starts with a linear map to as many
features as the vector has coordinates and no nonlinearity, so that it can write any vector; half as many features
already lose a third of it. That map bounds the length of the vector: beyond its budget the autoencoder is refused.
Every kernel is as long as its stride, so a convolution is one matrix product per patch and is written as that: twice
as fast on a CPU. There is no normalization layer: the latent must tell a vector from twice that vector.

Symbols: x vector (K,), z latent (D,), C channels, L length of a feature map. Source: arXiv 2408.01415, section 3.2
(noise on input and latent); the layers are ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

PATCH = 16  # coordinates per patch
STRIDE = 4  # of every stage after the patches
CHANNELS = 64  # of every feature map
SEGMENT = 2**13  # coordinates whose feature maps are in memory at a time
LINEAR_BUDGET = 2**28  # most weights of the decoder's linear layer: 1 GiB in float32


class ConvolutionalAutoencoder(nn.Module):
    """Map (B, K) vectors to (B, D) latents and back.

    Args:
        size: K, coordinates per vector; any number, padded inside.
        latent: D, dimensions of the latent.
        input_noise: standard deviation added to the input in training, in units of the normalized vector.
        latent_noise: standard deviation added to the latent in training, in units of each latent dimension's own
            standard deviation over the batch, so that growing the latent cannot drown the noise.

    Raises:
        ValueError: if the decoder's linear layer would be larger than its budget.

    Source: arXiv 2408.01415, section 3.2; layers and the unit of the latent noise are ours.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, size: int, latent: int, input_noise: float = 0.001, latent_noise: float = 0.1) -> None:
        super().__init__()
        self.size, self.latent, self.input_noise, self.latent_noise = size, latent, input_noise, latent_noise
        if size * latent > LINEAR_BUDGET:
            raise ValueError(
                f"a convolutional autoencoder of {size:,} parameters with {latent} latents needs {size * latent:,} "
                f'weights in one layer, at most {LINEAR_BUDGET:,} are allowed; choose autoencoder="linear"'
            )
        unit = PATCH * STRIDE**2  # coordinates behind one position of the encoder's last map
        self.padded = -(-size // unit) * unit
        self.segment = max(1, SEGMENT // unit) * unit
        shorten = (nn.Linear(STRIDE * CHANNELS, CHANNELS) for _ in range(2))
        self.down = nn.ModuleList([nn.Linear(PATCH, CHANNELS), *shorten])
        self.up = nn.ModuleList([nn.Linear(CHANNELS, STRIDE * CHANNELS), nn.Linear(CHANNELS, PATCH)])
        self.to_latent = nn.Linear(self.padded // unit * CHANNELS, latent)
        self.from_latent = nn.Linear(latent, self.padded // unit * STRIDE * CHANNELS)
        self.register_buffer("latent_mean", torch.zeros(latent))
        self.register_buffer("latent_std", torch.ones(latent))
        self._keep_decoder_nearly_linear()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Reconstruct vectors; in training, with noise on the input and on the latent.

        Args:
            x: (B, K) normalized vectors.
            generator: of the noise; needed in training, unused in evaluation.

        Returns:
            (B, K) reconstructed vectors.
        """
        if not self.training:
            return self.decode(self.encode(x))
        z = self._compress(x + self.input_noise * _noise_like(x, generator))
        spread = z.detach().float().std(dim=0, correction=0)
        return self._expand(z + self.latent_noise * spread * _noise_like(z, generator))

    def encode(self, x: Tensor) -> Tensor:
        """Return the (B, D) standardized latents of (B, K) normalized vectors, without noise."""
        return (self._compress(x) - self.latent_mean) / self.latent_std

    def decode(self, z: Tensor) -> Tensor:
        """Return the (B, K) normalized vectors of (B, D) standardized latents."""
        return self._expand(z * self.latent_std + self.latent_mean)

    def standardize(self, latents: Tensor) -> Tensor:
        """Take over the mean and the standard deviation of these latents as the new unit.

        Args:
            latents: (N, D) latents of the training rows, as `encode` gives them now.

        Returns:
            (N, D) the same latents in the new unit; a dimension that never moves becomes 0.
        """
        mean, std = latents.mean(dim=0), latents.std(dim=0, correction=0)
        std = torch.where(std > 0, std, 1.0)
        self.latent_mean += mean * self.latent_std
        self.latent_std *= std
        return (latents - mean) / std

    def _compress(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, self.padded - self.size))  # (B, padded)
        return self.to_latent(self._by_segment(self._shorten, x, self.segment))  # (B, D)

    def _expand(self, z: Tensor) -> Tensor:
        features = self.from_latent(z)  # (B, L * C)
        segment = self.segment * features.shape[1] // self.padded
        return self._by_segment(self._lengthen, features, segment)[:, : self.size]  # (B, K)

    def _shorten(self, x: Tensor) -> Tensor:
        hidden = self.down[0](x.unflatten(1, (-1, PATCH)))  # (B, L, C)
        for stage in self.down[1:]:
            hidden = stage(functional.silu(hidden).flatten(1).unflatten(1, (-1, STRIDE * CHANNELS)))  # (B, L / 4, C)
        return functional.silu(hidden).flatten(1)

    def _lengthen(self, features: Tensor) -> Tensor:
        hidden = features.unflatten(1, (-1, CHANNELS))  # (B, L, C)
        hidden = functional.silu(self.up[0](hidden).flatten(1).unflatten(1, (-1, CHANNELS)))  # (B, 4 L, C)
        return self.up[1](hidden).flatten(1)

    def _by_segment(self, layers: Callable[[Tensor], Tensor], x: Tensor, segment: int) -> Tensor:
        """Apply layers to stretches of x; the backward pass computes their feature maps again, to save memory."""
        if x.shape[1] <= segment or not torch.is_grad_enabled():
            return torch.cat([layers(part) for part in x.split(segment, dim=1)], dim=1)
        parts = [
            checkpoint(layers, part, use_reentrant=False, preserve_rng_state=False) for part in x.split(segment, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def _keep_decoder_nearly_linear(self) -> None:
        """Start with small inputs to the nonlinearities and a large last layer: 300 steps then fit 2.5 times better."""
        nn.init.uniform_(self.up[0].get_parameter("weight"), -1 / 16, 1 / 16)
        nn.init.uniform_(self.up[1].get_parameter("weight"), -1 / 2, 1 / 2)


def _noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal noise on the CPU, the same on every device."""
    return torch.randn(x.shape, generator=generator).to(x)
