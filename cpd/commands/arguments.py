"""Arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
