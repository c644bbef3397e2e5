"""How long a hypernetwork learns people's own data, and what of it is learned from.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cpd.methods.hypernetwork.settings import Writing

TEXTS = {
    "smoke": Writing(width=64, depth=1, steps=20, tasks=4, rows=4),
    "laptop": Writing(steps=400, tasks=8, rows=8),
    "full": Writing(),
}
PICTURES = {
    "smoke": Writing(writes="all", width=64, depth=1, steps=10, tasks=2, rows=2, cond_noise=0.1),
    "laptop": Writing(writes="all", steps=150, tasks=16, rows=4, cond_noise=0.1),
    "full": Writing(writes="all", steps=3000, tasks=32, rows=4, cond_noise=0.1),
}


def sizes(presets: Mapping[str, Writing], preset: str, **changes: Any) -> Writing:
    """Return how long to learn, with some of its numbers changed where they are given.

    Args:
        presets: `TEXTS` or `PICTURES`.
        preset: one of them.
        **changes: fields of `Writing`; None keeps what the preset says.

    Raises:
        ValueError: if there is no such preset, or a number is out of range.
    """
    if preset not in presets:
        raise ValueError(f"no preset {preset!r} of method hypernetwork; there are {', '.join(presets)}")
    return replace(presets[preset], **{name: value for name, value in changes.items() if value is not None})


def learned(names: Sequence[str], held_out: Collection[str]) -> list[str]:
    """Return the names of the tasks that are learned.

    Raises:
        ValueError: if a task that is held out is none, or fewer than two are left.
    """
    if strangers := [name for name in held_out if name not in names]:
        raise ValueError(f"there is no task {strangers[0]!r} to hold out; there are {', '.join(names)}")
    left = [name for name in names if name not in held_out]
    if len(left) < 2:
        raise ValueError(
            f"{len(left)} task is left to learn from, and 2 or more are needed; add a folder for each or hold out fewer"
        )
    return left
