"""What a kind of task is: the protocol that text and pictures share.

Source: ours.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cpd.adapters.layout import AdapterLayout
from cpd.domains.settings import Finetuning


class Domain(Protocol):
    """What fine-tuning and evaluation need to know of a kind of task."""

    spec: Finetuning

    @property
    def names(self) -> list[str]: ...
    @property
    def layout(self) -> AdapterLayout: ...
    def model(self) -> nn.Module: ...
    def state(self, model: Any) -> Tensor: ...
    def made_of(self, task: str) -> dict[str, str]: ...
    def steps(self, task: str) -> int: ...
    def loss(self, model: nn.Module, task: str, generator: torch.Generator) -> Tensor: ...
    def score(self, task: str, vectors: Tensor, split: str) -> np.ndarray: ...
    def conditions(self, kind: str) -> dict[str, list[str]]: ...
