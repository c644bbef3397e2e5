"""The parameters of a notebook: read from its parameters cell, checked before any work.

A parameter is one line of the cell tagged ``parameters``, and its comment may carry its limits::

    preset: str = "laptop"  # size of the study (checked against cpd.study.presets)
    n: int = 10  # generated adapters per task, 1..1000
    sampler: str = "ddim"  # one of ddim|ddpm

Running notebooks is ``papermill_engine``'s business.

Source: ours; the form is the one that ``papermill --help-notebook`` reads.
"""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from cpd.study.presets import PRESETS

TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
INJECTED = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
RANGE = re.compile(rf"(?<![\w.])({NUMBER})\.\.({NUMBER})(?!\w)")
CHOICES = re.compile(r"\bone of ([^\s,;]+)")


class ParameterError(click.UsageError, ValueError):
    """A parameter that the notebook does not have, or a value that it does not take."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: name, type, default and limits."""

    name: str
    kind: str
    default: Any
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Describe the parameter as ``name (type, limits)``."""
        return f"{self.name} ({self.expected})"

    @property
    def expected(self) -> str:
        """Type and limits in words, for messages."""
        between = [f"{self.limits[0]:g}..{self.limits[1]:g}"] if self.limits else []
        return ", ".join([self.kind, *between, *(["one of " + "|".join(self.choices)] if self.choices else [])])

    def accepts(self, value: Any) -> bool:
        """Tell whether a value has the type and lies within the limits; ``True`` is no number, NaN no float."""
        types = TYPES[self.kind.partition("[")[0]]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.limits and isinstance(value, int | float) and not self.limits[0] <= value <= self.limits[1]:
            return False
        return not self.choices or value in self.choices


def declared(cells: Sequence[Mapping[str, Any]]) -> list[Parameter]:
    """Read the parameters that a notebook declares.

    Args:
        cells: the notebook's cells; the first one tagged ``parameters`` counts.

    Returns:
        The parameters in order; empty without such a cell.

    Raises:
        ParameterError: if a line is not ``name: type = value`` with a known type and a literal value.
    """
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if not tagged:
        return []
    source = "".join(tagged[0]["source"])
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    return [_parameter(node, comments.get(node.end_lineno or 0, "")) for node in ast.parse(source).body]


def _parameter(node: ast.stmt, comment: str) -> Parameter:
    kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
    if not (isinstance(node, ast.AnnAssign) and node.value and kind.partition("[")[0] in TYPES):
        raise ParameterError(
            f"the parameters cell has the line {ast.unparse(node)!r}; write `name: type = value  # meaning, unit`"
            f" with a type out of {', '.join(TYPES)}"
        )
    name = ast.unparse(node.target)
    try:
        default = ast.literal_eval(node.value)
    except ValueError as error:
        raise ParameterError(f"the default of parameter {name!r} must be a literal: {ast.unparse(node)!r}") from error
    limits, choices = RANGE.search(comment), CHOICES.search(comment)
    allowed = tuple(choices[1].rstrip(".)").split("|")) if choices else ()
    between = (float(limits[1]), float(limits[2])) if limits else None
    return Parameter(name, kind, default, between, tuple(PRESETS) if name == "preset" else allowed)


def check(cells: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse parameters that a notebook does not have, or values it does not take.

    Args:
        cells: the notebook's cells.
        given: values by name, as papermill passes them.

    Returns:
        Every parameter's value: the given one, else the default.

    Raises:
        ParameterError: names the parameter, its type and the known names.
    """
    known = {parameter.name: parameter for parameter in declared(cells)}
    listing = ", ".join(map(str, known.values())) or "none"
    for name, value in given.items():
        if name not in known and name not in INJECTED:
            raise ParameterError(f"there is no parameter {name!r}; this notebook has {listing}")
        if name in known and not known[name].accepts(value):
            raise ParameterError(
                f"parameter {name!r} must be {known[name].expected}, not {value!r}; this notebook has {listing}"
            )
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}
