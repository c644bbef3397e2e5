"""What the notebooks on styles have in common: pictures for their pages, and what adapters' pictures are like.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cpd.domains.images.albums import Album
from cpd.domains.images.domain import ImageDomain, Look
from cpd.evaluation import measure_arms

OF, EVERY = 48, 4  # a page shows every fourth of so many drawings of the report split


def real(album: Album, names: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """Return pictures of styles for a page, the same drawings and as many of each style.

    Args:
        album: whose pictures.
        names: of the styles.
        size: height and width, pixels.

    Returns:
        Style -> (n, size, size, 3) uint8.
    """
    each = {name: album.pictures(name, "report", size, OF)[::EVERY] for name in names}
    fewest = min(map(len, each.values()))
    return {name: shown[:fewest] for name, shown in each.items()}


def drawn(domain: ImageDomain, style: str, vectors: Mapping[str, Tensor], count: int) -> dict[str, np.ndarray]:
    """Draw the captions of the pictures that `real` shows.

    Args:
        domain: draws.
        style: whose captions.
        vectors: row of a page -> (K,) adapter.
        count: pictures of each adapter.

    Returns:
        Row -> (count, s, s, 3) uint8.
    """
    numbers = range(0, EVERY * count, EVERY)
    return dict(zip(vectors, domain.draw(style, torch.stack(list(vectors.values())), "report", numbers), strict=True))


@dataclass(frozen=True)
class Looks:
    """What the pictures of many adapters are like.

    Attributes:
        found: style -> arm -> one look per adapter.
    """

    found: dict[str, dict[str, list[Look]]]

    def each(self, field: str) -> dict[str, dict[str, list[Any]]]:
        """Return style -> arm -> one field of every look."""
        return {
            name: {arm: [getattr(look, field) for look in looks] for arm, looks in own.items()}
            for name, own in self.found.items()
        }

    def mean(self, field: str) -> pd.DataFrame:
        """Return the means of one field over adapters: a row per arm, a column per style."""
        return pd.DataFrame(
            {name: {arm: np.mean(x) for arm, x in own.items()} for name, own in self.each(field).items()}
        )


def looked_at(domain: ImageDomain, made: Mapping[str, Mapping[str, Tensor]]) -> Looks:
    """Draw with every adapter of every arm, and look at the pictures, or find what was seen before.

    Args:
        domain: draws and judges.
        made: style -> arm -> (n, K).
    """
    return Looks(measure_arms(domain.look, made, "looking at pictures"))
