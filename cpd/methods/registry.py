"""Every method by its name: COND P-DIFF, and the controls that can be fitted to a zoo without learning.

Source: ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpd.methods import hub
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.controls import CONTROLS, LOOK_UP
from cpd.methods.method import Generator, Method, written_by

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

METHODS: dict[str, Method] = {CondPDiff.name: CondPDiff, **CONTROLS, LOOK_UP.name: LOOK_UP}


def method(name: str) -> Method:
    """Return a method.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in METHODS:
        raise ValueError(f"no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def able(name: str, settings: Any) -> Method:
    """Return a method that can be fitted to a zoo under these settings.

    Args:
        name: of the method.
        settings: as `fit` takes them.

    Raises:
        ValueError: if there is none of that name, or what it needs is not there.
    """
    chosen = method(name)
    given = {"zoo"} if settings.condition == "none" else {"zoo", "conditions"}
    if missing := sorted(chosen.needs - given):
        raise ValueError(
            f"method {name!r} needs {' and '.join(missing)}, and this fit has {' and '.join(sorted(given))} only; "
            "choose another method or another kind of condition"
        )
    return chosen


def fit(name: str, zoo: AdapterZoo, settings: Any, seed: int, folder: Path) -> Generator:
    """Fit a method to a zoo.

    Args:
        name: of the method.
        zoo: its training rows are learned.
        settings: how; ``cond_pdiff.settings.Learning``, of which a control reads condition and encoder only.
        seed: names the fit.
        folder: keeps training states, for a fit that is interrupted.

    Returns:
        The generator.

    Raises:
        ValueError: if the method is not `able`, or the zoo cannot be learned.
    """
    return able(name, settings).fit(zoo, settings, seed, folder)


def load(folder: Path | str) -> Generator:
    """Read a saved generator of whatever method, from a folder or, by name, from the hub.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if no method of today wrote it, or a file differs from its manifest.
    """
    folder = hub.where(folder)
    return method(written_by(folder)).from_pretrained(folder)
