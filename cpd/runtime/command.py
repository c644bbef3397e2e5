"""A command of the user's own that scores one adapter, and is ended with all that it started.

Source: ours.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cpd.runtime import artifacts


@dataclass
class Command:
    """A command that scores one adapter; what it starts ends with it.

    Attributes:
        text: with ``{adapter}`` where the folder goes, and ``{task}`` where the task's name goes.
        timeout: seconds after which it is stopped.
    """

    text: str
    timeout: float = 600.0
    running: set[subprocess.Popen[str]] = field(default_factory=set, repr=False)
    stopped: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.text)
        except ValueError as error:
            raise ValueError(f"the command {self.text!r} is not readable ({error}); quote it as a shell does") from None
        if not any("{adapter}" in word for word in words):
            raise ValueError(f"the command {self.text!r} does not say {{adapter}}; put it where the folder goes")
        if not shutil.which(words[0]):
            raise ValueError(f"there is no program {words[0]!r}, which the command {self.text!r} begins with")

    def __call__(self, adapter: Path, task: str) -> float:
        """Score an adapter.

        Raises:
            ValueError: if the command fails, hangs, or the last line of its standard output does not end in a finite
                number; with the last line that it wrote.
        """
        words = [word.replace("{adapter}", str(adapter)).replace("{task}", task) for word in shlex.split(self.text)]
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(words, text=True, errors="replace", start_new_session=True, **pipes) as process:
            self.running.add(process)  # first: `stop` either sees it here, or has said before that it is stopped
            try:
                printed, warned = process.communicate(timeout=0 if self.stopped else self.timeout)
            except subprocess.TimeoutExpired:
                raise ValueError(f"no end after {self.timeout:g} s") from None
            finally:
                _end(process)
                self.running.discard(process)
        last, warning = _last_line(printed), _last_line(warned)
        if process.returncode:
            raise ValueError(f"exit code {process.returncode}: {warning or last or 'nothing printed'}")
        try:
            score = float(last.split()[-1])
        except (ValueError, IndexError):
            score = math.nan
        if not math.isfinite(score):
            raise ValueError(f"no number at the end: {last or warning or 'nothing printed'}")
        return score

    @cached_property
    def identity(self) -> str:
        """The command, and the contents of the files that it names: other ones give other scores."""
        files = [Path(word) for word in shlex.split(self.text) if os.path.isfile(word)]
        return json.dumps([self.text, [artifacts.sha256(path) for path in files]])

    def stop(self) -> None:
        """End every command that is running, and any that begins from now on."""
        self.stopped = True
        for process in list(self.running):
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and what it started, which may go on when it has ended."""
    with suppress(ProcessLookupError, PermissionError):  # nothing of it is left
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(text: str) -> str:
    return next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "")
