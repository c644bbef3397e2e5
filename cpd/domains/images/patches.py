"""An autoencoder of pictures without training: squares of pixels and their principal components.

It stands where a pipeline of ``diffusers`` has its AutoencoderKL. Each square becomes one latent position, whose
channels are the coordinates along the leading principal components of all squares, brought half of the way to equal
variance: noise drowns a picture's finest detail first and its colours last, and the detail keeps some weight.

Source: ours. Principal components are Hotelling 1933; that a transformer can denoise plain squares of pixels is
arXiv 2511.13720.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional

EQUALIZED = 0.5  # share of the way, in powers of the standard deviation, to channels of equal variance


@dataclass(frozen=True)
class Encoded:
    """What diffusers' autoencoders return: a law of latents, here without spread."""

    latent_dist: DiagonalGaussianDistribution


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Linear autoencoder of squares of pixels; `fit` sets its weights.

    Args:
        latent_channels: principal components that are kept.
        block_out_channels: as many entries as resolutions; each but the last doubles the side of the square.
        scaling_factor: what latents are multiplied with to have variance 1.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 24,
        block_out_channels: tuple[int, ...] = (24, 24, 24),
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        side = 2 ** (len(block_out_channels) - 1)
        self.encoder = nn.Conv2d(3, latent_channels, side, stride=side)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, side, stride=side)

    @torch.no_grad()
    def fit(self, pictures: Tensor) -> Tensor:
        """Set the weights to the principal components of the squares of (n, 3, s, s) pictures.

        Returns:
            Shares of the variance along all components, the largest first.
        """
        side, kept = self.encoder.stride[0], self.encoder.out_channels
        mean = pictures.mean(dim=(0, 2, 3))
        squares = functional.unfold(pictures - mean[:, None, None], side, stride=side)  # (n, 3 side^2, squares)
        squares = squares.transpose(1, 2).flatten(0, 1).double()
        variances, components = torch.linalg.eigh(squares.T @ squares / len(squares))
        variances, components = variances.flip(0).clamp_min(1e-8), components.flip(1).T
        components *= components.gather(1, components.abs().argmax(dim=1, keepdim=True)).sign()
        unit = variances[:kept, None] ** (EQUALIZED / 2)
        into, back = components[:kept] / unit, components[:kept] * unit
        kernels = {"encoder": into.unflatten(1, (3, side, side)), "decoder": back.unflatten(1, (3, side, side))}
        biases = {"encoder": -kernels["encoder"].sum(dim=(2, 3)) @ mean.double(), "decoder": mean}
        weights = {f"{name}.weight": kernel for name, kernel in kernels.items()}
        self.load_state_dict(weights | {f"{name}.bias": bias for name, bias in biases.items()})
        return (variances / variances.sum()).float()

    def encode(self, x: Tensor) -> Encoded:
        """Return the (n, c, h, w) latents of (n, 3, s, s) pictures."""
        z = self.encoder(x)
        return Encoded(DiagonalGaussianDistribution(torch.cat([z, torch.full_like(z, -30.0)], dim=1), True))

    def decode(self, z: Tensor) -> DecoderOutput:
        """Return the (n, 3, s, s) pictures of (n, c, h, w) latents."""
        return DecoderOutput(sample=self.decoder(z))
