"""Embeddings of texts, each found once in a process.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


class Embeddings:
    """Embeddings of texts, each found once.

    Args:
        embed: texts -> (n, E) of length 1, for texts that are not known yet.
        name: of what embeds.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Tensor], name: str = "") -> None:
        self._embed, self.name = embed, name
        self._places: dict[str, int] = {}
        self._known: np.ndarray | None = None

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return (n, E) embeddings."""
        return torch.from_numpy(self._rows(texts))

    def know(self, texts: Sequence[str], found: Tensor) -> None:
        """Take over the (n, E) embeddings of texts, each of which is another."""
        new = [i for i, text in enumerate(texts) if text not in self._places]
        rows, own = [] if self._known is None else [self._known], found.numpy()[new]
        self._places |= {texts[i]: len(self._places) + n for n, i in enumerate(new)}
        self._known = np.concatenate([*rows, own])

    def mean(self, texts: Sequence[str]) -> np.ndarray:
        """Return the (E,) mean of texts, empty ones left out; zeros where there is none."""
        some = [text for text in texts if text]
        return self._rows(some).mean(axis=0) if some else np.zeros(self.size, np.float32)

    @property
    def size(self) -> int:
        """E."""
        return self._rows(["text"]).shape[1]

    def _rows(self, texts: Sequence[str]) -> np.ndarray:
        if missing := [text for text in dict.fromkeys(texts) if text not in self._places]:
            self.know(missing, self._embed(missing))
        assert self._known is not None
        return self._known[[self._places[text] for text in texts]]
