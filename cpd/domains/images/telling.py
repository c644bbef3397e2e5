"""What is told of a style: the mean features of pictures in it, a sentence's embedding, and which of both there is.

Source: ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cpd import features
from cpd.domains.embeddings import Embeddings
from cpd.domains.told import Shape


def told(embeddings: Embeddings, sentence: str = "", seen: Tensor | None = None) -> Tensor:
    """Return the (C,) condition of a style.

    Args:
        embeddings: of sentences.
        sentence: that describes the style; empty where that is not told.
        seen: (n, F) features of pictures in the style; None where none are shown.
    """
    shown = torch.zeros(features.SIZE) if seen is None else seen.mean(dim=0)
    flags = torch.tensor([float(seen is not None), float(bool(sentence))])
    return torch.cat([shown, torch.from_numpy(embeddings.mean([sentence])), flags])


def shape(embedding: int) -> Shape:
    """Return what the numbers of a condition are, for embeddings of so many numbers."""
    return Shape((features.SIZE, embedding), flags=2)
