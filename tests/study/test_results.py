"""The committed numbers follow from the committed scores: what pages quote is reduced once more, by other means."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

RESULTS = Path(__file__).resolve().parents[2] / "results"
EVALUATIONS = ["03_evaluation", "laptop/03_evaluation"]


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def points(scores: dict[str, dict[str, list[float]]], *arms: str) -> dict[str, float]:
    """Return the mean of each task over all scores of some arms, in hundredths."""
    return {task: 100 * fmean([x for arm in arms for x in each[arm]]) for task, each in scores.items()}


def student(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean as scipy has it."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    return float(low), float(high)


@pytest.mark.parametrize("name", EVALUATIONS)
@pytest.mark.parametrize(
    ("key", "arms"),
    [("generated_minus_original", ["original"]), ("generated_minus_runs", ["original", "training"])],
)
def test_differences_and_intervals_follow_from_the_scores(name: str, key: str, arms: list[str]) -> None:
    found = read(name)
    generated, reference = points(found["scores"], "generated"), points(found["scores"], *arms)
    gap = [generated[task] - reference[task] for task in generated]
    prefix = "generated" if key == "generated_minus_original" else key
    assert found[key] == pytest.approx(fmean(gap))
    assert (found[f"{prefix}_low"], found[f"{prefix}_high"]) == pytest.approx(student(gap))


@pytest.mark.parametrize("arm", ["soup", "nearest", "training"])
def test_generated_adapters_against_their_controls_follow_from_the_scores(arm: str) -> None:
    found = read("03_evaluation")
    generated, control = points(found["scores"], "generated"), points(found["scores"], arm)
    gap = [generated[task] - control[task] for task in generated]
    assert found[f"generated_minus_{arm}"] == pytest.approx(fmean(gap))
    ends = (found[f"generated_minus_{arm}_low"], found[f"generated_minus_{arm}_high"])
    assert ends == pytest.approx(student(gap))


def test_counts_that_claims_quote_follow_from_the_scores() -> None:
    found = read("03_evaluation")
    generated, soup, training = (points(found["scores"], arm) for arm in ("generated", "soup", "training"))
    assert found["tasks_above_soup"] == sum(generated[task] > soup[task] for task in soup)
    assert found["tasks_soup_below_training"] == sum(soup[task] < training[task] for task in soup)
    unseen = read("06_styles_held_out")
    worse = [fmean(each["generated"]) > fmean(each["untrained_adapter"]) for each in unseen["frechet"].values()]
    assert unseen["styles_worse_than_none"] == sum(worse)


def test_another_task_s_condition_follows_from_the_matrix() -> None:
    found = read("03_evaluation")
    for matrix, key in (("cross", "other_minus_original"), ("cross_trained", "trained_other_minus_original")):
        scores = np.array(found[matrix])
        wrong = [np.delete(column, own).mean() for own, column in enumerate(scores.T)]
        assert sum(wrong) == pytest.approx(6 * (found[key] / 100 + found["original_mean"]))


@pytest.mark.parametrize("arm", ["generated", "soup", "by_condition"])
def test_ratios_of_distances_follow_from_the_distances(arm: str) -> None:
    found = read("06_styles")
    ratios = [fmean(each[arm]) / fmean(each["original"]) for each in found["frechet"].values()]
    key = f"{arm}_to_original"
    assert found[key] == pytest.approx(fmean(ratios))
    assert (found[f"{key}_low"], found[f"{key}_high"]) == pytest.approx(student(ratios))


def test_points_at_every_rank_follow_from_the_scores() -> None:
    found = read("07_ranks")
    for rank, scores in found["scores"].items():
        generated, training = points(scores, "generated"), points(scores, "training")
        gap = [generated[task] - training[task] for task in generated]
        assert found["generated_points"][rank] == pytest.approx([fmean(gap), *student(gap)])


def test_the_break_even_is_where_generating_has_cost_less() -> None:
    found = read("08_cost")
    zoo = found["runs"] * found["finetune_seconds"] + 60 * found["fit_minutes"]
    for count, cheaper in ((found["break_even"] - 1, False), (found["break_even"], True)):
        assert (zoo + count * found["generate_seconds"] < count * found["finetune_seconds"]) is cheaper
