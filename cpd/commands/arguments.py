"""Arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


def root(command: F) -> F:
    """Give a command the folder of adapters."""
    return click.argument("root", type=PATH, metavar="ROOT")(command)


def adapter(command: F) -> F:
    """Give a command the name of the adapter that is meant where a checkpoint holds several."""
    told = "which adapter is meant where a checkpoint holds several (checkpoint-100/NAME); default: the one that learns"
    return click.option("--adapter", metavar="NAME", help=told)(command)


def as_json(command: F) -> F:
    """Give a command the choice of JSON."""
    return click.option("--json", "as_json", is_flag=True, help="write JSON, for other programs")(command)


def require_default(where: str, *names: str) -> None:
    """Refuse options of the command that is running which mean nothing to what it was given.

    Args:
        where: what that is, as in "of a folder of tables".
        *names: of parameters.

    Raises:
        ValueError: if one of them was given.
    """
    context = click.get_current_context()
    options = {each.name: each.opts[-1 if each.opts[-1].startswith("--") else 0] for each in context.command.params}
    for name in names:
        if context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT):
            raise ValueError(f"{options[name]} is no option {where}; leave it out")
