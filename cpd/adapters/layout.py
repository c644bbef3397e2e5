"""PEFT LoRA adapters as vectors, and back: the layout that names every coordinate, and the product B A.

An adapter is everything that fine-tuning changed: all A and B, and the modules of ``modules_to_save`` (usually the
head). Nothing here knows the base model, a task, or how vectors are learned.

Source: Hu et al. 2021, arXiv 2106.09685 (LoRA); Kalajdzievski 2023, arXiv 2312.03732 (rsLoRA); the file format and the
rules for ``rank_pattern`` and ``alpha_pattern`` are those of https://github.com/huggingface/peft (0.21).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cpd.adapters import configs
from cpd.adapters.names import MATRIX, module_of, natural, require_placed
from cpd.adapters.patterns import compiled, resolve

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
PATTERNS = ("rank_pattern", "alpha_pattern")


@dataclass(frozen=True)
class AdapterLayout:
    """What each coordinate of a vector means.

    Attributes:
        names: of the tensors, in order.
        shapes: theirs.
        dtypes: theirs, in the file.
        config: fields of the PEFT config that a finished adapter needs.
        part: of a diffusers pipeline, where the adapter was read from a file of diffusers.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    config: dict[str, Any]
    part: str = ""

    @classmethod
    def of(
        cls, state: Mapping[str, Tensor], config: Mapping[str, Any], where: str = "the adapter", part: str = ""
    ) -> AdapterLayout:
        """Read the layout off a PEFT state dict.

        Args:
            state: tensors by name, as ``peft.get_peft_model_state_dict`` returns them.
            config: fields of ``adapter_config.json``, as ``LoraConfig.to_dict()`` returns them.
            where: what errors call the adapter, usually its path.
            part: of a diffusers pipeline, if any.

        Returns:
            The layout, names in natural order (layer 2 before layer 10).

        Raises:
            ValueError: if the adapter is no plain LoRA adapter, or a tensor cannot be learned; names field or tensor.
        """
        kept = configs.kept(config, where)
        names = tuple(sorted(state, key=natural))
        if not names:
            raise ValueError(f"{where} holds no tensors; save the adapter again with save_pretrained")
        kept["target_modules"] = _listed(kept["target_modules"], names)
        require_placed(state, kept, where)
        for name in names:
            _require_exact(name, state[name], where)
        shapes = tuple(tuple(state[name].shape) for name in names)
        layout = cls(names, shapes, tuple(_dtype(state[name]) for name in names), kept, part)
        layout._require_ranks(where)
        return layout

    @cached_property
    def spans(self) -> dict[str, slice]:
        """Where each tensor lies in a vector."""
        ends = [0]
        for shape in self.shapes:
            ends.append(ends[-1] + math.prod(shape))
        return {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(self.names)}

    @property
    def size(self) -> int:
        """Number of parameters K."""
        return sum(math.prod(shape) for shape in self.shapes)

    def flatten(self, state: Mapping[str, Tensor]) -> Tensor:
        """Write an adapter's tensors in a row.

        Args:
            state: tensors by name, with exactly the names, shapes and dtypes of this layout.

        Returns:
            (K,) float32 vector; float16 and bfloat16 fit into it exactly.

        Raises:
            ValueError: if a tensor is missing, extra, or has another shape or dtype.
        """
        names = tuple(sorted(state, key=natural))
        shapes = tuple(tuple(state[name].shape) for name in names)
        other = AdapterLayout(names, shapes, tuple(_dtype(state[name]) for name in names), self.config)
        self.require_same(other, "the state dict")
        return torch.cat([state[name].detach().cpu().reshape(-1).float() for name in names])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Cut a vector into an adapter's tensors: the inverse of :meth:`flatten`.

        Args:
            vector: (K,) parameters.

        Returns:
            Tensors by name, each with its own shape and dtype, none sharing memory with ``vector``.

        Raises:
            ValueError: if there are not K parameters, or one is not finite in its tensor's dtype.
        """
        if tuple(vector.shape) != (self.size,):
            raise ValueError(f"the vector has shape {tuple(vector.shape)}, this layout needs ({self.size},)")
        state = {}
        for name, shape, dtype in zip(self.names, self.shapes, self.dtypes, strict=True):
            state[name] = vector[self.spans[name]].detach().reshape(shape).to(DTYPES[dtype], copy=True)
            require_finite(name, state[name], f"the vector, as {dtype},")
        return state

    def require_same(self, other: AdapterLayout, where: str) -> None:
        """Check that ``other`` has this layout.

        Raises:
            ValueError: naming ``where`` and the first difference: base model, rank, targets, names, shapes, dtypes.
        """
        if difference := self._difference(other):
            raise ValueError(
                f"{where} has another layout: {difference}; keep adapters of one base model and LoRA config together"
            )

    def scaling(self, module: str) -> float:
        """Return alpha / r of a module, or alpha / sqrt(r) for rsLoRA, as PEFT resolves it.

        Args:
            module: name in the base model, as in ``bert.encoder.layer.0.attention.self.query``.
        """
        alpha = resolve(self.config["alpha_pattern"], module, self.config["lora_alpha"])
        rank = resolve(self.config["rank_pattern"], module, self.config["r"])
        return alpha / (math.sqrt(rank) if self.config["use_rslora"] else rank)

    @cached_property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Adapted modules of the base model, each with the names of its A and its B."""
        found: dict[str, dict[str, str]] = {}
        for name in self.names:
            if match := MATRIX.match(name):
                found.setdefault(module_of(match["module"]), {})[match["side"]] = name
        return {module: (sides["A"], sides["B"]) for module, sides in found.items()}

    @cached_property
    def whole(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors that are of no LoRA, such as a head's."""
        return {name: shape for name, shape in zip(self.names, self.shapes, strict=True) if not MATRIX.match(name)}

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON values; the patterns become lists because their order matters."""
        config = self.config | {key: [list(item) for item in self.config[key].items()] for key in PATTERNS}
        shapes = [list(shape) for shape in self.shapes]
        named = {"names": list(self.names), "shapes": shapes}
        return named | {"dtypes": list(self.dtypes), "config": config, "part": self.part}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AdapterLayout:
        """Read what :meth:`to_json` returned."""
        config = value["config"] | {key: dict(value["config"][key]) for key in PATTERNS}
        shapes = tuple(tuple(shape) for shape in value["shapes"])
        return cls(tuple(value["names"]), shapes, tuple(value["dtypes"]), config, value.get("part", ""))

    def _require_ranks(self, where: str) -> None:
        sides = {
            (module_of(match["module"]), match["side"]): name for name in self.names if (match := MATRIX.match(name))
        }
        for (module, side), name in sides.items():
            if (module, "AB".replace(side, "")) not in sides:
                raise ValueError(f"{where} holds {name} but not its partner; save the adapter again, it is incomplete")
            rank = resolve(self.config["rank_pattern"], module, self.config["r"])
            shape = self.shapes[self.names.index(name)]
            if len(shape) < 2 or shape[0 if side == "A" else 1] != rank:
                raise ValueError(
                    f"{where} says rank {rank} for {module}, but {name} has shape {shape}; "
                    f"correct r or rank_pattern in adapter_config.json (grouped convolutions cannot be learned)"
                )

    def _difference(self, other: AdapterLayout) -> str | None:
        if self.part and other.part and self.part != other.part:
            return f"it is of the pipeline's {other.part}, expected {self.part}"
        for key in configs.KEPT:
            mine, its = self.config[key], other.config[key]
            if key == "base_model_name_or_path" and configs.same_base(mine, its):
                continue
            if mine != its or (isinstance(mine, dict) and list(mine) != list(its)):
                return f"{key} is {its!r}, expected {mine!r}"
        if missing := sorted(set(self.names) - set(other.names), key=natural):
            return f"it lacks {missing[0]}"
        if extra := sorted(set(other.names) - set(self.names), key=natural):
            return f"it also has {extra[0]}"
        for name, *pair in zip(self.names, zip(self.shapes, self.dtypes), zip(other.shapes, other.dtypes), strict=True):
            if pair[0] != pair[1]:
                return f"{name} is {pair[1][1]} {pair[1][0]}, expected {pair[0][1]} {pair[0][0]}"
        return None


def delta(layout: AdapterLayout, vector: Tensor) -> dict[str, Tensor]:
    """Multiply out what the base model feels of an adapter.

    Args:
        layout: of the vector.
        vector: (K,) parameters, or (n, K) for n adapters at once.

    Returns:
        Module of the base model -> (d_out, d_in) or (n, d_out, d_in) float32: scaling * B @ A. A convolution's d_in
        counts its channels times its kernel; an embedding's d_in is the vocabulary.

    Raises:
        ValueError: if a vector does not have K parameters.

    Source: Hu et al. 2021, equation 3, with scaling alpha / r; Kalajdzievski 2023, equation 4, with alpha / sqrt(r).
    """
    if vector.shape[-1] != layout.size:
        raise ValueError(f"the vector has {vector.shape[-1]} parameters, this layout needs {layout.size}")
    shapes = dict(zip(layout.names, layout.shapes, strict=True))
    products = {}
    for module, (a, b) in layout.pairs.items():
        first = vector[..., layout.spans[a]].reshape(*vector.shape[:-1], shapes[a][0], -1)  # (..., r, d_in)
        second = vector[..., layout.spans[b]].reshape(*vector.shape[:-1], *shapes[b][:2])  # (..., d_out, r)
        products[module] = layout.scaling(module) * (second @ first)
    return products


def scaled(layout: AdapterLayout, vector: Tensor, by: float) -> Tensor:
    """Return a (K,) vector whose products B A are so many times larger; what is saved whole stays as it is."""
    if by == 1:
        return vector
    changed = vector.clone()
    for _, b in layout.pairs.values():
        changed[layout.spans[b]] *= by
    return changed


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _require_exact(name: str, tensor: Tensor, where: str) -> None:
    if _dtype(tensor) not in DTYPES:
        raise ValueError(
            f"{name} in {where} is {_dtype(tensor)}; a vector holds {', '.join(DTYPES)} exactly: convert it first"
        )


def _listed(targets: Any, names: Iterable[str]) -> Any:
    """Write out what a pattern of ``target_modules`` stands for, where it is one whose time has no bound."""
    try:
        if isinstance(targets, str) and targets != "all-linear":
            compiled(targets)
    except ValueError:
        return sorted({module_of(match["module"]) for name in names if (match := MATRIX.match(name))})
    return targets


def require_finite(name: str, tensor: Tensor, where: str) -> None:
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"{where} has a NaN or infinite weight in {name}; leave this adapter out or save it again")
