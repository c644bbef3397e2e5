"""Style tasks on one text-to-image model: the loss of a fine-tuning step, and the pictures that adapters draw.

``ImageDomain`` is what the zoo, the controls and the evaluation see of styles, behind the same interface as text. A
style is learned on some drawings, checkpoints are selected on others, and the report is on further ones; the base model
knows all of them, in plain style only.

Source: ours; the authors' image study fine-tunes PixArt on styles and measures a Frechet distance (arXiv 2408.01415,
section 4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from cpd import features
from cpd.conditions import ConditionEncoder
from cpd.domains.domain import Domain, digest, model_identity, model_name
from cpd.domains.embeddings import Embeddings
from cpd.domains.images import albums, base_model, pixart, telling
from cpd.domains.images.albums import Album, EmojiAlbum
from cpd.domains.images.captions import Captions
from cpd.domains.images.pixart import CHUNK, PixArt
from cpd.domains.images.shown import MOST, shown
from cpd.domains.settings import Finetuning
from cpd.domains.told import Shape
from cpd.measures import frechet
from cpd.runtime import artifacts, devices, tensor_files

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # of PixArt's self- and cross-attention
STEPS = 200  # of fine-tuning a style
SAMPLER_STEPS = 10  # of DPM-Solver++
DRAWS = 32  # image conditions per style that a generator learns from
TOLD = 50  # pictures of each style that the classifier learns from
ADAPTERS = {"cpu": 1, "cuda": 32, "mps": 4}  # that draw side by side


@dataclass(frozen=True)
class Look:
    """What the pictures of one adapter are like, beside the style's own.

    Attributes:
        accuracy: share of them that the classifier takes for the style.
        called: style that it takes most of them for.
        frechet: Frechet distance on MobileNetV2's features.
        kernel: squared kernel distance on them, unbiased in the number of pictures.
        inception: the published FID, or None where Inception's weights are not present.
    """

    accuracy: float
    called: str
    frechet: float
    kernel: float
    inception: float | None


class ImageDomain(Domain):
    """Styles on one text-to-image model.

    Args:
        spec: base model, styles (``tasks``), LoRA and numbers of pictures.
        album: captioned pictures in styles; the training styles of the suite where it is not given.
        draws: folders of pictures that each style is told by.

    Raises:
        ValueError: if a style is not in the album, or other targets than ``attention`` are asked for.
    """

    def __init__(self, spec: Finetuning, album: Album | None = None, draws: int = DRAWS) -> None:
        if spec.targets != "attention":
            raise ValueError(f"targets is {spec.targets!r}; on pictures adapters go to 'attention' only")
        super().__init__(spec)
        self.album = album or albums.album(spec.suite, "training")
        if unknown := [name for name in spec.tasks if name not in self.album.names]:
            raise ValueError(f"no style {unknown[0]!r}; there are {', '.join(self.album.names)}")
        self.draws = draws
        self._latents: dict[str, Tensor] = {}
        self._real: dict[tuple[str, str], Tensor] = {}
        self._identities: dict[str, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageDomain, (self.spec, self.album, self.draws), {"starts": self.starts}

    @property
    def names(self) -> list[str]:
        """Names of the styles, in the order of the album."""
        return list(self.spec.tasks or self.album.names)

    def made_of(self, task: str) -> dict[str, Any]:
        """Return what, beside the spec, a run of a style depends on: the base model and the style's pictures."""
        if task not in self._identities:
            self._identities[task] = self.album.identity(task)
        return {"base": self._base, "pictures": self._identities[task]}

    @cached_property
    def _base(self) -> str:
        where = source(self.spec.base)
        return model_identity(where, where)

    @cached_property
    def painter(self) -> PixArt:
        """The base model."""
        return pixart.from_pretrained(source(self.spec.base))

    def model(self, training: bool = True) -> PeftModel:
        """Return the base transformer with a fresh adapter, the same one each time."""
        transformer = pixart.transformer(source(self.spec.base))
        transformer.name_or_path = model_name(self.spec.base)
        config = LoraConfig(
            r=self.spec.rank,
            lora_alpha=self.spec.alpha,
            lora_dropout=self.spec.dropout,
            target_modules=list(TARGETS),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.spec.init_seed)
            return get_peft_model(transformer, config)

    def steps(self, task: str) -> int:
        """Return the number of fine-tuning steps of a style."""
        return max(2, round(STEPS * self.spec.scale))

    def rows(self, task: str, seed: int, step: int) -> np.ndarray:
        """Return the (b,) training pictures of a step: permutations of all, one after the other."""
        count, size = len(self.latents(task)), self.spec.batch
        first, skipped = divmod(step * size, count)
        epochs = range(first, first + (skipped + size - 1) // count + 1)
        return np.concatenate([_permutation(count, seed, epoch) for epoch in epochs])[skipped:][:size]

    @property
    def told_shape(self) -> Shape:
        """What the numbers of a condition are: mean features of pictures, a sentence's embedding, which of both."""
        return telling.shape(self.embeddings.size)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings of sentences."""
        return Embeddings(ConditionEncoder("description").encode)

    def size(self, task: str) -> int:
        """Return the number of training pictures."""
        return len(self.latents(task))

    def prepare(self) -> None:
        """Draw, encode and look at the training pictures of all styles, on every core, and keep what comes of it."""
        missing = [name for name in self.names if name not in self._latents]
        if not missing or not isinstance(self.album, EmojiAlbum):
            return
        spec = {"pictures": digest(*(self.album.identity(name) for name in missing)), "base": self._base, "told": TOLD}
        folder = artifacts.address("prepared", spec | {"device": self.device.type})
        with artifacts.making(folder, spec) as partial:
            if partial:
                drawn = albums.rendered(self.album, missing, "train", self.painter.size)
                latents = torch.stack([self.painter.latents(pictures) for pictures in drawn.values()])
                seen = torch.stack([features.features(pictures[:TOLD]) for pictures in drawn.values()])
                tensor_files.write_tensors(partial / "prepared.safetensors", {"latents": latents, "features": seen})
        found = tensor_files.read_tensors(folder / "prepared.safetensors")
        for name, latents, seen in zip(missing, found["latents"], found["features"], strict=True):
            self._latents[name], self._real[name, "train"] = latents, seen

    def sentence(self, task: str) -> str:
        """Return the sentence that a style is asked with."""
        return self.album.sentence(task)

    def phrasings(self, task: str) -> tuple[str, ...]:
        """Return the sentences that a style is learned with."""
        return self.album.phrasings(task)

    def asked(self, task: str) -> Tensor:
        """Return the (C,) condition that tells that sentence and nothing else."""
        return telling.told(self.embeddings, self.sentence(task))

    def lesson(self, task: str, count: int, random: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Draw training pictures of a style, and tell the style by others of its pictures, a sentence, or both.

        Args:
            task: name of the style.
            count: b, of the pictures.
            random: which pictures, what is told.

        Returns:
            (C,) condition; (b,) training pictures.
        """
        rows, free = self.asked_about(task, count, random)
        kind = str(random.choice(["pictures", "sentence", "both"], p=(0.5, 0.2, 0.3)))
        seen, sentence = None, ""
        if kind != "sentence" and len(free):
            most = int(random.integers(1, min(MOST, len(free)) + 1))
            seen = self.real(task, "train")[random.choice(free, most, replace=False)]
        if kind != "pictures" or seen is None:
            sentence = str(random.choice(self.phrasings(task)))
        return telling.told(self.embeddings, sentence, seen), rows

    def asked_about(self, task: str, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw (b,) training pictures of a style to ask about; return them, and those left that may be shown."""
        pictures = len(self.latents(task))
        rows = random.choice(pictures, count, replace=pictures < 2 * count)
        return rows, np.setdiff1d(np.arange(len(self.real(task, "train"))), rows)

    def loss(
        self,
        vectors: Tensor,
        tasks: Sequence[str],
        rows: Sequence[np.ndarray],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """Return the denoising error of each adapter on styled pictures under their captions.

        Args:
            vectors: (G, K) adapters.
            tasks: G names of styles.
            rows: G times (b,) training pictures.
            generators: G, of timesteps, noise and dropout; None stands for those of seed 0, without dropout.

        Returns:
            (G,) means over the b pictures.
        """
        parts, base = list(zip(tasks, rows, strict=True)), self.base(training=True)
        z = torch.stack([self.latents(task)[own] for task, own in parts]).to(self.device)
        told = [self.captions(task, "train")[own] for task, own in parts]
        captions = Captions(torch.cat([x.tokens for x in told]), torch.cat([x.mask for x in told])).to(self.device)
        captions, loras = self.heard(captions, vectors.to(self.device))
        noise = generators or [torch.Generator().manual_seed(0) for _ in tasks]
        dropout = generators and [devices.generator_on(self.device, each) for each in generators]
        with (
            devices.autocast(self.precision, self.device),
            base.carrying(loras, len(rows[0]), dropout) as transformer,
        ):
            return self.painter.errors(transformer, z, captions, noise)

    def heard(self, captions: Captions, vectors: Tensor) -> tuple[Captions, Tensor]:
        """Return the captions as the base model reads them under some adapters, and the LoRA of these.

        Args:
            captions: n for every adapter, one adapter after the other.
            vectors: (G, K) adapters.
        """
        return captions, vectors

    @torch.no_grad()
    def draw(self, task: str, vectors: Tensor, split: str, numbers: range, seed: int = 0) -> np.ndarray:
        """Draw the captions of a split, over and over, with adapters; every adapter starts from the same noise.

        Args:
            task: whose captions.
            vectors: (n, K) adapters.
            split: "train", "select" or "report".
            numbers: of the pictures; the same number has the same caption and noise whatever else is drawn.
            seed: of the noise.

        Returns:
            (n, m, s, s, 3) uint8, of each adapter one of each number.
        """
        captions, drawn = self.captions(task, split), []
        for some in vectors.to(self.device).split(ADAPTERS[self.device.type]):
            parts = [numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK)]
            drawn.append(np.concatenate([self._paint(some, captions, part, seed) for part in parts], axis=1))
        return np.concatenate(drawn)

    def _paint(self, vectors: Tensor, captions: Captions, numbers: range, seed: int) -> np.ndarray:
        everyone = list(numbers) * len(vectors)
        shown, loras = self.heard(captions[[i % len(captions) for i in everyone]], vectors)
        with self.base(training=False).carrying(loras, len(numbers)) as transformer:
            drawn = self.painter.paint(transformer, shown, seed, SAMPLER_STEPS, numbers=everyone)
        return drawn.reshape(len(vectors), len(numbers), *drawn.shape[1:])

    def score(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Return the share of each adapter's pictures that the style classifier takes for the style.

        Args:
            task: name of the style.
            vectors: (n, K) adapters.
            split: "select" or "report".

        Returns:
            (n,) in [0, 1].
        """
        numbers = range(self.spec.select_rows if split == "select" else self.spec.report_rows)
        drawn = [features.features(pictures) for pictures in self.draw(task, vectors, split, numbers)]
        return np.array([(self.classifier.predict(seen.numpy()) == task).mean() for seen in drawn])

    def look(self, task: str, vector: Tensor) -> Look:
        """Draw the report captions with an adapter and look at the pictures, or find what was seen before.

        Args:
            task: name of the style.
            vector: (K,) adapter.

        Returns:
            How they are beside the style's own pictures of the report split.
        """
        spec = {
            "task": task,
            "adapter": hashlib.sha256(vector.cpu().numpy().tobytes()).hexdigest(),
            "drawn": [self.spec.report_rows, SAMPLER_STEPS, self.device.type],
            "known": {name: self.made_of(name) for name in self.names},
            "inception": features.inception_weights() is not None,
        }
        folder = artifacts.address("looks", spec)
        with artifacts.making(folder, spec) as partial:
            if partial:
                artifacts.write_json(partial / "look.json", asdict(self._look(task, vector)))
        return Look(**artifacts.read_json(folder / "look.json"))

    def _look(self, task: str, vector: Tensor) -> Look:
        (drawn,) = self.draw(task, vector[None], "report", range(self.spec.report_rows))
        seen, own = features.features(drawn), self.real(task, "report")
        names, counts = np.unique(self.classifier.predict(seen.numpy()), return_counts=True)
        inception = features.inception_weights() and frechet.frechet_distance(
            features.inception(self.album.pictures(task, "report", self.painter.size)), features.inception(drawn)
        )
        return Look(
            accuracy=float(counts[names == task].sum() / len(seen)),
            called=str(names[counts.argmax()]),
            frechet=frechet.frechet_distance(own, seen),
            kernel=frechet.kernel_distance(own, seen),
            inception=inception or None,
        )

    @cached_property
    def classifier(self) -> Any:
        """Logistic regression of the style on the features of its own pictures, training split."""
        seen = {name: self.real(name, "train") for name in self.names}
        labels = [name for name, rows in seen.items() for _ in rows]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        if len(seen) == 1:
            model = DummyClassifier()  # of one style every picture is
        return model.fit(torch.cat(list(seen.values())).numpy(), labels)

    def conditions(self, kind: str, split: str = "train", draws: int | None = None) -> dict[str, list[str]]:
        """Return what a generator may be told of each style.

        Args:
            kind: "images": folders of pictures in the style, eight, seven, ... one, eight, ...; else its sentence.
            split: whose pictures.
            draws: how many folders of each style, as many as the domain has if not given.
        """
        if kind != "images":
            return {name: [self.album.sentence(name)] for name in self.names}
        drawn = {name: self.album.pictures(name, split, self.painter.size) for name in self.names}
        return {
            name: [shown(pictures, draw) for draw in range(draws or self.draws)] for name, pictures in drawn.items()
        }

    def captions(self, task: str, split: str) -> Captions:
        """Return the captions of a split, encoded."""
        return self.painter.encode(self.album.captions(task, split))

    def latents(self, task: str) -> Tensor:
        """Return the (n, c, h, w) latents of the pictures that a style is learned on."""
        if task not in self._latents:
            self._latents[task] = self.painter.latents(self.album.pictures(task, "train", self.painter.size))
        return self._latents[task]

    def real(self, task: str, split: str) -> Tensor:
        """Return the (n, F) features of a style's own pictures of a split; of the training split the first few."""
        if (task, split) not in self._real:
            count = TOLD if split == "train" else None
            self._real[task, split] = features.features(self.album.pictures(task, split, self.painter.size, count))
        return self._real[task, split]


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    random = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(count, generator=random).numpy()


def source(base: str) -> str:
    """Return what `pixart.from_pretrained` is given for a base: "emoji" is the small model of this package."""
    return str(base_model.KEPT) if base == "emoji" else base
