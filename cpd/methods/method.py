"""What a method is: something that is fitted to a zoo, and then writes adapters for a condition.

Here is what all methods have in common: their shape, where their noise comes from, and how they are saved. Which ones
there are is ``registry``'s to know.

Source: ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from cpd.adapters.layout import AdapterLayout
from cpd.methods import hub
from cpd.methods.hub import DESCRIPTION, WEIGHTS
from cpd.runtime import artifacts, tensor_files

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

FIRST = "cond_pdiff"  # who wrote a generator that does not say so


class Generator(Protocol):
    """What a method has learned: it writes adapters."""

    @property
    def name(self) -> str:
        """Name of the method."""

    @property
    def layout(self) -> AdapterLayout:
        """Names and shapes of the coordinates of what it writes."""

    @property
    def conditions(self) -> Mapping[str, Tensor]:
        """Task -> (m, C) the conditions that it knows."""

    def condition(self, given: str | Tensor | None) -> Tensor | None:
        """Return the (C,) condition that a task name, a text or a vector stands for; None is the null condition."""

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
        """Write (n, K) adapters in weight units; adapter i is the same whatever n is.

        Guidance, steps and sampler are for methods that sample, and the task for those that scale back per task.
        """

    @property
    def learned(self) -> Mapping[str, Any] | None:
        """What it was learned from, in numbers, as `learned_from` says it; None is not known."""

    def save_pretrained(self, folder: Path) -> Path:
        """Write everything that ``from_pretrained`` needs, whole or not at all."""


class Method(Protocol):
    """A way to learn: a class whose instances are its generators, or an object that makes them.

    Attributes:
        name: by which it is asked for, and which stands in what it saves.
        needs: what it cannot be fitted without: "zoo", "conditions", "domain".
    """

    @property
    def name(self) -> str: ...
    @property
    def needs(self) -> frozenset[str]: ...
    def fit(self, source: Any, settings: Any, seed: int, folder: Path, /) -> Generator:
        """Learn from a zoo or from a domain; called again with the same folder, an interrupted fit goes on."""

    def from_pretrained(self, folder: Path, /) -> Generator:
        """Read what ``save_pretrained`` wrote: it generates the same bytes."""


def require_unguided(name: str, n: int, guidance: float) -> None:
    """Refuse what a method that samples nothing cannot do.

    Raises:
        ValueError: if n is below 1, or a guidance is asked for.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if guidance != 1:
        raise ValueError(f"method {name!r} has nothing to guide, got guidance {guidance}; leave it at 1")


def seed_of(seed: int, *names: str) -> int:
    """Derive the seed of one stream of noise from the seed of everything and from what the noise is for.

    Args:
        seed: of the whole study.
        *names: what the noise is for, an arm and a task for example.

    Returns:
        A number below 2**63, the same in every process; other names or another seed give unrelated noise.

    Source: ours.
    """
    named = json.dumps([seed, *names], separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8]) >> 1


def save(folder: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """Write a generator, whole or not at all: JSON, safetensors and a manifest.

    Args:
        folder: to make.
        about: its description; ``method``, ``format`` and ``seed`` are in it.
        tensors: by name.

    Raises:
        FileExistsError: if the folder exists already.
    """
    with artifacts.building(Path(folder), {"kind": "generator", "seed": about["seed"]}) as partial:
        tensor_files.write_tensors(partial / WEIGHTS, tensors)
        artifacts.write_json(partial / DESCRIPTION, about)
    return Path(folder)


def learned_from(zoo: AdapterZoo) -> dict[str, Any]:
    """Say in numbers, and never in paths, what a generator is learned from: JSON values, task by task."""
    tasks = {}
    for task in zoo.tasks:
        own = [row for row in zoo.rows if row.task == task]
        runs = {row.run: row.held_out for row in own}
        tasks[task] = {
            "adapters": sum(not row.held_out for row in own),
            "runs": list(runs.values()).count(False),
            "held_out_runs": list(runs.values()).count(True),
        }
    return {"tasks": tasks}


def described(folder: Path) -> dict[str, Any]:
    """Return what a saved generator says of itself, JSON values.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not readable.
    """
    about = artifacts.read_json(Path(folder) / DESCRIPTION)
    if not isinstance(about, dict):
        raise ValueError(f"{Path(folder) / DESCRIPTION} holds {type(about).__name__}, not a generator's description")
    return about


def read(folder: Path | str, name: str, number: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a generator that `save` wrote, every byte checked.

    Args:
        folder: of the generator, or its name on the hub.
        name: the method that must have written it.
        number: of its format.

    Returns:
        Its description and its tensors.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file differs from its manifest, or another method or format wrote it.
    """
    folder = hub.where(folder)
    artifacts.verify(folder)
    if (wrote := written_by(folder)) != name:
        raise ValueError(f"{folder} was written by method {wrote!r}, not {name!r}; open it with cpd.methods.registry")
    about = described(folder)
    if about.get("format") != number:
        raise ValueError(
            f"{folder / DESCRIPTION} is not a generator of format {number}; fit it again with this cpd, "
            "or read it with the one that wrote it"
        )
    return about, tensor_files.read_tensors(folder / WEIGHTS)


@contextmanager
def understood(folder: Path | str) -> Iterator[None]:
    """Refuse a description in which something is missing or not as this version writes it, in one sentence."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{folder} is no generator as this cpd writes it ({type(error).__name__}: {said}); fit it again"
        ) from error


def written_by(folder: Path) -> str:
    """Return the name of the method that wrote a generator."""
    return str(described(folder).get("method", FIRST))
