"""``papermill notebooks/X.ipynb`` as a user types it, in a small copy of the repository."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERMILL = str(Path(sys.executable).with_name("papermill"))  # ours, where cpd was installed last
PARAMETERS = 'preset: str = "laptop"  # size\nn: int = 2  # things, 1..10\nrate: float = 0.5  # per step, 0..1'
WORK = 'from pathlib import Path\nPath("worked").touch()\nprint("n is", n)'


def cell(source: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"c{abs(hash(source))}"[:12],
        "source": source,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "execution_count": None,
    }


def notebook(*sources: str) -> str:
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [cell(PARAMETERS, "parameters"), *map(cell, sources)]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out a repository whose engine takes the place of the installed one."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "cpd", root / "cpd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "notebooks").mkdir()
    (root / "notebooks" / "00_quick.ipynb").write_text(notebook(WORK))
    return root


def papermill(root: Path, *arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "CPD_ARTIFACTS"}
    settings = {"capture_output": True, "stdin": subprocess.DEVNULL, "text": True, "check": False, "timeout": 600}
    environment = kept | {"PYTHONPATH": str(root), "JUPYTER_PATH": str(root / "jupyter")}
    return subprocess.run([PAPERMILL, *arguments], cwd=cwd or root, env=environment, **settings | options)


def output(root: Path, name: str = "00_quick", preset: str = "laptop") -> Path:
    return root / "artifacts" / preset / "notebooks" / f"{name}.ipynb"


def printed(path: Path) -> str:
    outputs = [each for one in json.loads(path.read_text())["cells"] for each in one["outputs"]]
    return "".join("".join(each["text"]) for each in outputs if each["output_type"] == "stream")


def test_captured_run_writes_the_executed_copy_without_traces_of_the_run(repository: Path) -> None:
    source = (repository / "notebooks" / "00_quick.ipynb").read_bytes()
    done = papermill(repository, "notebooks/00_quick.ipynb", "-p", "n", "7")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert (repository / "notebooks" / "00_quick.ipynb").read_bytes() == source
    assert printed(output(repository)) == "n is 7\n"
    marks = json.loads(output(repository).read_text())["metadata"]["papermill"]
    assert marks["succeeded"] is True
    assert marks["parameters"] == {"preset": "laptop", "n": 7, "rate": 0.5}
    assert str(repository) not in output(repository).read_text()
    assert not list(output(repository).parent.glob("*.unfinished.*"))
    first = output(repository).read_bytes()
    assert papermill(repository, "notebooks/00_quick.ipynb", "-p", "n", "7").returncode == 0
    assert output(repository).read_bytes() == first


def test_what_a_shell_command_prints_is_kept_and_a_progress_bar_is_not(repository: Path) -> None:
    path = repository / "notebooks" / "03_shell.ipynb"
    path.write_text(notebook("!printf 'one\\n 0%%\\r 50%%\\r100%%\\ntwo\\n'"))
    done = papermill(repository, "notebooks/03_shell.ipynb")
    assert done.returncode == 0, done.stderr
    assert printed(output(repository, "03_shell")) == "one\ntwo\n"


def test_outputs_name_files_from_the_repository_on(repository: Path) -> None:
    path = repository / "notebooks" / "02_places.ipynb"
    where = "artifacts.root()"
    show = f"from cpd.runtime import artifacts\nprint(artifacts.__file__)\nprint({where} / 'x')\n({where} / 'y',)"
    path.write_text(notebook(show))
    done = papermill(repository, "notebooks/02_places.ipynb")
    assert done.returncode == 0, done.stderr
    written = output(repository, "02_places").read_text()
    assert printed(output(repository, "02_places")) == "cpd/runtime/artifacts.py\nartifacts/x\n"
    assert "(PosixPath('artifacts/y'),)" in written
    assert str(repository) not in written


def test_terminal_fifo_and_another_folder(repository: Path) -> None:
    """A pseudo-terminal for all streams; a pipe nobody writes to as stdin; a call from inside ``notebooks/``."""
    output(repository).unlink(missing_ok=True)
    parent, child = pty.openpty()
    streams = {"capture_output": False, "stdin": child, "stdout": child, "stderr": child}
    assert papermill(repository, "notebooks/00_quick.ipynb", **streams).returncode == 0
    os.close(child)
    os.close(parent)
    assert printed(output(repository)) == "n is 2\n"

    output(repository).unlink()
    reading, writing = os.pipe()
    done = papermill(repository, "notebooks/00_quick.ipynb", stdin=reading)
    os.close(reading)
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert printed(output(repository)) == "n is 2\n"

    done = papermill(repository, "00_quick.ipynb", "-p", "preset", "smoke", cwd=repository / "notebooks")
    assert done.returncode == 0, done.stderr
    assert printed(output(repository, preset="smoke")) == "n is 2\n"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", "3", ["no parameter 'steps'", "n (int, 1..10)", "rate (float, 0..1)"]),
        ("n", "abc", ["'n' must be int, 1..10", "'abc'"]),
        ("n", "11", ["'n' must be int, 1..10", "11"]),
        ("preset", "huge", ["'preset' must be str, one of smoke|laptop", "'huge'"]),
    ],
)
def test_a_refused_parameter_costs_no_work(repository: Path, name: str, value: str, expected: list[str]) -> None:
    (repository / "worked").unlink(missing_ok=True)
    before = output(repository).read_bytes() if output(repository).exists() else None
    done = papermill(repository, "notebooks/00_quick.ipynb", "-p", name, value)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert all(each in said for each in expected), done.stderr
    assert "Traceback" not in done.stderr
    assert not (repository / "worked").exists()
    assert (output(repository).read_bytes() if output(repository).exists() else None) == before


def test_a_failing_cell_leaves_the_earlier_copy_untouched(repository: Path) -> None:
    path = repository / "notebooks" / "01_fails.ipynb"
    path.write_text(notebook('print("fine")'))
    assert papermill(repository, "notebooks/01_fails.ipynb").returncode == 0
    before = output(repository, "01_fails").read_bytes()
    path.write_text(notebook('raise OSError("no luck")'))
    done = papermill(repository, "notebooks/01_fails.ipynb")
    assert done.returncode == 1
    assert "no luck" in done.stderr and "01_fails.unfinished.ipynb" in done.stderr
    assert output(repository, "01_fails").read_bytes() == before
    assert "no luck" in output(repository, "01_fails.unfinished").read_text()


def kernel(root: Path, *command: str) -> None:
    """Install a kernel of the name ``own``."""
    spec = {"argv": command, "display_name": "own", "language": "python"}
    folder = root / "jupyter" / "kernels" / "own"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("command", "name", "expected"),
    [
        (["true"], "nope", "there is no kernel 'nope'; there are"),
        (["/no/such/python"], "own", "the kernel 'own' is to start /no/such/python, which is not there"),
        (["false"], "own", "the kernel 'own' did not start (Kernel died before replying to kernel_info)"),
    ],
)
def test_a_kernel_that_does_not_start_is_one_sentence(
    repository: Path, command: list[str], name: str, expected: str
) -> None:
    kernel(repository, *command)
    done = papermill(repository, "notebooks/00_quick.ipynb", "-k", name)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {expected}")
    assert "Traceback" not in done.stderr


def test_a_kernel_that_dies_is_one_sentence_and_papermills_exit_code(repository: Path) -> None:
    path = repository / "notebooks" / "04_dies.ipynb"
    path.write_text(notebook("import os\nos._exit(3)"))
    done = papermill(repository, "notebooks/04_dies.ipynb")
    assert done.returncode == 138
    assert "Error: Kernel died" in done.stderr and "04_dies.unfinished.ipynb" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_are_read_as_papermill_reads_them(repository: Path, tmp_path: Path) -> None:
    """A short option glued to its first value; a path of one's own, with a parameter in it; only preparing."""
    out = tmp_path / "{n}.ipynb"
    done = papermill(repository, "-ppreset", "smoke", "notebooks/00_quick.ipynb", "-pn", "3", str(out))
    assert done.returncode == 0, done.stderr
    assert printed(tmp_path / "3.ipynb") == "n is 3\n"
    (repository / "worked").unlink()
    assert papermill(repository, "notebooks/00_quick.ipynb", str(out), "-p", "n", "4", "--prepare-only").returncode == 0
    assert (tmp_path / "4.ipynb").exists() and not (repository / "worked").exists()
    assert "n: int (default 2)" in papermill(repository, "--help-notebook", "notebooks/00_quick.ipynb").stdout
    assert papermill(repository, "--version").stdout.startswith("2.")
    assert papermill(repository, "--kernell", "x", "notebooks/00_quick.ipynb").returncode == 2


def test_a_notebook_may_go_to_standard_output(repository: Path) -> None:
    done = papermill(repository, "notebooks/00_quick.ipynb", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metadata"]["papermill"]["succeeded"] is True


def test_a_misspelt_notebook_is_refused_by_name(repository: Path) -> None:
    done = papermill(repository, "notebooks/00_quik.ipynb")
    assert done.returncode != 0
    assert "there is no notebook notebooks/00_quik.ipynb" in done.stderr and "00_quick.ipynb" in done.stderr


def test_notebooks_elsewhere_are_papermills_own_business(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "other.ipynb").write_text(notebook(WORK))
    done = papermill(repository, "other.ipynb", "out.ipynb", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert printed(tmp_path / "out.ipynb") == "n is 2\n"
    assert "succeeded" not in (tmp_path / "out.ipynb").read_text()
    assert papermill(repository, "--help").returncode == 0
