"""A fitted hypernetwork: asked, saved and loaded like any method; equal conditions give equal adapters.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from cpd.adapters.layout import AdapterLayout
from cpd.conditions import PACKAGED, ConditionEncoder
from cpd.domains.embeddings import Embeddings
from cpd.domains.told import Shape
from cpd.methods.hypernetwork import fitting
from cpd.methods.hypernetwork.fitting import Teaching
from cpd.methods.hypernetwork.network import Hypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import read, require_unguided, save, understood

FORMAT = 2  # of the saved generator; raised when older files can no longer be read
AT_ONCE = 64  # adapters that are written at a time


@dataclass(eq=False)
class FittedHypernetwork:
    """A network that writes an adapter for what it is told; `fit` and `from_pretrained` are the ways in.

    Attributes:
        network: from conditions to adapters.
        seed: named the fit.
        sentences: task -> the sentence that it is asked with.
        conditions: task -> (1, C) what that sentence tells.
        learned: what it was trained on, in numbers.
        history: loss of each step.
        encoder: of what is told, as `ConditionEncoder` names it.
    """

    name: ClassVar[str] = "hypernetwork"
    needs: ClassVar[frozenset[str]] = frozenset({"domain", "conditions"})

    network: Hypernetwork
    seed: int
    sentences: Mapping[str, str]
    conditions: Mapping[str, Tensor]
    learned: Mapping[str, Any] | None = None
    history: Sequence[float] = field(default_factory=list)
    encoder: str = PACKAGED

    @classmethod
    def fit(cls, domain: Teaching, how: Writing, seed: int, folder: Path) -> FittedHypernetwork:
        """Learn to write adapters for the tasks of a domain, through their loss; there is no zoo.

        Args:
            domain: whose tasks are learned, all of them.
            how: sizes, steps and rates.
            seed: names the fit.
            folder: keeps the training state; called again with it, an interrupted fit goes on where it was.

        Returns:
            The fitted generator.

        Source: arXiv 2506.06105 (Text-to-LoRA), trained through the loss of the tasks.
        """
        network, history = fitting.fit(domain, how, seed, folder)
        sentences = {task: domain.sentence(task) for task in domain.names}
        conditions = {task: domain.asked(task)[None] for task in domain.names}
        learned = {"tasks": {task: {"steps": how.steps} for task in domain.names}}
        return cls(network.cpu(), seed, sentences, conditions, learned, history)

    @property
    def layout(self) -> AdapterLayout:
        """Names and shapes of the coordinates of what it writes."""
        return self.network.layout

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings of what is told."""
        return Embeddings(ConditionEncoder("description", self.encoder).encode)

    def condition(self, given: str | Tensor | None) -> Tensor:
        """Return the (C,) condition that a task name, a sentence or a vector stands for.

        Raises:
            ValueError: if nothing is told, or a vector has another size or is not finite.
        """
        if given is None:
            raise ValueError("a hypernetwork writes for a condition; tell it a sentence, or examples")
        if isinstance(given, str):
            if given in self.conditions:
                return self.conditions[given][0]
            if not given.strip():
                raise ValueError("a condition text is empty; describe the task in a sentence or give examples")
            return self.network.shape.of_sentence(self.embeddings.mean([given]))
        if given.shape != (self.network.shape.size,) or not bool(given.isfinite().all()):
            size = self.network.shape.size
            raise ValueError(f"a condition vector needs shape ({size},) and finite values, got {tuple(given.shape)}")
        return given.float()

    def generate(
        self,
        condition: str | Tensor | None,
        n: int = 1,
        seed: int = 0,
        guidance: float = 1.0,
        steps: int = 50,
        task: str | None = None,
        sampler: str = "ddim",
    ) -> Tensor:
        """Write the adapter of a condition; nothing is random.

        Args:
            condition: a task that was learned, any other sentence, or a (C,) vector.
            n: how many times.
            seed: without meaning here, as are ``steps``, ``task`` and ``sampler``: nothing is sampled.
            guidance: must be 1: nothing is guided.
            steps: see ``seed``.
            task: see ``seed``.
            sampler: see ``seed``.

        Returns:
            (n, K) equal vectors in weight units.

        Raises:
            ValueError: if n is below 1, there is no condition, or a guidance is asked for.
        """
        require_unguided(self.name, n, guidance)
        return self.write(self.condition(condition)[None]).expand(n, -1).clone()

    @torch.inference_mode()
    def write(self, conditions: Tensor) -> Tensor:
        """Write the (n, K) adapters of (n, C) conditions."""
        return torch.cat([self.network(some) for some in conditions.split(AT_ONCE)])

    def with_one_lora(self, vectors: Tensor) -> Tensor:
        """Return (n, K) adapters with their own heads and one LoRA: the mean of what is written for learned tasks.

        Where these score as well, nothing but heads had to be written.
        """
        one = self.write(torch.cat([*self.conditions.values()])).mean(dim=0).repeat(len(vectors), 1)
        for name in self.layout.whole:
            one[:, self.layout.spans[name]] = vectors[:, self.layout.spans[name]]
        return one

    def untrained(self) -> FittedHypernetwork:
        """Return what this was before it learned: no update of the base model, and a head that is zero-shot."""
        network = self.network
        bare = fitting.initial(network.layout, network.start, network.shape, network.how, self.seed)
        return FittedHypernetwork(bare.eval(), self.seed, self.sentences, self.conditions, encoder=self.encoder)

    def gist_only(self) -> FittedHypernetwork:
        """Return the same, but with the gist of a sentence in its place: what is learned without the base model."""
        found = self.untrained()
        found.network.gist.load_state_dict(self.network.gist.state_dict())
        return found

    def save_pretrained(self, folder: Path) -> Path:
        """Write everything that `from_pretrained` needs, whole or not at all.

        Raises:
            FileExistsError: if ``folder`` exists already.
        """
        about = {"format": FORMAT, "method": self.name, "seed": self.seed, "layout": self.layout.to_json()}
        about |= {"writing": asdict(self.network.how), "shape": asdict(self.network.shape)}
        about |= {"encoder": {"kind": "description", "model": self.encoder}}
        about |= {"sentences": dict(self.sentences), "learned": self.learned, "history": list(self.history)}
        tensors = {f"network/{name}": x.contiguous() for name, x in self.network.state_dict().items()}
        tensors["conditions"] = torch.cat([self.conditions[task] for task in sorted(self.sentences)])
        return save(folder, about, tensors)

    @classmethod
    def from_pretrained(cls, folder: Path) -> FittedHypernetwork:
        """Read what ``save_pretrained`` wrote; errors as of every method."""
        about, tensors = read(folder, cls.name, FORMAT)
        with understood(folder):
            layout = AdapterLayout.from_json(about["layout"])
            shape = Shape(**about["shape"] | {"embedded": tuple(about["shape"]["embedded"])})
            how, seed = Writing(**about["writing"]), about["seed"]
            network = fitting.initial(layout, torch.zeros(layout.size), shape, how, seed)
            network.load_state_dict(
                {name.removeprefix("network/"): x for name, x in tensors.items() if name.startswith("network/")}
            )
            sentences = about["sentences"]  # in order of their names, as JSON keeps them
            rows = tensors["conditions"].split([1] * len(sentences))
            conditions = {task: row.clone() for task, row in zip(sorted(sentences), rows, strict=True)}
            encoder = about.get("encoder", {"model": PACKAGED})["model"]
            return cls(network.eval(), seed, sentences, conditions, about["learned"], about["history"], encoder)
