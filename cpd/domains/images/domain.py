"""Style tasks on one text-to-image model: the loss of a fine-tuning step, and the pictures that adapters draw.

``ImageDomain`` is what the zoo, the controls and the evaluation see of styles, behind the same interface as text. A
style is learned on some drawings, checkpoints are selected on others, and the report is on further ones; the base model
knows all of them, in plain style only.

Source: ours; the authors' image study fine-tunes PixArt on styles and measures a Frechet distance (arXiv 2408.01415,
section 4.2).
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from cpd import features
from cpd.adapters.layout import AdapterLayout
from cpd.domains.images import albums, base_model, pixart
from cpd.domains.images.albums import Album
from cpd.domains.images.pixart import Captions, PixArt
from cpd.domains.settings import Finetuning
from cpd.measures import frechet
from cpd.runtime import artifacts
from cpd.runtime.training import fastest_precision

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # of PixArt's self- and cross-attention
STEPS = 200  # of fine-tuning a style
SAMPLER_STEPS = 10  # of DPM-Solver++
SHOWN = 8  # most pictures in one image condition
DRAWS = 32  # image conditions per style that a generator learns from
TOLD = 50  # pictures of each style that the classifier learns from


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


class ImageDomain:
    """Styles on one text-to-image model.

    Args:
        spec: base model, styles (``tasks``), LoRA and numbers of pictures.
        album: captioned pictures in styles; the training styles of the suite where it is not given.

    Raises:
        ValueError: if a style is not in the album, or other targets than ``attention`` are asked for.
    """

    def __init__(self, spec: Finetuning, album: Album | None = None) -> None:
        if spec.targets != "attention":
            raise ValueError(f"targets is {spec.targets!r}; on pictures adapters go to 'attention' only")
        self.spec, self.album = spec, album or albums.album(spec.suite, "training")
        if unknown := [name for name in spec.tasks if name not in self.album.names]:
            raise ValueError(f"no style {unknown[0]!r}; there are {', '.join(self.album.names)}")
        self._captions: dict[tuple[str, str], Captions] = {}
        self._latents: dict[str, Tensor] = {}
        self._real: dict[tuple[str, str], Tensor] = {}
        self._identities: dict[str, str] = {}

    def __reduce__(self) -> tuple[type[ImageDomain], tuple[Finetuning, Album]]:
        return ImageDomain, (self.spec, self.album)

    @property
    def names(self) -> list[str]:
        """Names of the styles, in the order of the album."""
        return list(self.spec.tasks or self.album.names)

    def made_of(self, task: str) -> dict[str, str]:
        """Return what, beside the spec, a run of a style depends on: the base model and the style's pictures."""
        if task not in self._identities:
            self._identities[task] = self.album.identity(task)
        return {"base": self._base, "pictures": self._identities[task]}

    @cached_property
    def _base(self) -> str:
        where = Path(source(self.spec.base))
        return f"{where.name} {artifacts.folder_digest(where)}" if where.is_dir() else self.spec.base

    @cached_property
    def painter(self) -> PixArt:
        """The base model."""
        return pixart.from_pretrained(source(self.spec.base))

    def model(self) -> PeftModel:
        """Return the base transformer with a fresh adapter, the same one each time."""
        transformer = pixart.from_pretrained(source(self.spec.base)).transformer
        transformer.name_or_path = Path(self.spec.base).name if Path(self.spec.base).is_dir() else self.spec.base
        config = LoraConfig(
            r=self.spec.rank,
            lora_alpha=self.spec.alpha,
            lora_dropout=self.spec.dropout,
            target_modules=list(TARGETS),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.spec.init_seed)
            return get_peft_model(transformer, config)

    @cached_property
    def _scorer(self) -> PeftModel:
        return self.model().eval()

    @cached_property
    def layout(self) -> AdapterLayout:
        """Layout of the adapters of all styles."""
        return AdapterLayout.of(_adapter(self._scorer), self._scorer.peft_config["default"].to_dict())

    def state(self, model: Any) -> Tensor:
        """Return the adapter that ``model`` carries as a (K,) vector."""
        return self.layout.flatten(_adapter(model))

    def untrained(self) -> Tensor:
        """Return the (K,) vector of the initialization that all runs share: no style at all."""
        return self.state(self.model())

    def steps(self, task: str) -> int:
        """Return the number of fine-tuning steps of a style."""
        return max(2, round(STEPS * self.spec.scale))

    def loss(self, model: nn.Module, task: str, generator: torch.Generator) -> Tensor:
        """Return the denoising error of one batch of styled pictures under their captions."""
        latents, captions = self.latents(task), self.captions(task, "train")
        rows = torch.randint(len(latents), (self.spec.batch,), generator=generator)
        device = next(model.parameters()).device
        return self.painter.loss(model, latents[rows].to(device), captions[rows], 0.0, generator)

    def draw(self, task: str, vector: Tensor, split: str, numbers: range, seed: int = 0) -> np.ndarray:
        """Draw the captions of a split, over and over, with an adapter; every adapter starts from the same noise.

        Args:
            task: whose captions.
            vector: (K,) adapter.
            split: "train", "select" or "report".
            numbers: of the pictures; the same number has the same caption and noise whatever else is drawn.
            seed: of the noise.

        Returns:
            (n, s, s, 3) uint8, one of each number.
        """
        set_peft_model_state_dict(self._scorer, self.layout.unflatten(vector))
        merged = copy.deepcopy(self._scorer).merge_and_unload()  # a quarter faster than beside the weights
        captions = self.captions(task, split)
        shown = captions[[i % len(captions) for i in numbers]]
        return self.painter.draw(merged, shown, seed, SAMPLER_STEPS, numbers=numbers)

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
        drawn = [features.features(self.draw(task, vector, split, numbers)) for vector in vectors]
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
            "adapter": hashlib.sha256(vector.numpy().tobytes()).hexdigest(),
            "drawn": [self.spec.report_rows, SAMPLER_STEPS, fastest_precision()],
            "known": {name: self.made_of(name) for name in self.names},
            "inception": features.inception_weights() is not None,
        }
        folder = artifacts.address("looks", spec)
        if not artifacts.is_complete(folder):
            look = self._look(task, vector)
            with artifacts.building(folder, spec) as partial:
                artifacts.write_json(partial / "look.json", asdict(look))
        return Look(**artifacts.read_json(folder / "look.json"))

    def _look(self, task: str, vector: Tensor) -> Look:
        drawn = self.draw(task, vector, "report", range(self.spec.report_rows))
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

    def conditions(self, kind: str, split: str = "train", draws: int = DRAWS) -> dict[str, list[str]]:
        """Return what a generator may be told of each style.

        Args:
            kind: "images": folders of pictures in the style, eight, seven, ... one, eight, ...; else its sentence.
            split: whose pictures.
            draws: how many folders of each style.
        """
        if kind != "images":
            return {name: [self.album.sentence(name)] for name in self.names}
        drawn = {name: self.album.pictures(name, split, self.painter.size) for name in self.names}
        return {name: [_shown(pictures, draw) for draw in range(draws)] for name, pictures in drawn.items()}

    def captions(self, task: str, split: str) -> Captions:
        """Return the captions of a split, encoded."""
        texts = self.album.captions(task, split)
        key = split, "\n".join(texts)
        if key not in self._captions:
            once = {text: i for i, text in enumerate(dict.fromkeys(texts))}
            self._captions[key] = self.painter.encode(list(once))[[once[text] for text in texts]]
        return self._captions[key]

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


def _adapter(model: Any) -> dict[str, Tensor]:
    return get_peft_model_state_dict(model, save_embedding_layers=False)  # "auto" would ask the hub for the base


def _shown(pictures: np.ndarray, draw: int) -> str:
    """Write a random choice of pictures to a folder of the artifacts, and return which."""
    chosen = pictures[np.random.default_rng(draw).permutation(len(pictures))[: SHOWN - draw % SHOWN]]
    spec = {"sha256": hashlib.sha256(chosen.tobytes()).hexdigest()}
    folder = artifacts.address("pictures", spec)
    if not artifacts.is_complete(folder):
        with artifacts.building(folder, spec) as partial:
            for i, picture in enumerate(chosen):
                Image.fromarray(picture).save(partial / f"{i}.png")
    return str(folder.relative_to(artifacts.root()))


def source(base: str) -> str:
    """Return what `pixart.from_pretrained` is given for a base: "emoji" is the small model of this package."""
    return str(base_model.KEPT) if base == "emoji" else base
