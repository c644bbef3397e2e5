"""Training a hypernetwork: it writes adapters for some tasks, and the base model's loss is what teaches it.

There is no zoo. What is told of a task, its rows and its loss are the domain's.

Source: arXiv 2506.06105, section 3 (training through the task's loss rather than on adapters).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from cpd.adapters.layout import AdapterLayout
from cpd.domains.domain import digest
from cpd.domains.embeddings import Embeddings
from cpd.domains.told import FLAGS, Shape
from cpd.methods.hypernetwork.network import Gist, Hypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime import devices
from cpd.runtime.training import Plan, train

VERSION = 3  # of what a fit is: raised when the same settings and tasks no longer give the same network
RIDGE = 10.0  # of the linear map that takes a sentence to its gist, in sentences
LIMIT = 1000  # rows of a task that count for how often it is drawn


class Teaching(Protocol):
    """What a hypernetwork needs of a domain."""

    @property
    def names(self) -> list[str]: ...
    @property
    def layout(self) -> AdapterLayout: ...
    @property
    def told_shape(self) -> Shape: ...
    @property
    def embeddings(self) -> Embeddings: ...
    def untrained(self) -> Tensor: ...
    def prepare(self) -> None: ...
    def sentence(self, task: str) -> str: ...
    def asked(self, task: str) -> Tensor: ...
    def phrasings(self, task: str) -> tuple[str, ...]: ...
    def made_of(self, task: str) -> dict[str, Any]: ...
    def size(self, task: str) -> int: ...
    def lesson(self, task: str, count: int, random: np.random.Generator) -> tuple[Tensor, np.ndarray]: ...
    def loss(
        self,
        vectors: Tensor,
        tasks: Sequence[str],
        rows: Sequence[np.ndarray],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor: ...


def fit(domain: Teaching, how: Writing, seed: int, folder: Path) -> tuple[Hypernetwork, list[float]]:
    """Train a network through the loss of a domain's tasks.

    Args:
        domain: whose tasks are learned, all of them.
        how: sizes, steps and rates.
        seed: of initialization, tasks, rows, conditions and noise.
        folder: keeps the training state.

    Returns:
        The network, and its loss in each step.
    """
    domain.prepare()
    network = initial(domain.layout, domain.untrained(), domain.told_shape, how, seed)
    _standardize(network, domain, seed)
    _learn_gist(network.gist, domain)
    chances, names = _chances(domain), domain.names

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        random = np.random.default_rng((seed, step, PartialState().process_index))
        tasks = [names[i] for i in random.choice(len(names), how.tasks, p=chances)]
        told, rows = zip(*(domain.lesson(task, how.rows, random) for task in tasks), strict=True)
        conditions = _disturbed(torch.stack(told), domain.told_shape, how.cond_noise, generator)
        noise = [torch.Generator().manual_seed(int(n)) for n in torch.randint(2**62, (how.tasks,), generator=generator)]
        return domain.loss(module(conditions.to(devices.device())), tasks, rows, noise).mean()

    plan = Plan(how.steps, how.learning_rate, warmup=max(1, how.steps // 20), ema=how.ema, save_every=200)
    return network, train(network, loss, plan, seed, folder / ".hypernetwork", "hypernetwork")


def identity(domain: Teaching) -> str:
    """Return what tells the tasks of a domain, their data and all that is said of them, from all others."""
    told = {name: [domain.sentence(name), *domain.phrasings(name)] for name in domain.names}
    return digest(*(json.dumps([name, told[name], domain.made_of(name)]) for name in domain.names))


def initial(layout: AdapterLayout, start: Tensor, shape: Shape, how: Writing, seed: int) -> Hypernetwork:
    """Return a network before it learns, the same one for equal arguments; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Hypernetwork(layout, start, shape, how)


def _chances(domain: Teaching) -> np.ndarray:
    """Return how often each task is drawn: in proportion to its rows, of which no more than `LIMIT` count.

    Source: arXiv 1910.10683, section 3.5.2 (examples-proportional mixing).
    """
    sizes = np.array([min(domain.size(task), LIMIT) for task in domain.names], float)
    return sizes / sizes.sum()


def _learn_gist(gist: Gist, domain: Teaching) -> None:
    """Fit the linear map from every sentence of a task to its first, by ridge regression of the change.

    Where every task has one sentence, nothing changes.

    Source: ours.
    """
    said = [domain.embeddings(domain.phrasings(task)).double() for task in domain.names]
    x, change = torch.cat(said), torch.cat([own[:1] - own for own in said])
    mean = x.mean(dim=0)
    scatter = (x - mean).T @ (x - mean) + RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    slope = torch.linalg.solve(scatter, (x - mean).T @ change).T
    gist.weight.copy_(torch.eye(len(mean)) + slope)
    gist.bias.copy_(change.mean(dim=0) - slope @ mean)


def _standardize(network: Hypernetwork, domain: Teaching, seed: int) -> None:
    """Measure what is told of the tasks as a whole, so that the network sees coordinates of mean 0 and size 1.

    What is the same for all stays as it is.
    """
    random = np.random.default_rng(seed)
    about, _ = domain.told_shape.cut(torch.stack([domain.lesson(task, 1, random)[0] for task in domain.names]))
    network.mean.copy_(about.mean(dim=0))
    spread = about.std(dim=0, correction=0)
    network.std.copy_(torch.where(spread > 1e-3, spread, 1))


def _disturbed(told: Tensor, shape: Shape, by: float, generator: torch.Generator) -> Tensor:
    """Add noise to every embedding, in units of its own length."""

    def noisy(x: Tensor) -> Tensor:
        return x + by * x.norm(dim=-1, keepdim=True) * torch.randn(x.shape, generator=generator) / x.shape[-1] ** 0.5

    about, classes = shape.cut(told)
    *embedded, flags = about.split([*shape.embedded, shape.flags], dim=1)
    about = torch.cat([*map(noisy, embedded), flags], dim=1)
    if not shape.classes:
        return about
    words, examples, flags = classes.split([shape.each, shape.each, FLAGS], dim=2)
    return torch.cat([about, torch.cat([noisy(words), noisy(examples), flags], dim=2).flatten(1)], dim=1)
