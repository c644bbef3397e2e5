"""Many adapters in one forward pass: a batch in groups, each of which goes through the base model with its own adapter.

The base model is frozen and shared. In every adapted linear layer the low-rank products of all groups are two batched
matrix products; a layer that is saved whole (a head) is one. The result is differentiable in the vectors, and of each
group it is what PEFT computes with that group's adapter alone.

Symbols: G groups, b rows in each, K parameters, r rank. Source: arXiv 2106.09685 (LoRA), equation 3; batches of
different adapters as in arXiv 2311.03285; dropout with one mask for all tokens of a row is arXiv 1512.05287.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cpd.adapters.layout import AdapterLayout
from cpd.adapters.names import module_of


@dataclass(frozen=True)
class _Carried:
    """The adapters of one forward pass: tensor name -> (G, ...), and of each adapted layer the mask of its input."""

    tensors: dict[str, Tensor]
    rows: int
    masks: dict[str, Tensor]


class Grouped:
    """A frozen model, and the layers at which adapters enter it.

    Args:
        model: base model; its weights are frozen in place, and it is put into evaluation mode.
        layout: of the vectors.
        dropout: of the input of LoRA's A, a probability; used where random numbers are given.

    Raises:
        ValueError: if an adapted or saved layer is not linear.
    """

    def __init__(self, model: nn.Module, layout: AdapterLayout, dropout: float = 0.0) -> None:
        self.model, self.layout, self.dropout = model.requires_grad_(False).eval(), layout, dropout
        self._carried: _Carried | None = None
        self._shapes = dict(zip(layout.names, layout.shapes, strict=True))
        for name, (a, b) in layout.pairs.items():
            self._linear(name).register_forward_hook(partial(self._add, name, a, b, layout.scaling(name)))
        for name, tensors in self._saved().items():
            self._linear(name).register_forward_hook(partial(self._replace, tensors))

    @contextmanager
    def carrying(
        self, vectors: Tensor, rows: int, generators: Sequence[torch.Generator] | None = None
    ) -> Iterator[nn.Module]:
        """Yield the model with one adapter for each group of its batch, group after group.

        Args:
            vectors: (G, K) adapters, on the model's device.
            rows: b, in each group; the model is called with G b rows.
            generators: G, of the masks of dropout, on the model's device; None is no dropout.

        Raises:
            ValueError: if the vectors are not (G, K).
        """
        if vectors.dim() != 2 or vectors.shape[1] != self.layout.size:
            raise ValueError(
                f"the vectors have shape {tuple(vectors.shape)}, this layout needs (G, {self.layout.size})"
            )
        tensors = {name: vectors[:, span].unflatten(1, self._shapes[name]) for name, span in self.layout.spans.items()}
        self._carried = _Carried(tensors, rows, self._masks(rows, generators))
        try:
            yield self.model
        finally:
            self._carried = None

    def _masks(self, rows: int, generators: Sequence[torch.Generator] | None) -> dict[str, Tensor]:
        if generators is None or not self.dropout:
            return {}
        widths = [self._shapes[a][1] for a, _ in self.layout.pairs.values()]
        kept = torch.stack(
            [
                torch.empty(rows, sum(widths), device=each.device).bernoulli_(1 - self.dropout, generator=each)
                for each in generators
            ]
        )  # (G, b, widths)
        return dict(zip(self.layout.pairs, (kept / (1 - self.dropout)).split(widths, dim=2), strict=True))

    def _add(self, name: str, a: str, b: str, scaling: float, _: nn.Module, given: Any, output: Tensor) -> Tensor:
        if self._carried is None:
            return output
        (x,), now = given, self._carried
        x, shared = self._by_group(x)  # (G, b, ..., d_in)
        if name in now.masks:
            mask = now.masks[name][:, : x.shape[1]]
            x = x * mask.view(*mask.shape[:2], *(1,) * (x.dim() - 3), mask.shape[2])
        down = torch.bmm(x.flatten(1, -2), now.tensors[a].mT.to(x.dtype))  # (G, b ..., r)
        up = torch.bmm(down, now.tensors[b].mT.to(x.dtype)) * scaling
        return output + self._ungrouped(up.unflatten(1, x.shape[1:-1]), shared).to(output.dtype)

    def _replace(self, tensors: dict[str, str], _: nn.Module, given: Any, output: Tensor) -> Tensor:
        if self._carried is None:
            return output
        (x,), now = given, self._carried
        x, shared = self._by_group(x)
        y = torch.bmm(x.flatten(1, -2), now.tensors[tensors["weight"]].mT.to(x.dtype))
        if "bias" in tensors:
            y = y + now.tensors[tensors["bias"]][:, None].to(y.dtype)
        return self._ungrouped(y.unflatten(1, x.shape[1:-1]), shared)

    def _by_group(self, x: Tensor) -> tuple[Tensor, bool]:
        """Return (G, b, ...) of (G b, ...); what all rows share, (1, ...), becomes (G, 1, ...)."""
        assert self._carried is not None
        groups = len(next(iter(self._carried.tensors.values())))
        shared = len(x) == 1 != groups * self._carried.rows
        return (x[None].expand(groups, *x.shape) if shared else x.unflatten(0, (groups, self._carried.rows))), shared

    def _ungrouped(self, y: Tensor, shared: bool) -> Tensor:
        assert self._carried is not None
        return (y.expand(-1, self._carried.rows, *y.shape[2:]) if shared else y).flatten(0, 1)

    def _saved(self) -> dict[str, dict[str, str]]:
        """Layers that are saved whole, each with the names of its weight and its bias in the layout."""
        found: dict[str, dict[str, str]] = {}
        for name in self.layout.whole:
            module, _, kind = module_of(name).rpartition(".")
            found.setdefault(module, {})[kind] = name
        return found

    def _linear(self, name: str) -> nn.Linear:
        module = self.model.get_submodule(name)
        if not isinstance(module, nn.Linear):
            raise ValueError(f"{name} is a {type(module).__name__}; adapters enter linear layers only")
        return module
