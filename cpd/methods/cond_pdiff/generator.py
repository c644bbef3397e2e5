"""CondPDiff: normalizer, autoencoder, condition encoder and denoiser as one thing to fit, ask, save and load.

A zoo goes one way through it: rows, normalized rows, latents, denoiser. It is never in
memory as a whole. Scores, tasks and PEFT folders are not known here.

Source: arXiv 2408.01415, section 3 (algorithm 1: autoencoder, then conditional latent diffusion, then generation).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from cpd import __version__
from cpd.adapters.layout import AdapterLayout
from cpd.conditions import ConditionEncoder, KnownConditions
from cpd.diffusion import guided, noise_generators, sample, schedule
from cpd.methods import hub
from cpd.methods.cond_pdiff import fitting
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.methods.cond_pdiff.fitting import Autoencoder
from cpd.methods.cond_pdiff.linear import LinearAutoencoder
from cpd.methods.cond_pdiff.normalizer import Normalizer
from cpd.methods.cond_pdiff.rows import Rows
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.method import learned_from, read, save, understood

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

FORMAT = 2  # of the saved generator; raised when older files can no longer be read
LIBRARIES = ("torch", "diffusers", "accelerate", "peft", "transformers", "sentence-transformers", "safetensors")
BATCH_VALUES = 2**25  # coordinates handled at a time outside training


@dataclass(eq=False)
class CondPDiff:
    """A generator of adapters, conditioned on what the task is; `fit` and `from_pretrained` are the ways in.

    Attributes:
        layout: names and shapes of the vector's coordinates.
        learning: how it was learned.
        seed: names the fit.
        normalizer: two-way map between weights and normalized vectors.
        autoencoder: between normalized vectors and latents.
        denoiser: of latents.
        encoder: from condition texts to condition vectors.
        texts: task -> its condition texts.
        conditions: task -> (m, C) its conditions.
        history: losses per step, "autoencoder" and "diffusion"; of a linear autoencoder, per component.
        learned: what it was fitted to, in numbers.
    """

    name: ClassVar[str] = "cond_pdiff"
    needs: ClassVar[frozenset[str]] = frozenset({"zoo"})

    layout: AdapterLayout
    learning: Learning
    seed: int
    normalizer: Normalizer
    autoencoder: Autoencoder
    denoiser: Denoiser
    encoder: ConditionEncoder
    texts: Mapping[str, Sequence[str]]
    conditions: dict[str, Tensor]
    history: dict[str, list[float]] = field(default_factory=lambda: {"autoencoder": [], "diffusion": []})
    learned: Mapping[str, Any] | None = None

    @classmethod
    def fit(cls, zoo: AdapterZoo, learning: Learning, seed: int, folder: Path) -> CondPDiff:
        """Learn a zoo's training rows: normalizer, autoencoder, then the denoiser of their latents.

        Args:
            zoo: adapters with task and condition.
            learning: sizes, steps and rates.
            seed: names the fit; equal zoo, learning and seed give equal bytes on one machine.
            folder: keeps the training states; called again with it, an interrupted fit goes on where it was.

        Returns:
            The fitted generator.

        Raises:
            ValueError: if a task has fewer than 2 training rows or no condition, a weight is not finite, or the
                adapters are too large for a convolutional autoencoder.

        Source: arXiv 2408.01415, algorithm 1.
        """
        rows = Rows.training(zoo)
        encoder = ConditionEncoder(learning.condition, learning.encoder, tuple(zoo.tasks))
        conditions = encoder.of_tasks(zoo.conditions)
        normalizer = Normalizer.fit(learning.normalization, rows)
        normalized = normalizer.transform(rows)
        autoencoder, latents, reconstructing = fitting.fit_autoencoder(normalized, learning, seed, folder)
        denoiser, denoising = fitting.fit_denoiser(latents, rows.tasks, conditions, learning, seed, folder)
        texts = {task: list(zoo.conditions.get(task, ())) for task in zoo.tasks}
        history = {"autoencoder": reconstructing, "diffusion": denoising}
        return cls(
            zoo.layout, learning, seed, normalizer, autoencoder, denoiser, encoder, texts, conditions, history,
            learned_from(zoo),
        )  # fmt: skip

    @torch.no_grad()
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
        """Write new adapters from noise and a condition.

        Args:
            condition: a task of the zoo (its first condition), any other text, a (C,) vector, or None for the null
                condition.
            n: how many.
            seed: of the noise; adapter i is the same whatever n is.
            guidance: scale; 1 means off.
            steps: of the sampler.
            task: whose statistics scale the result back; needed by ``per_task`` normalization, ignored otherwise.
            sampler: ``ddim``, ``dpm`` or ``ddpm``.

        Returns:
            (n, K) vectors in weight units.

        Raises:
            ValueError: if n is below 1, the condition is empty or unknown, the task is missing or unknown, the guidance
                is not finite, or the null condition is needed and was never learned.
        """
        given = self._asked(condition, n, guidance, task)
        levels = schedule(sampler, self.learning.prediction, self.learning.timesteps, self.learning.betas)
        told = None if given is None else given.expand(n, -1)
        denoise, noise = guided(self.denoiser, guidance), noise_generators(seed, n)
        latents = sample(denoise, levels, steps, told, self.latent, noise)
        return self.decode(latents, None if task is None else [task] * n)

    @property
    def latent(self) -> int:
        """D, dimensions of the latent."""
        return self.autoencoder.latent

    def condition(self, given: str | Tensor | None) -> Tensor | None:
        """Return the (C,) condition that a task name, a text or a vector stands for; None is the null condition.

        Raises:
            ValueError: if the text is empty, the task unknown to a one-hot condition, or the vector of another size.
        """
        return KnownConditions(self.encoder, self.texts, self.conditions).vector(given)

    @torch.no_grad()
    def encode(self, vectors: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Return the (n, D) standardized latents of (n, K) vectors in weight units."""
        parts = [
            self.autoencoder.encode(self.normalizer.normalize(vectors[i], _pick(tasks, i)))
            for i in self._batches(len(vectors))
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def decode(self, latents: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Return the (n, K) vectors in weight units of (n, D) standardized latents."""
        parts = [
            self.normalizer.denormalize(self.autoencoder.decode(latents[i]), _pick(tasks, i))
            for i in self._batches(len(latents))
        ]
        return torch.cat(parts)

    def reconstruct(self, vectors: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Return (n, K) vectors after encoding and decoding, without noise."""
        return self.decode(self.encode(vectors, tasks), tasks)

    def untrained(self) -> CondPDiff:
        """Return the same generator with its networks as they were before training; what is not trained is kept."""
        autoencoder = self.autoencoder
        if not isinstance(autoencoder, LinearAutoencoder):
            autoencoder = fitting.initial_autoencoder(autoencoder.size, self.latent, self.learning, self.seed)
        denoiser = fitting.initial_denoiser(self.latent, self.conditions, self.learning, self.seed)
        return replace(self, autoencoder=autoencoder, denoiser=denoiser, history={"autoencoder": [], "diffusion": []})

    def save_pretrained(self, folder: Path) -> Path:
        """Write everything that `from_pretrained` needs, whole or not at all: JSON, safetensors and a manifest.

        Raises:
            FileExistsError: if ``folder`` exists already.
        """
        return save(folder, self._describe(), self._tensors())

    def push_to_hub(self, name: str, license: str, private: bool = False) -> str:
        """Share the generator on the hub, with a model card; arguments, result and errors as `cpd.methods.hub.push`."""
        with TemporaryDirectory() as folder:
            return hub.push(self.save_pretrained(Path(folder) / "generator"), name, license, None, private)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> CondPDiff:
        """Read a saved generator: it generates the same bytes as the one that was saved.

        Args:
            folder: where it was saved, or its name on the hub, as in user/name.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file differs from its manifest, or was written by another format.
        """
        about, tensors = read(folder, cls.name, FORMAT)
        with understood(folder):
            return cls._read(about, tensors)

    @classmethod
    def _read(cls, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CondPDiff:
        learning, layout = Learning(**about["learning"]), AdapterLayout.from_json(about["layout"])
        told = about["encoder"]
        encoder = ConditionEncoder(told["kind"], told["model"], tuple(told["tasks"]))
        tasks = about["normalized_tasks"]
        normalizer = Normalizer(learning.normalization, layout.size, tensors["normalizer/moving"], tasks)
        conditions = {task: tensors[f"condition/{task}"] for task in encoder.tasks}
        size, latent, seed = len(normalizer.moving), about["latent"], about["seed"]
        autoencoder = fitting.initial_autoencoder(size, latent, learning, seed)
        denoiser = fitting.initial_denoiser(latent, conditions, learning, seed)
        history = {name: tensors[f"history/{name}"].tolist() for name in ("autoencoder", "diffusion")}
        texts = {task: list(about["texts"][task]) for task in encoder.tasks}
        self = cls(
            layout, learning, seed, normalizer, autoencoder, denoiser, encoder, texts, conditions, history,
            about.get("learned"),
        )  # fmt: skip
        for name, module in self._modules().items():
            own = {key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(f"{name}/")}
            module.load_state_dict(own, assign=True)  # the tensors as they lie in the file, which is memory-mapped
        return self

    def _batches(self, count: int) -> Iterator[slice]:
        step = max(1, BATCH_VALUES // self.layout.size)
        return (slice(start, start + step) for start in range(0, count, step))

    def _asked(self, condition: str | Tensor | None, n: int, guidance: float, task: str | None) -> Tensor | None:
        """Return the condition that is asked for, and refuse what cannot be generated."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if self.learning.normalization == "per_task" and task not in self.normalizer.tasks:
            raise ValueError(
                f"this generator was normalized per task: say whose statistics scale the result back with task=, "
                f"one of {', '.join(self.normalizer.tasks)}; got {task!r}"
            )
        if not math.isfinite(guidance):
            raise ValueError(f"guidance must be a finite number, got {guidance}; 1 means off")
        given = self.condition(condition)
        if self.encoder.kind != "none" and not self.learning.cond_drop and (given is None or guidance != 1):
            raise ValueError("the null condition was never learned (cond_drop is 0); give a condition, and guidance 1")
        return given

    def _modules(self) -> dict[str, nn.Module]:
        return {"normalizer": self.normalizer, "autoencoder": self.autoencoder, "denoiser": self.denoiser}

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"{name}/{key}": t for name, m in self._modules().items() for key, t in m.state_dict().items()}
        tensors |= {f"condition/{task}": condition for task, condition in self.conditions.items()}
        return tensors | {f"history/{name}": torch.tensor(v, dtype=torch.float64) for name, v in self.history.items()}

    def _describe(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "method": self.name,
            "layout": self.layout.to_json(),
            "learning": asdict(self.learning),
            "seed": self.seed,
            "latent": self.latent,
            "encoder": asdict(self.encoder),
            "texts": self.texts,
            "learned": self.learned,
            "normalized_tasks": list(self.normalizer.tasks),
            "versions": {"python": platform.python_version(), "cpd": __version__} | {n: version(n) for n in LIBRARIES},
        }


def _pick(tasks: Sequence[str] | None, rows: slice) -> Sequence[str] | None:
    return None if tasks is None else tasks[rows]
