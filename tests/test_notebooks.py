"""The study's notebooks, one after the other, as a user runs them, at the size of the smoke preset."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAPERMILL = Path(sys.executable).with_name("papermill")
NEVER_IN_SMOKE: set[str] = set()
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all notebooks, also where several processes run them: what one has made another finds."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "study"


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_notebook_runs_and_publishes_its_numbers(path: Path, artifacts: Path) -> None:
    environment = os.environ | {"CPD_ARTIFACTS": str(artifacts)}
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
    committed = json.loads((ROOT / "results" / f"{path.stem}.json").read_text())
    assert numbers["preset"] == "smoke"
    assert committed.keys() <= numbers.keys(), "a run publishes all that the committed pages are made of"
    kinds = {key: (type(value), type(numbers[key])) for key, value in committed.items() if key not in NEVER_IN_SMOKE}
    assert {key: pair for key, pair in kinds.items() if pair[0] is not pair[1]} == {}
