"""What a notebook found: one JSON file and its pictures, from which its page is written and drawn.

A notebook has two halves. The first computes, and ends with ``publish``; the second begins with ``recall`` and makes
every figure, table and sentence of what comes back, so that a page can be drawn again without its run. A sentence of
the book never holds a number of its own: it names a key that a notebook published.

Source: ours; gluing is myst-nb's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cpd.measures.statistics import Interval
from cpd.runtime import artifacts

Sheet = Mapping[str, np.ndarray]  # arm or label -> (n, h, w, 3) uint8, all of one shape


def with_bounds(name: str, found: Interval) -> dict[str, float]:
    """Return a mean and the ends of its interval under the keys ``NAME``, ``NAME_low`` and ``NAME_high``."""
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def place(notebook: str, preset: str) -> Path:
    """Return where a notebook's numbers are: ``PRESET/results/NOTEBOOK.json`` in the artifacts."""
    return artifacts.root() / preset / "results" / f"{notebook}.json"


def publish(
    notebook: str, numbers: Mapping[str, Any], preset: str, pictures: Mapping[str, Sheet] | None = None
) -> None:
    """Write what a notebook found, where `place` says.

    Args:
        notebook: name without its ending, as in ``"02_diffusion"``.
        numbers: key -> int, float, str, bool, or lists and dicts of them. Keys are identifiers.
        preset: whose run this is.
        pictures: sheet -> rows of pictures; each sheet becomes ``NOTEBOOK/SHEET.png`` beside the numbers, which name
            its rows under the key ``pictures``.

    Raises:
        ValueError: if a key is no identifier, or a value is not finite or of another type; names the key.
    """
    named = {sheet: {"rows": list(rows), "size": _size(rows)} for sheet, rows in (pictures or {}).items()}
    given = {**numbers, "preset": preset} | ({"pictures": named} if named else {})
    values = {key: _plain(key, value) for key, value in given.items()}
    path = place(notebook, preset)
    for sheet, rows in (pictures or {}).items():
        file = BytesIO()
        Image.fromarray(np.vstack([np.hstack(list(row)) for row in rows.values()])).save(file, "png", optimize=True)
        artifacts.write_bytes(path.with_suffix("") / f"{sheet}.png", file.getvalue())
    artifacts.write_json(path, values)


def _size(rows: Sheet) -> int:
    return next(iter(rows.values())).shape[1]


def recall(notebook: str, preset: str) -> dict[str, Any]:
    """Return what a notebook published, and glue its scalars for the book.

    Raises:
        FileNotFoundError: if it has published nothing; says how it would.
    """
    path = place(notebook, preset)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; run `papermill notebooks/{notebook}.ipynb -p preset {preset}`")
    values: dict[str, Any] = artifacts.read_json(path)
    from myst_nb import glue

    for key, value in values.items():
        if isinstance(value, int | float | str):
            glue(key, value, display=False)
    return values


def pictures(notebook: str, preset: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the pictures that a notebook published: sheet -> arm or label -> (n, h, w, 3) uint8."""
    return sheets(place(notebook, preset))


def sheets(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the pictures that stand beside a file of numbers: sheet -> arm or label -> (n, h, w, 3) uint8."""
    named = artifacts.read_json(path)["pictures"]
    return {sheet: _read(path.with_suffix("") / f"{sheet}.png", **about) for sheet, about in named.items()}


def _read(path: Path, rows: Sequence[str], size: int) -> dict[str, np.ndarray]:
    with Image.open(path) as image:
        whole = np.asarray(image.convert("RGB"))
    cut = whole.reshape(len(rows), size, -1, size, 3).swapaxes(1, 2)
    return dict(zip(rows, cut, strict=True))


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
