"""What a kind of task is: tasks on one frozen base model, and a loss that is a function of vectors.

An adapter is a vector here. Fine-tuning is gradient descent on vectors, scoring and drawing are the same forward pass
without gradient, and any number of adapters pass through the base model side by side (``adapters.grouped``). What a
task's data are, and what a loss means, is said by ``text`` and ``images``.

Source: ours.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor, nn

from cpd.adapters.grouped import Grouped
from cpd.adapters.layout import AdapterLayout
from cpd.domains.settings import Finetuning
from cpd.runtime import artifacts, devices


class Domain(ABC):
    """Tasks of one kind on one base model.

    Args:
        spec: suite, tasks, base model, LoRA and rows.
    """

    def __init__(self, spec: Finetuning) -> None:
        self.spec = spec
        self.starts: Mapping[str, Tensor] = {}
        self._bases: dict[bool, Grouped] = {}

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Names of the tasks."""

    @abstractmethod
    def model(self, training: bool = True) -> PeftModel:
        """Return the base model with the adapter that all runs begin with.

        Args:
            training: whether gradients will be asked of it; decides kernels, not numbers.
        """

    @abstractmethod
    def made_of(self, task: str) -> dict[str, Any]:
        """Return what, beside the spec, decides a run of a task: base model, content of its data, its definition."""

    @abstractmethod
    def steps(self, task: str) -> int:
        """Return the number of fine-tuning steps of a task."""

    @abstractmethod
    def rows(self, task: str, seed: int, step: int) -> np.ndarray:
        """Return the (b,) training rows of a step of a run."""

    @abstractmethod
    def loss(
        self,
        vectors: Tensor,
        tasks: Sequence[str],
        rows: Sequence[np.ndarray],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """Return the loss of each adapter on training rows of its task, differentiable in the vectors.

        Args:
            vectors: (G, K) adapters.
            tasks: G names.
            rows: G times (b,) training rows; G lists of one length.
            generators: G, of whatever is random in a step; None where nothing is to be.

        Returns:
            (G,) losses; each depends on nothing but its own adapter, rows and generator.
        """

    @abstractmethod
    def score(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Return the (n,) scores of (n, K) adapters on a split, in float32 on any device."""

    def selects(self, task: str) -> bool:
        """Tell whether a task has a selection split; where it has none, a run has no curve."""
        return True

    @abstractmethod
    def conditions(self, kind: str) -> dict[str, list[str]]:
        """Return what a generator may be told of each task."""

    @cached_property
    def _start(self) -> tuple[AdapterLayout, Tensor, Tensor]:
        model = self.model()
        state = get_peft_model_state_dict(model, save_embedding_layers=False)  # "auto" would ask the hub for the base
        layout = AdapterLayout.of(state, model.peft_config["default"].to_dict())
        learned = {name.replace(".default", "") for name, p in model.named_parameters() if p.requires_grad}
        learned = {name.replace(".modules_to_save", "") for name in learned}
        trained = torch.cat([torch.full((span.stop - span.start,), n in learned) for n, span in layout.spans.items()])
        return layout, layout.flatten(state), trained

    @property
    def layout(self) -> AdapterLayout:
        """Layout of the adapters of all tasks."""
        return self._start[0]

    def untrained(self) -> Tensor:
        """Return the (K,) vector that all runs begin with: no update of the base model."""
        return self._start[1].clone()

    def starting_from(self, vectors: Mapping[str, Tensor]) -> Self:
        """Return these tasks with runs that begin with other adapters, such as written ones.

        Args:
            vectors: task -> (K,) adapter; the runs of other tasks begin as they do here.
        """
        made = object.__new__(type(self))
        made.__dict__ |= self.__dict__ | {"starts": {task: vector.clone() for task, vector in vectors.items()}}
        return made

    def start(self, task: str) -> Tensor:
        """Return the (K,) vector that the runs of a task begin with."""
        return self.starts[task].clone() if task in self.starts else self.untrained()

    @property
    def trained(self) -> Tensor:
        """(K,) true where fine-tuning moves a coordinate; the others are of a head that is carried along."""
        return self._start[2]

    def base(self, training: bool) -> Grouped:
        """Return the frozen base model, on the device, for adapters side by side.

        Args:
            training: for gradients, its linear layers in the precision of training; else float32 throughout.
        """
        if training not in self._bases:
            model = self.shortened(self.model(training).unload().to(self.device))
            if training and self.precision == "bf16":
                for layer in model.modules():
                    if isinstance(layer, nn.Linear):
                        layer.to(torch.bfloat16)
            self._bases[training] = Grouped(model, self._start[0], self.spec.dropout)
        return self._bases[training]

    def shortened(self, model: nn.Module) -> nn.Module:
        """Return a base model without what its output does not depend on; as it is, unless a domain knows of any."""
        return model

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return devices.device()

    @property
    def precision(self) -> str:
        """Precision of training on this device, "bf16" or "fp32"."""
        return devices.precision()


def model_name(base: str) -> str:
    """Return a base model's name on the hub, or the name of its folder: never a path on this machine."""
    return Path(base).name if Path(base).is_dir() else base


def model_identity(base: str, where: str, suffixes: tuple[str, ...] = ()) -> str:
    """Return what tells a base model from all others, wherever it lies: its name, and a hash of its files if a folder.

    Args:
        base: its name, or a folder.
        where: what ``from_pretrained`` is given.
        suffixes: endings of the files that count; empty means all.
    """
    return f"{model_name(base)} {artifacts.folder_digest(Path(where), suffixes)}" if Path(base).is_dir() else base


def digest(*parts: Any) -> str:
    """Return 16 hexadecimal digits that tell arrays and texts from all others."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        found.update(b"\0")
    return found.hexdigest()[:16]
