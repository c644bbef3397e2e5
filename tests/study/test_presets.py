from __future__ import annotations

from dataclasses import fields

import pytest

from cpd.domains.settings import Finetuning
from cpd.evaluation import Evaluating
from cpd.methods.cond_pdiff.settings import Learning
from cpd.study.presets import AUTHORS_ALPHA, PRESETS, STYLES, preset


def test_presets_are_the_documented_ones_and_name_themselves() -> None:
    assert list(PRESETS) == ["smoke", "laptop", "full", "paper", "authors"]
    assert all(preset(name) == PRESETS[name] and PRESETS[name].name == name for name in PRESETS)


def test_the_presets_of_styles_name_themselves_too_and_say_which_there_are() -> None:
    assert all(preset(name, STYLES) == STYLES[name] and STYLES[name].name == name for name in STYLES)
    assert all(each.finetuning.base not in ("minilm", "bert-base-uncased") for each in STYLES.values())
    with pytest.raises(ValueError, match="no preset 'authors'; there are smoke, laptop, full, paper"):
        preset("authors", STYLES)


def test_changes_reach_their_part_and_leave_the_table_alone() -> None:
    changed = preset("laptop", rank=4, normalization="per_task", guidance=2.0)
    assert (changed.finetuning.rank, changed.learning.normalization, changed.evaluating.guidance) == (4, "per_task", 2)
    assert preset("laptop").finetuning.rank == 1
    assert changed.learning.latent == preset("laptop").learning.latent


@pytest.mark.parametrize("name", ["batch", "learning_rate"])
def test_setting_of_two_parts_is_refused_instead_of_changing_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a setting of finetuning and of learning"):
        preset("laptop", **{name: 7})


def test_every_other_setting_can_be_changed() -> None:
    fine, learn, judge = ({f.name for f in fields(part)} for part in (Finetuning, Learning, Evaluating))
    assert (fine & learn) | (fine & judge) | (learn & judge) == {"batch", "learning_rate"}


def test_authors_protocol() -> None:
    made = preset("authors")
    fine, learn = made.finetuning, made.learning
    assert (fine.runs, fine.keep, fine.targets) == (1, 200, "attention")
    assert (learn.normalization, learn.prediction, learn.timesteps, learn.betas) == (
        "per_task", "epsilon", 1000, "linear",
    )  # fmt: skip
    assert learn.autoencoder == preset("paper").learning.autoencoder == "convolutional"
    assert (made.evaluating.sampler, made.evaluating.sampler_steps) == ("ddpm", 1000)
    assert AUTHORS_ALPHA == {1: 8, 2: 8, 4: 16, 16: 32} and fine.alpha == AUTHORS_ALPHA[fine.rank]


@pytest.mark.parametrize("bad", ["", "Laptop", "huge"])
def test_unknown_preset_lists_the_known_ones(bad: str) -> None:
    with pytest.raises(ValueError, match=f"no preset {bad!r}; there are smoke, laptop, full, paper, authors"):
        preset(bad)


def test_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no setting 'rnak'; there are .*rank"):
        preset("smoke", rnak=3)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("suite", "superglue", "packaged, glue, emoji, few_emoji, folder"),
        ("targets", "everything", "query_value, attention"),
        ("normalization", "batch", "none, shared, per_task"),
        ("autoencoder", "deep", "linear, convolutional"),
        ("condition", "vibes", "description, examples, images, one_hot, none"),
        ("prediction", "x0", "v_prediction, epsilon"),
        ("betas", "exp", "squaredcos_cap_v2, linear"),
        ("sampler", "euler", "ddim, dpm, ddpm"),
        ("rank", 0, "greater than 0"),
        ("steps", -1, "greater than 0"),
        ("keep", True, "greater than 0"),
        ("generated", 0, "greater than 0"),
        ("scale", float("nan"), "greater than 0"),
        ("cond_drop", 1.0, r"\[0, 1\)"),
        ("cond_noise", -0.5, "0 or more"),
        ("latent_noise", float("inf"), "0 or more"),
        ("held_out", -1, "0 or more"),
        ("ema", 1.0, r"\[0, 1\)"),
        ("dropout", float("nan"), r"\[0, 1\)"),
        ("ae_learning_rate", 0.0, "greater than 0"),
    ],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*{expected}|{name} must be {expected}"):
        preset("laptop", **{name: value})
