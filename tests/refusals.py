"""Commands that are refused."""

from __future__ import annotations

import pytest

from cpd.__main__ import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one sentence with which a command is refused."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("cpd: ")]
    assert out == "" and len(lines) == 1 and "Traceback" not in err
    return lines[0]
