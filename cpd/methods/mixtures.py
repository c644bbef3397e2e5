"""Controls that mix training adapters by how near their conditions are: what regression makes of a zoo for nothing.

Both write a weighted sum of the zoo's adapters, the last checkpoint of every run; the weights depend on the condition.
What they have to choose, they choose by the error that they make on the adapters of a task that is left out.

Source: kernel ridge regression, its error on what is left out in closed form (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, equation 5.12); the controls are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cpd.methods.control import Control, FittedControl, Told
from cpd.methods.controls import last_checkpoints
from cpd.methods.method import require_unguided

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of ridge regression, in units of the kernel of a condition with itself
NEIGHBOURS = (1, 2, 3, 5, 8, 13, 21)
Weights = Callable[[Tensor], Tensor]  # of a (C,) condition, (n,) weights of the adapters


@dataclass(frozen=True)
class Mixture(Control):
    """A control that writes a weighted sum of training adapters.

    Attributes:
        choose: of (n, C) conditions and their (n, K) adapters, how the adapters are weighed for another condition.
    """

    choose: Callable[[Tensor, Tensor], Weights] = field(kw_only=True)

    def fit(self, zoo: AdapterZoo, settings: Told, seed: int, folder: Path, /) -> FittedMixture:
        """Keep the adapters of every task; errors as of `Control.fit`."""
        return self._mixing(super().fit(zoo, settings, seed, folder))

    def from_pretrained(self, folder: Path, /) -> FittedMixture:
        """Read a saved generator; errors as of every method."""
        return self._mixing(super().from_pretrained(folder))

    def _mixing(self, own: FittedControl) -> FittedMixture:
        return FittedMixture(self, own.layout, own.seed, own.known, own.kept, own.learned)


@dataclass(frozen=True)
class FittedMixture(FittedControl):
    """A generator that writes a weighted sum of training adapters."""

    def generate(
        self,
        condition: str | Tensor | None,
        n: int,
        seed: int,
        guidance: float = 1.0,
        steps: int = 50,
        task: str | None = None,
        sampler: str = "ddim",
    ) -> Tensor:
        """Write the mixture for a condition, n times; arguments and errors as of `FittedControl.generate`."""
        require_unguided(self.name, n, guidance)
        asked = self.condition(condition)
        if asked is None:
            raise ValueError("without a condition no task is nearest; fit a generator that has one")
        weights, adapters = self._chosen
        return (weights(asked).double() @ adapters).float().expand(n, -1).clone()

    @cached_property
    def _chosen(self) -> tuple[Weights, Tensor]:
        """How adapters are weighed, and the (n, K) adapters, in double precision."""
        assert isinstance(self.control, Mixture)
        conditions, adapters = pooled(self.conditions, self.kept)
        return self.control.choose(conditions, adapters), adapters.double()


def pooled(conditions: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the (n, C) mean condition and the (n, K) mean adapter of every task."""
    return tuple(torch.stack([of[task].mean(dim=0) for task in conditions]) for of in (conditions, kept))  # type: ignore[return-value]


def ridge(conditions: Tensor, adapters: Tensor) -> Weights:
    """Weigh by kernel ridge regression, Gaussian kernel as wide as conditions lie apart (median); weights sum to 1."""
    away = torch.cdist(conditions, conditions).double()
    width = away[~torch.eye(len(away), dtype=torch.bool)].median() if len(away) > 1 else torch.tensor(1.0)
    kernel = _gaussian(away, width)
    centred = adapters.double() - adapters.double().mean(dim=0)
    gram = centred @ centred.T

    def left_out(penalty: float) -> float:
        inverse = torch.linalg.inv(kernel + penalty * torch.eye(len(kernel)))
        scaled = inverse / inverse.diagonal()[:, None]  # row i: the residual of adapter i when it is left out
        return float((scaled @ gram @ scaled.T).diagonal().sum())

    penalized = kernel + min(PENALTIES, key=left_out) * torch.eye(len(kernel))

    def weights(asked: Tensor) -> Tensor:
        own = torch.linalg.solve(penalized, _gaussian(torch.cdist(asked[None], conditions).double()[0], width))
        return own + (1 - own.sum()) / len(own)

    return weights


def k_nearest(conditions: Tensor, adapters: Tensor) -> Weights:
    """Weigh the tasks with the nearest conditions alike, and no others."""
    away, n = torch.cdist(conditions, conditions), len(conditions)
    away.fill_diagonal_(float("inf"))

    def left_out(k: int) -> float:
        return float((adapters[away.topk(k, largest=False).indices].mean(dim=1) - adapters).square().sum())

    k = min((k for k in NEIGHBOURS if k < n), key=left_out, default=1)

    def weights(asked: Tensor) -> Tensor:
        nearest = torch.cdist(asked[None], conditions)[0].topk(k, largest=False).indices
        return torch.zeros(n).index_fill(0, nearest, 1 / k)

    return weights


def _gaussian(away: Tensor, width: Tensor) -> Tensor:
    return torch.exp(-away.square() / (2 * width.square().clamp(min=1e-12)))


MIXTURES = {
    mixture.name: mixture
    for mixture in (
        Mixture("ridge", last_checkpoints, choose=ridge),
        Mixture("k_nearest", last_checkpoints, choose=k_nearest),
    )
}
