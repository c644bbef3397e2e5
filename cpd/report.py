"""Numbers out of a notebook: one JSON file per notebook, and the same values glued into the book.

A sentence of the book never holds a number of its own: it names a key that a notebook published.

Source: ours; gluing is myst-nb's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpd import artifacts
from cpd.metrics import Interval


def with_bounds(name: str, found: Interval) -> dict[str, float]:
    """Return a mean and the ends of its interval under the keys ``NAME``, ``NAME_low`` and ``NAME_high``."""
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def publish(notebook: str, numbers: Mapping[str, Any], preset: str) -> Path:
    """Write what a notebook found, and glue its scalars for the book.

    Args:
        notebook: name without its ending, as in ``"02_diffusion"``.
        numbers: key -> int, float, str, bool, or lists and dicts of them. Keys are identifiers.
        preset: whose run this is.

    Returns:
        The file ``PRESET/results/NOTEBOOK.json`` in the artifacts.

    Raises:
        ValueError: if a key is no identifier, or a value is not finite or of another type; names the key.
    """
    values = {key: _plain(key, value) for key, value in ({**numbers, "preset": preset}).items()}
    path = artifacts.write_json(artifacts.root() / preset / "results" / f"{notebook}.json", values)
    from myst_nb import glue

    for key, value in values.items():
        if isinstance(value, int | float | str):
            glue(key, value, display=False)
    return path


def _plain(key: str, value: Any) -> Any:
    if not key.isidentifier():
        raise ValueError(f"{key!r} is no identifier; name a result in letters, digits and underscores")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(key, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(key, each) for each in value]
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"result {key!r} is {value!r}; publish finite numbers and texts only")
