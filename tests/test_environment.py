"""The lock, the package's own dependencies, and the conda environment say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ \n;]+)", LOCK, flags=re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> list[str]:
    needs = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    return [canonical(re.split(r"[<>=!~;\[ ]", need)[0]) for need in needs]


@pytest.mark.parametrize("name", declared())
def test_every_dependency_is_locked(name: str) -> None:
    assert name in {canonical(pinned) for pinned, _ in PINS}


def test_every_requirement_is_pinned_and_hashed() -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n?", "", LOCK).strip())
    assert len(blocks) == len(PINS) > 100
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._\[\]-]+==", block), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_the_lock_names_no_address() -> None:
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|@ ", LOCK)


def test_build_tools_are_locked_so_that_the_package_installs_without_isolation() -> None:
    assert {"setuptools", "wheel", "pip", "uv"} <= {canonical(name) for name, _ in PINS}


def test_the_conda_environment_installs_the_lock_and_the_package() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["project"]["name"]
    conda = [each for each in environment["dependencies"] if isinstance(each, str)]
    [pip] = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    assert pip == ["-r requirements.txt", "-e ."]
    [python] = [each.partition("=")[2] for each in conda if each.startswith("python")]
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.split("."))) >= tuple(map(int, lowest.split(".")))
    assert "pip" in conda


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    import cpd

    assert citation["version"] == PROJECT["project"]["version"] == cpd.__version__
    assert citation["license"] == PROJECT["project"]["license"]
