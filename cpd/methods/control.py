"""What a control is: a method that learns nothing, and writes what it keeps of the task with the nearest condition.

Which ones there are is ``controls``'s to know.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor

from cpd.adapters.layout import AdapterLayout
from cpd.conditions import ConditionEncoder, KnownConditions, nearest_task
from cpd.methods.method import learned_from, read, require_unguided, save, seed_of, understood

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

FORMAT = 1  # of a fitted control's files; raised when older ones can no longer be read


@dataclass(frozen=True)
class Control:
    """A method that learns nothing: it keeps some vectors of each task, and writes them or draws around them.

    Attributes:
        name: of the method and of the arm.
        keep: of a zoo and a task, the (m, K) vectors that are kept of its training rows.
        draw: of what was kept, how many and a seed, (n, K) adapters; None writes what is kept as it is.
    """

    name: str
    keep: Callable[[AdapterZoo, str], Tensor]
    draw: Callable[[Tensor, int, int], Tensor] | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"zoo", "conditions"})

    def write(self, zoo: AdapterZoo, task: str, n: int, seed: int) -> Tensor:
        """Make the adapters of one task, straight from a zoo.

        Args:
            zoo: its training rows are seen.
            task: whose rows.
            n: how many, where they are drawn.
            seed: of the draws, together with the names of control and task; adapter i is the same whatever n is.

        Returns:
            (n, K) vectors; what is kept, each once, where nothing is drawn.

        Raises:
            ValueError: if the task has no training rows.
        """
        kept = self.keep(zoo, task)
        return kept if self.draw is None else self.draw(kept, n, seed_of(seed, self.name, task))

    def fit(self, zoo: AdapterZoo, settings: Told, seed: int, folder: Path, /) -> FittedControl:
        """Keep of every task what the control needs; nothing is random, and the folder is not used.

        Args:
            zoo: adapters with task and condition.
            settings: kind of the conditions and encoder of texts.
            seed: kept with the generator.
            folder: as every method has it.

        Returns:
            The generator, with what is kept of every task in memory.

        Raises:
            ValueError: if a task has no training row or no condition, or a weight is not finite.
        """
        encoder = ConditionEncoder(settings.condition, settings.encoder, tuple(zoo.tasks))
        known, kept = KnownConditions.of(encoder, zoo.conditions), {task: self.keep(zoo, task) for task in zoo.tasks}
        for task, vectors in kept.items():
            if not bool(vectors.isfinite().all()):
                raise ValueError(f"task {task!r} has a NaN or infinite weight; remove that adapter from the zoo")
        return FittedControl(self, zoo.layout, seed, known, kept, learned_from(zoo))

    def from_pretrained(self, folder: Path, /) -> FittedControl:
        """Read a saved generator of this control; errors as of every method."""
        about, tensors = read(folder, self.name, FORMAT)
        with understood(folder):
            encoder = ConditionEncoder(
                about["encoder"]["kind"], about["encoder"]["model"], tuple(about["encoder"]["tasks"])
            )
            texts = {task: list(about["texts"][task]) for task in encoder.tasks}
            known = KnownConditions(encoder, texts, {task: tensors[f"condition/{task}"] for task in encoder.tasks})
            kept = {task: tensors[f"kept/{task}"] for task in encoder.tasks}
            layout = AdapterLayout.from_json(about["layout"])
            return FittedControl(self, layout, about["seed"], known, kept, about.get("learned"))


class Told(Protocol):
    """What a control reads of a method's settings."""

    @property
    def condition(self) -> str: ...
    @property
    def encoder(self) -> str: ...


@dataclass(frozen=True)
class FittedControl:
    """A generator that looks a task up by its condition, and writes what its control does for that task.

    Attributes:
        control: what it is.
        layout: of the vectors.
        seed: named the fit.
        known: conditions of the tasks.
        kept: task -> (m, K) what the control keeps.
        learned: what it was fitted to, in numbers.
    """

    control: Control
    layout: AdapterLayout
    seed: int
    known: KnownConditions
    kept: Mapping[str, Tensor]
    learned: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.control.name

    @property
    def conditions(self) -> Mapping[str, Tensor]:
        return self.known.vectors

    def condition(self, given: str | Tensor | None) -> Tensor | None:
        return self.known.vector(given)

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
        """Write adapters of the task whose condition is nearest.

        Args:
            condition: a task of the zoo, any other text, or a (C,) vector.
            n: how many; where nothing is drawn, what is kept is dealt out in turn.
            seed: of the draws, as `Control.write` has it.
            guidance: must be 1: nothing is guided.
            steps: without meaning here, as is ``sampler``: nothing is sampled.
            task: without meaning here: nothing is scaled back.
            sampler: see ``steps``.

        Returns:
            (n, K) vectors in weight units.

        Raises:
            ValueError: if n is below 1, there is no condition, or a guidance is asked for.
        """
        require_unguided(self.name, n, guidance)
        found = looked_up(self, condition)
        kept, draw = self.kept[found], self.control.draw
        return kept[torch.arange(n) % len(kept)] if draw is None else draw(kept, n, seed_of(seed, self.name, found))

    def save_pretrained(self, folder: Path) -> Path:
        """Write everything that `Control.from_pretrained` needs, whole or not at all.

        Raises:
            FileExistsError: if ``folder`` exists already.
        """
        about = {"format": FORMAT, "method": self.name, "seed": self.seed, "layout": self.layout.to_json()}
        about["learned"] = self.learned
        tensors = {f"condition/{task}": own for task, own in self.known.vectors.items()}
        tensors |= {f"kept/{task}": own for task, own in self.kept.items()}
        return save(folder, about | {"encoder": asdict(self.known.encoder), "texts": self.known.texts}, tensors)


class Conditioned(Protocol):
    """What a look-up needs of a fitted generator."""

    @property
    def conditions(self) -> Mapping[str, Tensor]: ...
    def condition(self, given: str | Tensor | None) -> Tensor | None: ...


def looked_up(generator: Conditioned, condition: str | Tensor | None) -> str:
    """Return the task whose condition is nearest to what a generator is told.

    Raises:
        ValueError: if there is no condition, or as the generator refuses it.
    """
    given = generator.condition(condition)
    if given is None:
        raise ValueError("without a condition no task is nearest; fit a generator that has one")
    return nearest_task(given, generator.conditions)
