"""The command ``papermill``: papermill's own, which knows where a notebook of this repository goes.

``papermill notebooks/NAME.ipynb`` needs no output path here: the executed copy goes to ``PRESET/notebooks/`` of the
artifacts, and only when the run succeeded. Papermill has no plug-in for that, so ``pyproject.toml`` gives this package
a script of the same name. It takes the place of papermill's script wherever this package is installed last: by the
Makefile, by pip and by conda always, by ``uv pip install -e .`` once papermill is there (so say it twice in an empty
environment). The command is papermill's own, with its options; every other use of it stays as it is, and so does
``python -m papermill``.

Source: ours; papermill's interface is ``papermill.cli`` and its file handlers.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cpd.study.papermill_engine import REPOSITORY

ENGINE = "cpd"
SCHEME = "cpd:"
NO_PATH = ".ipynb"  # stands for an output path that was not given; papermill warns of one without an ending


def main() -> None:
    """Run papermill's command with the output path and the engine of this repository's notebooks filled in."""
    from papermill.cli import papermill

    command = copy.copy(papermill)
    command.callback = _completing(papermill.callback)
    command(prog_name="papermill")


def _completing(callback: Callable[..., None]) -> Callable[..., None]:
    @wraps(callback)
    def complete(notebook_path: str, output_path: str, engine: str | None, **options: Any) -> None:
        passive = options["help_notebook"] or options["prepare_only"]
        if not passive and _is_of_the_study(notebook_path):
            output_path = output_path if output_path == "-" else _registered(Path(notebook_path), output_path)
            engine = engine or ENGINE
        callback(notebook_path=notebook_path, output_path=output_path, engine=engine, **options)

    return complete


def _is_of_the_study(notebook: str | None) -> bool:
    folder = REPOSITORY / "notebooks"
    if not notebook or not notebook.endswith(".ipynb") or Path(notebook).resolve().parent != folder:
        return False
    if not Path(notebook).exists():
        there = ", ".join(sorted(path.name for path in folder.glob("*.ipynb"))) or "none"
        raise click.ClickException(f"there is no notebook {notebook}; the folder has {there}")
    return True


def _registered(source: Path, chosen: str) -> str:
    """Return an output path that papermill hands to `StudyOutput`."""
    from papermill.iorw import papermill_io

    papermill_io.register(SCHEME, StudyOutput(source))
    return SCHEME + (chosen or NO_PATH)


class StudyOutput:
    """Papermill's file handler: writes beside the final place while a run lasts, and into place once it succeeded."""

    def __init__(self, source: Path) -> None:
        """Remember the notebook and the folder in which papermill was called."""
        self.source = source
        self.folder = Path.cwd()
        self.latest: Path | None = None

    def pretty_path(self, path: str) -> str:
        """Return the output path as papermill's log shows it."""
        return _chosen(path) or f"artifacts/PRESET/notebooks/{self.source.name}"

    def write(self, text: str, path: str) -> None:
        """Write the notebook, whole or not at all."""
        from cpd.runtime.artifacts import write_bytes

        notebook = json.loads(text)
        target = self.target(_chosen(path), notebook)
        self.latest = write_bytes(target.with_name(f"{target.stem}.unfinished.ipynb"), text.encode())
        if notebook["metadata"]["papermill"].get("succeeded"):
            self.latest = self.latest.replace(target)
            click.echo(f"Executed notebook: {_short(target)}", err=True)

    def target(self, chosen: str, notebook: Mapping[str, Any]) -> Path:
        """Return the final place: the path that was asked for, else ``PRESET/notebooks/`` of the artifacts."""
        from cpd.runtime.artifacts import root
        from cpd.study.parameters import check

        if chosen:
            return self.folder / chosen
        values = check(notebook["cells"], notebook["metadata"]["papermill"].get("parameters", {}))
        return root() / values.get("preset", "") / "notebooks" / self.source.name


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(REPOSITORY) else str(path)


def _chosen(path: str) -> str:
    """Return the output path that was asked for; empty if none was."""
    name = path.removeprefix(SCHEME)
    return "" if name == NO_PATH else name


if __name__ == "__main__":
    main()
