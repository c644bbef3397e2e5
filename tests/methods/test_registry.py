"""Methods by name: every control is one, a saved generator finds its way back, and what is missing is said."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from synthetic import zoo

from cpd.methods import registry
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.control import Control, FittedControl
from cpd.methods.controls import CONTROLS
from cpd.methods.mixtures import MIXTURES
from cpd.runtime import artifacts

QUICK = Learning(latent=4, ae_steps=2, ae_batch=4, width=16, depth=1, steps=2, batch=4, condition="one_hot")


def test_every_control_is_a_method_under_its_own_name() -> None:
    assert set(registry.METHODS) == {"cond_pdiff", "hypernetwork", "by_condition", *CONTROLS, *MIXTURES}
    assert all(method.name == name for name, method in registry.METHODS.items())


@pytest.mark.parametrize("name", [name for name, each in registry.METHODS.items() if "zoo" in each.needs])
def test_a_saved_generator_is_opened_by_the_method_that_wrote_it(name: str, tmp_path: Path) -> None:
    fitted = registry.fit(name, zoo(), QUICK, 0, tmp_path / "work")
    loaded = registry.load(fitted.save_pretrained(tmp_path / "saved"))
    assert loaded.name == name and isinstance(loaded, CondPDiff if name == "cond_pdiff" else FittedControl)
    assert torch.equal(loaded.generate("task1", 3, 1), fitted.generate("task1", 3, 1))
    assert torch.allclose(fitted.generate("task1", 3, 1)[:2], fitted.generate("task1", 2, 1), atol=1e-5)


def test_a_generator_that_does_not_say_is_of_cond_pdiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = registry.fit("cond_pdiff", zoo(), QUICK, 0, tmp_path / "work")
    about = fitted._describe()
    del about["method"]
    monkeypatch.setattr(fitted, "_describe", lambda: about)
    assert isinstance(registry.load(fitted.save_pretrained(tmp_path / "old")), CondPDiff)


def test_an_unknown_method_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    known = "there are cond_pdiff, hypernetwork, run_soup, soup, gaussian, noisy_soup, by_condition, ridge, k_nearest"
    with pytest.raises(ValueError, match=f"no method 'magic'; {known}"):
        registry.fit("magic", zoo(), QUICK, 0, tmp_path)
    folder = registry.fit("soup", zoo(), QUICK, 0, tmp_path).save_pretrained(tmp_path / "saved")
    about = artifacts.read_json(folder / "generator.json")
    artifacts.write_json(folder / "generator.json", about | {"method": "magic"})
    with pytest.raises(ValueError, match="no method 'magic'"):
        registry.load(folder)
    with pytest.raises(ValueError, match=r"was written by method 'soup', not 'cond_pdiff'"):
        CondPDiff.from_pretrained(registry.fit("soup", zoo(), QUICK, 0, tmp_path).save_pretrained(tmp_path / "other"))


def test_what_a_method_needs_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="method 'soup' needs conditions, and this fit has zoo only"):
        registry.fit("soup", zoo(), replace(QUICK, condition="none"), 0, tmp_path)
    assert registry.fit("cond_pdiff", zoo(), replace(QUICK, condition="none"), 0, tmp_path).name == "cond_pdiff"

    class Tuned(Control):
        needs = frozenset({"zoo", "domain"})

    monkeypatch.setitem(registry.METHODS, "tuned", Tuned("tuned", CONTROLS["soup"].keep))
    with pytest.raises(ValueError, match="method 'tuned' needs domain, and this fit has conditions and zoo only"):
        registry.fit("tuned", zoo(), QUICK, 0, tmp_path)


@pytest.mark.parametrize("name", ["cond_pdiff", "soup"])
@pytest.mark.parametrize("key", ["encoder", "layout", "texts", "seed"])
def test_a_description_in_which_something_is_missing_or_another_kind_is_one_sentence(
    name: str, key: str, tmp_path: Path
) -> None:
    saved = registry.fit(name, zoo(), QUICK, 0, tmp_path / "work").save_pretrained(tmp_path / "saved")
    about = artifacts.read_json(saved / "generator.json")
    tensors = (saved / "generator.safetensors").read_bytes()
    for i, changed in enumerate(({k: v for k, v in about.items() if k != key}, about | {key: {"other": 1}})):
        if key == "seed" and i:
            continue
        with artifacts.building(tmp_path / str(i)) as partial:
            artifacts.write_json(partial / "generator.json", changed)
            artifacts.write_bytes(partial / "generator.safetensors", tensors)
        with pytest.raises(ValueError, match="fit it again"):
            registry.load(tmp_path / str(i))
