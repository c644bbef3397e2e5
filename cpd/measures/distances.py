"""Distances between adapters, and novelty beside its control.

Distances are in weight units. A LoRA's effect is B A, and (B M^-1, M A) has the same effect for every invertible M, so
distances between vectors and distances between deltas are different questions: both are here. Scores are not.

Source: novelty with the training rows as their own control follows arXiv 2506.07998; sliced Wasserstein is
arXiv 1804.01947.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpd.adapters.layout import AdapterLayout

COLUMNS = 2**14  # coordinates in memory at a time


def distances(a: Tensor | np.ndarray, b: Tensor | np.ndarray, layout: AdapterLayout | None = None) -> np.ndarray:
    """Measure how far every adapter of one set is from every one of another.

    Args:
        a: (n, K) vectors.
        b: (m, K) vectors.
        layout: measure between deltas, module by module, the head left out; None measures between the vectors.

    Returns:
        (n, m) Euclidean (for deltas: Frobenius) distances in weight units, float64.

    Source: ours; for deltas |D1 - D2|^2 = <D1,D1> + <D2,D2> - 2 <D1,D2> and `delta_products`.
    """
    if layout is not None:
        square = _own(layout, a)[:, None] + _own(layout, b)[None] - 2 * delta_products(layout, a, b)
        return np.sqrt(np.maximum(square, 0.0))
    square = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], COLUMNS):
        x, y = _columns(a, start, start + COLUMNS), _columns(b, start, start + COLUMNS)
        centre = y.mean(axis=0)
        x, y = x - centre, y - centre  # near vectors would lose their difference to rounding
        square += (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None] - 2 * x @ y.T
    return np.sqrt(np.maximum(square, 0.0))


def delta_products(layout: AdapterLayout, a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> np.ndarray:
    """Multiply deltas with each other without forming them.

    Args:
        layout: of the vectors.
        a: (n, K) vectors.
        b: (m, K) vectors.

    Returns:
        (n, m) sums over modules of <s B1 A1, s B2 A2>, float64: tr(B1 A1 A2^T B2^T) = sum((B1^T B2) * (A1 A2^T)).

    Source: ours; cost n m r^2 (d_in + d_out) per module.
    """
    total = np.zeros((len(a), len(b)))
    for module in layout.pairs:
        (a1, b1), (a2, b2) = _factors(layout, module, a), _factors(layout, module, b)
        inner = np.einsum("nri,msi->nmrs", a1, a2, optimize=True)
        outer = np.einsum("nor,mos->nmrs", b1, b2, optimize=True)
        total += layout.scaling(module) ** 2 * (inner * outer).sum(axis=(2, 3))
    return total


def cosines(a: Tensor | np.ndarray, b: Tensor | np.ndarray, layout: AdapterLayout) -> np.ndarray:
    """Measure the angle between deltas.

    Args:
        a: (n, K) vectors.
        b: (m, K) vectors.
        layout: of the vectors.

    Returns:
        (n, m) cosines in [-1, 1] of the deltas of all modules as one vector, float64; NaN where a delta is 0.

    Source: ours, by `delta_products`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return delta_products(layout, a, b) / np.sqrt(_own(layout, a)[:, None] * _own(layout, b)[None])


def spectra(layout: AdapterLayout, vectors: Tensor | np.ndarray) -> np.ndarray:
    """Return the singular values of every delta without forming it.

    Args:
        layout: of the vectors; all modules have one rank r.
        vectors: (n, K) adapters.

    Returns:
        (n, modules, r) singular values of alpha/r B A in weight units, the largest first.

    Source: ours; B A = Q_B (R_B R_A^T) Q_A^T has the singular values of the r x r matrix in the middle.
    """
    values = []
    for module in layout.pairs:
        a, b = _factors(layout, module, vectors)
        inner, outer = (np.asarray(np.linalg.qr(x, mode="r")) for x in (a.transpose(0, 2, 1), b))
        middle = outer @ inner.transpose(0, 2, 1)
        values.append(layout.scaling(module) * np.linalg.svd(middle, compute_uv=False))
    return np.stack(values, axis=1)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Say how much the mistakes of models have in common: intersection over union.

    Args:
        a: (n, rows) True where a model is wrong.
        b: (m, rows) likewise.

    Returns:
        (n, m) in [0, 1]; 1 where neither of two models is ever wrong.

    Source: arXiv 2506.07998, section 3 (the similarity of models by what they get wrong).
    """
    both = a.astype(np.float64) @ b.astype(np.float64).T
    either = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


@dataclass(frozen=True)
class Novelty:
    """Distances to the nearest training adapter, and the same number among training adapters.

    Attributes:
        generated: (n,) from each generated adapter to the nearest training adapter.
        nearest: (n,) row of that training adapter.
        leave_one_out: (N,) from each training adapter to the nearest other one.
        leave_run_out: (N,) to the nearest one of another run of the same task; infinite where there is none.
    """

    generated: np.ndarray
    nearest: np.ndarray
    leave_one_out: np.ndarray
    leave_run_out: np.ndarray


def novelty(
    generated: Tensor | np.ndarray,
    training: Tensor | np.ndarray,
    tasks: Sequence[str],
    runs: Sequence[str],
    layout: AdapterLayout | None = None,
) -> Novelty:
    """Say how new generated adapters are, with the training adapters as their own control.

    Args:
        generated: (n, K) vectors.
        training: (N, K) vectors.
        tasks: (N,) task of each training row.
        runs: (N,) run of each training row; names need to be unique within a task only.
        layout: measure between deltas; None measures between vectors.

    Returns:
        Distances in weight units; a copy of a training adapter has 0.

    Source: ours, after arXiv 2506.07998.
    """
    away = distances(generated, training, layout)
    among = distances(training, training, layout)
    same_task = np.array(tasks)[:, None] == np.array(tasks)[None]
    same_run = same_task & (np.array(runs)[:, None] == np.array(runs)[None])
    np.fill_diagonal(among, np.inf)
    other_runs = np.where(same_task & ~same_run, among, np.inf)
    return Novelty(away.min(axis=1), away.argmin(axis=1), among.min(axis=1), other_runs.min(axis=1))


def relative_error(original: Tensor, reconstructed: Tensor, center: Tensor) -> float:
    """Return the squared error as a share of the squared distance from ``center`` (K,): 0 is exact, 1 is no better."""
    error = (original - reconstructed).double().square().sum()
    return float(error / (original - center).double().square().sum())


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 128, seed: int = 0) -> float:
    """Compare two samples by their projections on random directions.

    Args:
        a: (n, D) samples.
        b: (m, D) samples.
        directions: random unit directions.
        seed: of the directions.

    Returns:
        Sliced 2-Wasserstein distance in the unit of the samples.

    Source: arXiv 1804.01947, equation 9.
    """
    unit = torch.randn(a.shape[1], directions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unit /= unit.norm(dim=0)
    levels = (torch.arange(512, dtype=torch.float64) + 0.5) / 512
    first = torch.quantile(a.double() @ unit, levels, dim=0)  # (512, directions)
    second = torch.quantile(b.double() @ unit, levels, dim=0)
    return float((first - second).square().mean().sqrt())


def _own(layout: AdapterLayout, vectors: Tensor | np.ndarray) -> np.ndarray:
    """Return the (n,) squared norms of the deltas."""
    return np.concatenate(
        [delta_products(layout, vectors[i : i + 1], vectors[i : i + 1])[0] for i in range(len(vectors))]
    )


def _factors(layout: AdapterLayout, module: str, vectors: Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return A (n, r, d_in) and B (n, d_out, r) of a module, float64."""
    shapes = dict(zip(layout.names, layout.shapes, strict=True))
    name_a, name_b = layout.pairs[module]
    span_a, span_b = layout.spans[name_a], layout.spans[name_b]
    first = _columns(vectors, span_a.start, span_a.stop).reshape(len(vectors), shapes[name_a][0], -1)
    second = _columns(vectors, span_b.start, span_b.stop).reshape(len(vectors), *shapes[name_b][:2])
    return first, second


def _columns(vectors: Tensor | np.ndarray, start: int, stop: int) -> np.ndarray:
    return np.asarray(vectors[:, start:stop], dtype=np.float64)
