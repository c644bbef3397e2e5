"""Normalized vector <-> latent by principal components: the linear autoencoder that loses least, without training.

The components of N rows of any length follow from the N x N products of the rows, in two passes over the matrix: one
for the products, one to write the components. Nothing of the size of the matrix is in memory, except the components.

Noise is added to nothing here: its effect on the best linear map is known. A component with variance v, seen through
input noise of deviation a, and through latent noise of deviation b in units of the latent, comes back best when it is
shrunk by v / ((v + a^2) (1 + b^2)).

Symbols: x normalized vector (M,), z latent (D,), N rows. Source: the expected loss is equation 4 of arXiv 2408.01415;
components from products of rows are Sirovich's snapshots (Quart. Appl. Math. 45, 1987); the shrinkage is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cpd.methods.cond_pdiff.normalizer import NormalizedRows

LEFT_OUT = 1e-4  # most of the variance that may be left out, where fewer latents than are allowed do


class LinearAutoencoder(nn.Module):
    """Map (B, M) normalized vectors to (B, D) latents and back; `fit` finds it.

    Latents have one unit, in which their mean square is 1: a denoiser that saw every component at the same size would
    take as much care of the last one, which is next to nothing, as of the first.

    Args:
        size: M, coordinates per vector.
        latent: D, components.
    """

    components: Tensor
    center: Tensor
    unit: Tensor
    shrinkage: Tensor

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.size, self.latent = size, latent
        self.register_buffer("components", torch.zeros(latent, size))  # orthonormal
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("unit", torch.ones(()))  # of the latents, in units of the normalized vector
        self.register_buffer("shrinkage", torch.ones(latent))

    @classmethod
    def fit(
        cls, rows: NormalizedRows, latent: int, input_noise: float, latent_noise: float
    ) -> tuple[LinearAutoencoder, Tensor, list[float]]:
        """Find the principal components of rows.

        Args:
            rows: (N, M) what is learned.
            latent: most components D; there are never more than N - 1, nor more than leave `LEFT_OUT` of the variance.
            input_noise: standard deviation of the noise on the input, in units of the normalized vector.
            latent_noise: likewise on the latent, in units of each latent dimension's own standard deviation.

        Returns:
            The autoencoder; the (N, D) latents of the rows; and the loss with one component, with two, up
            to D: expected squared error under the noise, in squared standard deviations per coordinate.
        """
        count, size = rows.shape
        variances, directions = _principal(_products(rows) / count)
        total = variances.sum()
        enough = int((variances.cumsum(0) < (1 - LEFT_OUT) * total).sum()) + 1
        variances, directions = (each[..., : min(latent, count - 1, enough)] for each in (variances, directions))
        fitted = cls(size, len(variances))
        shrinkage = variances / ((variances + input_noise**2) * (1 + latent_noise**2))
        fitted.unit, fitted.shrinkage = variances.mean().sqrt().float(), shrinkage.float()
        weights = (directions / (count * variances).sqrt()).T  # (D, N)
        for span, block in rows.blocks():
            exact = block.double()  # (N, m)
            fitted.center[span] = exact.mean(dim=0)
            fitted.components[:, span] = weights @ exact
        losses = (total - (variances * shrinkage).cumsum(0)) / size
        return fitted, (directions * (count * variances).sqrt()).float() / fitted.unit, losses.tolist()

    def encode(self, x: Tensor) -> Tensor:
        """Return the (B, D) latents of (B, M) normalized vectors."""
        return (x - self.center) @ self.components.T / self.unit

    def decode(self, z: Tensor) -> Tensor:
        """Return the (B, M) normalized vectors of (B, D) latents."""
        return torch.addmm(self.center, z * self.unit * self.shrinkage, self.components)


def _products(rows: NormalizedRows) -> Tensor:
    """Return the (N, N) products of the rows with each other, accumulated in float64."""
    products = torch.zeros(rows.shape[0], rows.shape[0], dtype=torch.float64)
    for _, block in rows.blocks():
        exact = block.double()
        products.addmm_(exact, exact.T)
    return products


def _principal(products: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variances along the principal components, the largest first, and (N, N) their unit latents.

    The rows are centered here: their products are those of the rows minus the mean row.
    """
    products = products - products.mean(dim=0) - products.mean(dim=1, keepdim=True) + products.mean()
    variances, directions = torch.linalg.eigh(products)
    return variances.flip(0).clamp(min=0), directions.flip(1)
