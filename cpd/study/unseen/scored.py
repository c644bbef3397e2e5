"""Arms that are scored once: an artifact for each arm and seed, so that a study goes on where it was stopped.

Source: ours.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cpd.runtime import artifacts, devices

VERSION = 3  # of what an arm is; raised when the same settings no longer give the same scores
Found = dict[str, dict[str, dict[str, Any]]]  # arm -> task -> name of a number -> the number


def scores(
    made_by: Mapping[str, Any], seed: int, names: Sequence[str], score: Callable[[Sequence[str]], Mapping[str, Any]]
) -> Found:
    """Score arms, or find what was scored before.

    Args:
        made_by: settings of the study, JSON values.
        seed: of all that is learned and drawn.
        names: of the arms.
        score: of the names of some arms, arm -> task -> numbers; called with those that were not scored yet.

    Returns:
        Arm -> task -> numbers.
    """
    where = {"device": devices.device().type, "precision": devices.precision(), "version": VERSION}
    specs = {name: {**made_by, **where, "arm": name, "seed": seed} for name in names}
    folders: dict[str, Path] = {name: artifacts.address("unseen", spec) for name, spec in specs.items()}
    if missing := [name for name in names if not artifacts.is_complete(folders[name])]:
        for name, found in score(missing).items():
            with artifacts.making(folders[name], specs[name]) as partial:
                if partial:
                    artifacts.write_json(partial / "scores.json", found)
    return {name: artifacts.read_json(folder / "scores.json") for name, folder in folders.items()}


def packed(pictures: np.ndarray) -> str:
    """Return (n, s, s, 3) uint8 pictures side by side as a PNG, in base64."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate([*pictures], axis=1)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def unpacked(text: str) -> np.ndarray:
    """Return the (n, s, s, 3) uint8 pictures that `packed` put side by side."""
    row = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    return np.stack(np.split(row, row.shape[1] // row.shape[0], axis=1))
