"""Pictures that a generator is shown: some of a style's own, kept as an artifact that a condition names.

Source: ours.
"""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from cpd.runtime import artifacts

MOST = 8  # pictures in one condition


def shown(pictures: np.ndarray, draw: int) -> str:
    """Write a random choice of pictures to a folder, or find it.

    Args:
        pictures: (n, s, s, 3) uint8.
        draw: number of the choice: eight pictures, seven, ... one, eight, ...

    Returns:
        The folder, relative to that of all artifacts.
    """
    chosen = pictures[np.random.default_rng(draw).permutation(len(pictures))[: MOST - draw % MOST]]
    spec = {"sha256": hashlib.sha256(chosen.tobytes()).hexdigest()}
    folder = artifacts.address("pictures", spec)
    with artifacts.making(folder, spec) as partial:
        for i, picture in enumerate(chosen if partial else ()):
            Image.fromarray(picture).save(f"{partial}/{i}.png")
    return str(folder.relative_to(artifacts.root()))
