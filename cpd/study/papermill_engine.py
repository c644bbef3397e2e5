"""Papermill's engine for the notebooks of this repository, a plug-in (``papermill.engine``) named ``cpd``.

It checks the parameters before any work, lets the kernel talk over local sockets, and leaves an executed notebook
without what differs between equal runs. Which notebooks it runs and where their copies go is the business of
``papermill_command``; what they compute is not known here.

Source: ours.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from traitlets.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = "ignore:IProgress not found"  # a warning that tqdm repeats in every notebook
LONGEST_SOCKET_FOLDER = 80  # bytes; a socket's path holds about 100


class RunFailed(click.ClickException):
    """A cell raised, or the kernel did not start."""


class KernelDied(RunFailed):
    """The kernel ended in the middle of a cell, as it does when memory runs out."""

    exit_code = 138


class StudyEngine:
    """Papermill's notebook engine with checked parameters, local sockets and reproducible output."""

    @staticmethod
    def nb_kernel_name(nb: NotebookNode, name: str | None = None) -> str:
        """Return the kernel that runs the notebook."""
        from papermill.utils import nb_kernel_name

        return nb_kernel_name(nb, name)

    @staticmethod
    def nb_language(nb: NotebookNode, language: str | None = None) -> str:
        """Return the notebook's language."""
        from papermill.utils import nb_language

        return nb_language(nb, language)

    @staticmethod
    def execute_notebook(nb: NotebookNode, kernel_name: str, **options: Any) -> NotebookNode:
        """Run a notebook whose parameters papermill has injected already.

        Args:
            nb: the notebook.
            kernel_name: the kernel that runs it.
            options: as papermill passes them to its engines.

        Returns:
            The executed notebook without times, marked as succeeded.

        Raises:
            ParameterError: before any work, if a parameter is refused.
            RunFailed: if there is no such kernel, it did not start, or a cell raised; (KernelDied) if the kernel died.
        """
        from papermill.engines import NBClientEngine

        from cpd.study.parameters import check

        values = check(nb.cells, nb.metadata.papermill.get("parameters", {}))
        _require_kernel(kernel_name)
        output = options.get("output_path")
        options["stderr_file"] = options.get("stderr_file") or Relay(sys.stderr)
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), QUIET]))
        with _sockets() as config:
            options.setdefault("config", config)
            nb = _run(NBClientEngine, nb, kernel_name, output, options)
        clean(nb, values)
        return nb


def _run(engine: Any, nb: NotebookNode, kernel_name: str, output: str | None, options: dict[str, Any]) -> NotebookNode:
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import raise_for_execution_errors
    from papermill.iorw import papermill_io

    try:
        nb = engine.execute_notebook(nb, kernel_name, **options)
        raise_for_execution_errors(nb, output)
        return nb
    except (PapermillExecutionError, DeadKernelError) as error:
        place = getattr(papermill_io.get_handler(output), "latest", output)
        kind = KernelDied if isinstance(error, DeadKernelError) else RunFailed
        raise kind(f"{error}\nThe run stopped here; see {place}. An earlier executed copy is as it was.") from None
    except RuntimeError as error:
        raise RunFailed(f"the kernel {kernel_name!r} did not start ({error}); install it again") from None


def _require_kernel(name: str) -> None:
    from jupyter_client.kernelspec import NoSuchKernel, find_kernel_specs, get_kernel_spec

    try:
        program = Path(get_kernel_spec(name).argv[0])
    except NoSuchKernel:
        raise RunFailed(f"there is no kernel {name!r}; there are {', '.join(find_kernel_specs())}") from None
    if program.is_absolute() and not program.exists():
        raise RunFailed(f"the kernel {name!r} is to start {program}, which is not there; install the kernel again")


def clean(nb: NotebookNode, values: Mapping[str, Any]) -> None:
    """Drop from an executed notebook what differs between equal runs, and mark it as succeeded."""
    source = nb.metadata.papermill["input_path"]
    nb.metadata["papermill"] = {
        "input_path": f"notebooks/{Path(source).name}",
        "parameters": dict(values),
        "succeeded": True,
        "version": nb.metadata.papermill["version"],
    }
    for cell in nb.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        if "outputs" in cell:
            cell["outputs"] = [_without_places(output) for output in _without_progress(cell.outputs)]


def _without_places(output: NotebookNode) -> NotebookNode:
    """Name files in texts from the repository on, so that an output does not tell whose machine it comes from."""
    from cpd.runtime.artifacts import root

    places = {f"{root()}/": "artifacts/", f"{sys.prefix}/": ".venv/", f"{REPOSITORY}/": ""}
    for texts, kind in [(output, "text"), *((output.get("data", {}), f"text/{kind}") for kind in ("plain", "html"))]:
        for place, short in places.items():
            if kind in texts:
                texts[kind] = texts[kind].replace(place, short)
    return output


def _without_progress(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring stream outputs by name and drop the lines that were redrawn, as progress bars are."""
    kept: list[NotebookNode] = []
    for is_stream, group in groupby(outputs, lambda output: output.output_type == "stream"):
        if not is_stream:
            kept += group
            continue
        for _, parts in groupby(sorted(group, key=lambda part: part.name, reverse=True), lambda part: part.name):
            first, *others = parts
            text = "".join([first.text, *(part.text for part in others)])
            lines = text.replace("\r\n", "\n").split("\n")  # what a shell command prints ends its lines with both
            first["text"] = "\n".join(line for line in lines if "\r" not in line)
            kept += [first] if first.text.strip() else []
    return kept


class Relay:
    """Passes on what cells print as progress: live on a terminal, else one line every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        """Take the stream to write to."""
        self.stream = stream
        self.next = time.monotonic() + 10

    def write(self, text: str) -> None:
        """Write the text, or its last line."""
        lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
        if self.stream.isatty():
            self.stream.write(text)
        elif lines and time.monotonic() >= self.next:
            self.stream.write(lines[-1] + "\n")
            self.next = time.monotonic() + 10

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


@contextmanager
def _sockets() -> Iterator[Config]:
    """Yield a configuration that lets the kernel talk over files of its own instead of open TCP ports."""
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="cpd-", ignore_cleanup_errors=True) as folder:
        local = os.name == "posix" and len(folder.encode()) <= LONGEST_SOCKET_FOLDER
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}} if local else {})
