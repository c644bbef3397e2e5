"""How far two sets of pictures are apart, in the space of some features.

Which features these are is ``features``' business.

Source: arXiv 1706.08500 (Frechet distance of features); arXiv 1801.01401 (kernel distance).
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Frechet distance between two sets of features, as if each were normally distributed.

    Args:
        a: (n, F) features, at least 2.
        b: (m, F) features, at least 2.

    Returns:
        Squared feature units; small sets look farther apart than they are, so compare equal n and m only.

    Raises:
        ValueError: if there are fewer than 2 of either.

    Source: arXiv 1706.08500, equation 6; the singular values are ours, exact and much faster than a matrix root.
    """
    _require_two(a, b)
    means = a.double().mean(dim=0), b.double().mean(dim=0)
    # (n, F) features and their triangular factor, of at most F rows, have the same covariance.
    x, y = (
        torch.linalg.qr(each.double() - mean, mode="r")[1] / (len(each) - 1) ** 0.5
        for each, mean in zip((a, b), means, strict=True)
    )
    shared = torch.linalg.svdvals(x @ y.T).sum()  # tr (C1 C2)^1/2 of C1 = x^T x and C2 = y^T y
    spread = x.square().sum() + y.square().sum()
    return float((means[0] - means[1]).square().sum() + spread - 2 * shared)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared kernel distance (cubic kernel) between two sets of features; unbiased in the numbers of rows.

    Args:
        a: (n, F) features, at least 2.
        b: (m, F) features, at least 2.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _require_two(a, b)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps the features it is given
        torch.manual_seed(0)
        metric = KernelInceptionDistance(_Given(a.shape[1]), subsets=10, subset_size=min(len(a), len(b)))
        metric.update(a, real=True)
        metric.update(b, real=False)
        return float(metric.compute()[0])


class _Given(nn.Module):
    """Stands where torchmetrics expects a feature network, and is given the features themselves."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, x: Tensor) -> Tensor:
        return x


def _require_two(a: Tensor, b: Tensor) -> None:
    if (least := min(len(a), len(b))) < 2:
        raise ValueError(f"a distance needs 2 pictures of either set, got {len(a)} and {len(b)}; {2 - least} missing")
