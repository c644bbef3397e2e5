"""The study's notebooks, one after the other, as a user runs them, at the size of the smoke preset."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAPERMILL = Path(sys.executable).with_name("papermill")
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = ("00_base_images", "06_")  # these share a zoo, and the others share one


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


def grouped(path: Path) -> Any:
    """Return a notebook with the mark of those that continue each other's work."""
    group = "pictures" if path.stem.startswith(PICTURES) else "text"
    return pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(group))


@pytest.mark.parametrize("path", [grouped(path) for path in SOURCES])
def test_notebook_runs_and_publishes_its_numbers(path: Path, artifacts: Path) -> None:
    environment = os.environ | {"CPD_ARTIFACTS": str(artifacts), "LOKY_MAX_CPU_COUNT": "1"}  # two of these run at once
    command = [str(PAPERMILL), f"notebooks/{path.name}", "-p", "preset", "smoke"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    executed = json.loads((artifacts / "smoke" / "notebooks" / path.name).read_text())
    assert executed["metadata"]["papermill"]["succeeded"] is True
    outputs = json.dumps([cell["outputs"] for cell in executed["cells"] if cell["cell_type"] == "code"])
    named = [folder for folder in (ROOT, artifacts) if str(folder) in outputs]
    assert named == [], "an output names a folder of this machine"
    numbers = json.loads((artifacts / "smoke" / "results" / f"{path.stem}.json").read_text())
    assert numbers["preset"] == "smoke"
    assert any(isinstance(value, int | float) for value in numbers.values())
