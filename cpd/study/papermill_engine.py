"""Run the study's notebooks with ``papermill notebooks/NAME.ipynb`` and nothing else.

Papermill imports this module (an entry point in ``pyproject.toml``) before it reads its command line. For a notebook
of this repository's own ``notebooks/`` the module completes ``sys.argv`` with an output path and with ``StudyEngine``,
which checks the parameters before any work and moves the executed notebook into place only when the run succeeded.
Every other use of papermill stays as it is. What the notebooks compute is not known here.

Source: ours; papermill's plug-in interface (``papermill.engine``).
"""

from __future__ import annotations

import json
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

ENGINE = "cpd"
SCHEME = "cpd:"
NO_PATH = ".ipynb"  # stands for an output path that was not given; papermill warns of one without an ending
REPOSITORY = Path(__file__).resolve().parents[2]
PASSIVE = {"-h", "--help", "--help-notebook", "--version", "--prepare-only"}
TWO_VALUES = {"-p", "--parameters", "-r", "--parameters_raw"}
ONE_VALUE = {"-f", "--parameters_file", "-y", "--parameters_yaml", "-b", "--parameters_base64", "-k", "--kernel"}
ONE_VALUE |= {"-l", "--language", "--engine", "--cwd", "--stdout-file", "--stderr-file", "--log-level"}
ONE_VALUE |= {"--autosave-cell-every", "--start-timeout", "--start_timeout", "--execution-timeout"}
QUIET = "ignore:IProgress not found"  # a warning that tqdm repeats in every notebook
LONGEST_SOCKET_FOLDER = 80  # bytes; a socket's path holds about 100


class RunFailed(click.ClickException):
    """A cell raised."""


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
            RunFailed: if a cell raised, or (KernelDied) the kernel died.
        """
        from papermill.engines import NBClientEngine

        from cpd.study.parameters import check

        values = check(nb.cells, nb.metadata.papermill.get("parameters", {}))
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


def completed(arguments: Sequence[str], notebooks: Path) -> list[str]:
    """Complete papermill's arguments where they run a notebook of the study.

    Args:
        arguments: the command line after the program's name.
        notebooks: folder of the study's notebooks.

    Returns:
        The arguments with engine and output; unchanged for any other use of papermill.

    Raises:
        SystemExit: if the folder has no notebook of that name.
    """
    options, words = _split(arguments)
    passive = PASSIVE & set(options) or not 1 <= len(words) <= 2
    if passive or not words[0].endswith(".ipynb") or Path(words[0]).resolve().parent != notebooks:
        return list(arguments)
    if not Path(words[0]).exists():
        there = ", ".join(sorted(path.name for path in notebooks.glob("*.ipynb"))) or "none"
        raise SystemExit(f"papermill: there is no notebook {words[0]}; the folder has {there}")
    chosen = any(option.partition("=")[0] == "--engine" for option in options)
    output = "-" if words[1:] == ["-"] else SCHEME + ("".join(words[1:]) or NO_PATH)
    return [*options, *([] if chosen else ["--engine", ENGINE]), words[0], output]


def _chosen(path: str) -> str:
    """Return the output path that was asked for; empty if none was."""
    name = path.removeprefix(SCHEME)
    return "" if name == NO_PATH else name


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    options: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        values = 2 if word in TWO_VALUES else 1 if word in ONE_VALUE else 0
        (options if word.startswith("-") and word != "-" else words).append(word)
        options += [rest.pop(0) for _ in range(min(values, len(rest)))]
    return options, words


def _is_papermill() -> bool:
    as_module = sys.argv[:1] == ["-m"] and ("-m", "papermill") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    return as_module or (bool(sys.argv) and Path(sys.argv[0]).stem == "papermill")


def _complete_command_line() -> None:
    if not _is_papermill():
        return
    arguments = completed(sys.argv[1:], REPOSITORY / "notebooks")
    if arguments != sys.argv[1:]:
        from papermill.iorw import papermill_io

        papermill_io.register(SCHEME, StudyOutput(Path(arguments[-2])))
        sys.argv[1:] = arguments


_complete_command_line()
