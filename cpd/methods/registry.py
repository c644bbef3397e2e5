"""Every method by its name: COND P-DIFF, and the controls that can be fitted to a zoo without learning.

Source: ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cpd.methods import hub
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.controls import CONTROLS, LOOK_UP
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator, Method, written_by
from cpd.methods.mixtures import MIXTURES

METHODS: dict[str, Method] = {
    CondPDiff.name: CondPDiff,
    FittedHypernetwork.name: FittedHypernetwork,
    **CONTROLS,
    LOOK_UP.name: LOOK_UP,
    **MIXTURES,
}


def method(name: str) -> Method:
    """Return a method.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in METHODS:
        raise ValueError(f"no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def able(name: str, settings: Any) -> Method:
    """Return a method that can be fitted under these settings.

    Args:
        name: of the method.
        settings: as `fit` takes them.

    Raises:
        ValueError: if there is none of that name, or what it needs is not there.
    """
    chosen = method(name)
    given = {"domain", "conditions"} if isinstance(settings, Writing) else {"zoo", "conditions"}
    if getattr(settings, "condition", "") == "none":
        given.remove("conditions")
    if missing := sorted(chosen.needs - given):
        raise ValueError(
            f"method {name!r} needs {' and '.join(missing)}, and this fit has {' and '.join(sorted(given))} only; "
            "choose another method or another kind of condition"
        )
    return chosen


def fit(name: str, source: Any, settings: Any, seed: int, folder: Path) -> Generator:
    """Fit a method.

    Args:
        name: of the method.
        source: a zoo, whose training rows are learned, or for a method that needs one a domain.
        settings: how; ``cond_pdiff.settings.Learning``, of which a control reads condition and encoder only, for a zoo;
            ``hypernetwork.settings.Writing`` for a domain.
        seed: names the fit.
        folder: keeps training states, for a fit that is interrupted.

    Returns:
        The generator.

    Raises:
        ValueError: if the method is not `able`, or the zoo cannot be learned.
    """
    return able(name, settings).fit(source, settings, seed, folder)


def load(folder: Path | str) -> Generator:
    """Read a saved generator of whatever method, from a folder or, by name, from the hub.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if no method of today wrote it, or a file differs from its manifest.
    """
    folder = hub.where(folder)
    return method(written_by(folder)).from_pretrained(folder)
