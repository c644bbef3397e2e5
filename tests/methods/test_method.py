"""What every method has: seeds that name their noise, and files that say who wrote them."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch

from cpd.methods import method
from cpd.methods.method import seed_of
from cpd.runtime import artifacts


def test_a_seed_follows_from_its_names_in_every_process() -> None:
    code = "from cpd.methods.method import seed_of; print(seed_of(7, 'gaussian', 'spam'))"
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert said == {f"{seed_of(7, 'gaussian', 'spam')}\n".encode()}


def test_other_names_and_other_seeds_are_other_streams() -> None:
    names = [(seed, arm, task) for seed, arm, task in product(range(20), ("a", "b", "ab"), ("a", "b", "c", "bc"))]
    seeds = [seed_of(*each) for each in names]
    assert len({seed % 2**32 for seed in seeds}) == len(names), "PyTorch's CPU generator sees 32 bits"
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "ab", "c") != seed_of(0, "a", "bc") and seed_of(1) != seed_of(0, "1")


def saved(folder: Path, **about: object) -> Path:
    return method.save(folder, {"format": 1, "seed": 3, **about}, {"x": torch.ones(2)})


def test_a_generator_says_who_wrote_it_and_older_ones_are_of_cond_pdiff(tmp_path: Path) -> None:
    assert method.written_by(saved(tmp_path / "new", method="soup")) == "soup"
    assert method.written_by(saved(tmp_path / "old")) == "cond_pdiff"
    about, tensors = method.read(tmp_path / "old", "cond_pdiff", 1)
    assert about["seed"] == 3 and torch.equal(tensors["x"], torch.ones(2))


def test_files_of_another_method_or_format_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "g", method="soup")
    with pytest.raises(ValueError, match="was written by method 'soup', not 'cond_pdiff'"):
        method.read(folder, "cond_pdiff", 1)
    with pytest.raises(ValueError, match="is not a generator of format 2"):
        method.read(folder, "soup", 2)
    with pytest.raises(FileExistsError, match="exists already"):
        saved(folder, method="soup")
    artifacts.write_json(folder / method.DESCRIPTION, json.loads((folder / method.DESCRIPTION).read_text()) | {"a": 1})
    with pytest.raises(ValueError, match=r"generator\.json has sha256"):
        method.read(folder, "soup", 1)
