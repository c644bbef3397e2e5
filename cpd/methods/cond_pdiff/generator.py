"""CondPDiff: normalizer, autoencoder, condition encoder and denoiser as one thing to fit, ask, save and load.

It never holds the whole matrix of a zoo. Scores, tasks and PEFT folders are not known here.

Source: arXiv 2408.01415, section 3 (algorithm 1: autoencoder, then conditional latent diffusion, then generation).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from cpd import __version__
from cpd.adapters.layout import AdapterLayout
from cpd.conditions import ConditionEncoder, KnownConditions
from cpd.diffusion import guided, noise_generators, sample, schedule
from cpd.methods.cond_pdiff import fitting
from cpd.methods.cond_pdiff.autoencoder import Autoencoder
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.methods.cond_pdiff.normalizer import Normalizer
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.method import read, save

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

FORMAT = 1  # of the saved generator; raised when older files can no longer be read
LIBRARIES = ("torch", "diffusers", "accelerate", "peft", "transformers", "sentence-transformers", "safetensors")
BATCH_VALUES = 2**23  # coordinates handled at a time outside training


class CondPDiff:
    """A generator of adapters, conditioned on what the task is.

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
        history: losses per step, "autoencoder" and "diffusion".
    """

    name: ClassVar[str] = "cond_pdiff"
    needs: ClassVar[frozenset[str]] = frozenset({"zoo"})

    def __init__(
        self,
        layout: AdapterLayout,
        learning: Learning,
        seed: int,
        normalizer: Normalizer,
        encoder: ConditionEncoder,
        texts: Mapping[str, Sequence[str]],
        conditions: dict[str, Tensor],
    ) -> None:
        """Build the networks at their seeded initialization; `fit` and `from_pretrained` are the ways in."""
        self.layout, self.learning, self.seed, self.normalizer = layout, learning, seed, normalizer
        self.encoder, self.conditions = encoder, conditions
        self.texts = {task: list(texts.get(task, ())) for task in encoder.tasks}
        self.history: dict[str, list[float]] = {"autoencoder": [], "diffusion": []}
        known = torch.cat(list(conditions.values()))  # (M, C)
        noise = (learning.input_noise, learning.latent_noise)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.autoencoder = Autoencoder(len(normalizer.moving), learning.latent, *noise).eval()
            self.denoiser = Denoiser(learning.latent, known.shape[1], learning.width, learning.depth).eval()
        self.denoiser.center(known)

    @classmethod
    def fit(cls, zoo: AdapterZoo, learning: Learning, seed: int, folder: Path) -> CondPDiff:
        """Learn a zoo's training rows: autoencoder first, then the denoiser of its latents.

        Args:
            zoo: adapters with task and condition.
            learning: sizes, steps and rates.
            seed: names the fit; equal zoo, learning and seed give equal bytes on one machine.
            folder: keeps the training states; called again with it, an interrupted fit goes on where it was.

        Returns:
            The fitted generator.

        Raises:
            ValueError: if a task has fewer than 2 training rows or no condition, or a weight is not finite.

        Source: arXiv 2408.01415, algorithm 1.
        """
        digest = fitting.checked(zoo, f"{FORMAT} {asdict(learning)} {seed}")
        index, tasks = np.asarray(zoo.training()), [row.task for row in zoo.rows]
        encoder = ConditionEncoder(learning.condition, learning.encoder, tuple(zoo.tasks))
        conditions = encoder.of_tasks(zoo.conditions)
        normalizer = Normalizer.fit(learning.normalization, zoo.vectors, tasks, index)
        self = cls(zoo.layout, learning, seed, normalizer, encoder, zoo.conditions, conditions)
        state = folder / f".autoencoder-{digest}.safetensors"
        self.history["autoencoder"] = fitting.fit_autoencoder(self.autoencoder, normalizer, zoo, learning, seed, state)
        latents = self.autoencoder.standardize(self._latents(zoo.vectors, tasks, index))
        state = folder / f".denoiser-{digest}.safetensors"
        self.history["diffusion"] = fitting.fit_denoiser(
            self.denoiser, latents, [tasks[i] for i in index], conditions, learning, seed, state
        )
        return self

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
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self._require_task(task)
        given = self.condition(condition)
        self._require_null(given, guidance)
        latents = sample(
            guided(self.denoiser, guidance),
            schedule(sampler, self.learning.prediction, self.learning.timesteps, self.learning.betas),
            steps,
            None if given is None else given.expand(n, -1),
            self.learning.latent,
            noise_generators(seed, n),
        )
        return self.decode(latents, None if task is None else [task] * n)

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
        """Return the same generator with its networks as they were before training; the normalizer is kept."""
        return CondPDiff(
            self.layout, self.learning, self.seed, self.normalizer, self.encoder, self.texts, self.conditions
        )

    def save_pretrained(self, folder: Path) -> Path:
        """Write everything that `from_pretrained` needs, whole or not at all: JSON, safetensors and a manifest.

        Raises:
            FileExistsError: if ``folder`` exists already.
        """
        return save(folder, self._describe(), self._tensors())

    @classmethod
    def from_pretrained(cls, folder: Path) -> CondPDiff:
        """Read a saved generator: it generates the same bytes as the one that was saved.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file differs from its manifest, or was written by another format.
        """
        about, tensors = read(folder, cls.name, FORMAT)
        learning, layout = Learning(**about["learning"]), AdapterLayout.from_json(about["layout"])
        encoder = ConditionEncoder(
            about["encoder"]["kind"], about["encoder"]["model"], tuple(about["encoder"]["tasks"])
        )
        normalizer = Normalizer(
            learning.normalization, layout.size, tensors["normalizer/moving"], about["normalized_tasks"]
        )
        conditions = {task: tensors.pop(f"condition/{task}") for task in encoder.tasks}
        self = cls(layout, learning, about["seed"], normalizer, encoder, about["texts"], conditions)
        self.history = {name: tensors.pop(f"history/{name}").tolist() for name in self.history}
        for name, module in self._modules().items():
            prefix = f"{name}/"
            module.load_state_dict(
                {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            )
        return self

    def _latents(self, vectors: np.ndarray, tasks: list[str], index: np.ndarray) -> Tensor:
        """Return the (len(index), D) latents of the chosen rows, a few rows in memory at a time."""
        parts = []
        for batch in self._batches(len(index)):
            rows = index[batch]
            parts.append(self.encode(torch.from_numpy(np.asarray(vectors[rows])), [tasks[i] for i in rows]))
        return torch.cat(parts)

    def _batches(self, count: int) -> Iterator[slice]:
        step = max(1, BATCH_VALUES // self.layout.size)
        return (slice(start, start + step) for start in range(0, count, step))

    def _require_null(self, given: Tensor | None, guidance: float) -> None:
        if not math.isfinite(guidance):
            raise ValueError(f"guidance must be a finite number, got {guidance}; 1 means off")
        if self.encoder.kind != "none" and not self.learning.cond_drop and (given is None or guidance != 1):
            raise ValueError("the null condition was never learned (cond_drop is 0); give a condition, and guidance 1")

    def _require_task(self, task: str | None) -> None:
        if self.learning.normalization == "per_task" and task not in self.normalizer.tasks:
            raise ValueError(
                f"this generator was normalized per task: say whose statistics scale the result back with task=, "
                f"one of {', '.join(self.normalizer.tasks)}; got {task!r}"
            )

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
            "encoder": asdict(self.encoder),
            "texts": self.texts,
            "normalized_tasks": list(self.normalizer.tasks),
            "versions": {"python": platform.python_version(), "cpd": __version__} | {n: version(n) for n in LIBRARIES},
        }


def _pick(tasks: Sequence[str] | None, rows: slice) -> Sequence[str] | None:
    return None if tasks is None else tasks[rows]
