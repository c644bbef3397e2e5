"""Verdicts follow from intervals and controls by one rule, and the book shows those of the committed numbers."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from cpd.study.claims import CLAIMS, OURS, Bounds, Claim, Outcome, Verdict, outcome, reader, verdict

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
HOLDS, LEANS, FAILS = Bounds(2, 1, 3), Bounds(2, -1, 5), Bounds(-1, -3, 1)
NO_BETTER, BETTER = Bounds(0.1, -0.1, 0.3), Bounds(0.4, 0.1, 0.7)


@pytest.mark.parametrize(
    ("found", "needed", "expected"),
    [
        (HOLDS, 0, Outcome.HOLDS),
        (HOLDS, 1, Outcome.HOLDS),
        (HOLDS, 1.5, Outcome.LEANS),
        (HOLDS, 2.5, Outcome.FAILS),
        (LEANS, 0, Outcome.LEANS),
        (FAILS, 0, Outcome.FAILS),
        (Bounds(5), 0, Outcome.LEANS),
        (Bounds(-5), 0, Outcome.FAILS),
    ],
)
def test_a_setting_holds_leans_or_fails_and_so_does_its_mirror_image(
    found: Bounds, needed: float, expected: Outcome
) -> None:
    assert outcome(found, needed) is expected
    mirrored = Bounds(-found.mean, -found.high, -found.low)
    assert outcome(mirrored, -needed, above=False) is expected


@pytest.mark.parametrize(
    ("settings", "gain", "expected"),
    [
        ([HOLDS], None, Verdict.REPRODUCED),
        ([HOLDS], BETTER, Verdict.REPRODUCED),
        ([HOLDS], NO_BETTER, Verdict.COPYING),
        ([HOLDS, HOLDS], NO_BETTER, Verdict.COPYING),
        ([LEANS], BETTER, Verdict.PARTLY),
        ([HOLDS, FAILS], BETTER, Verdict.PARTLY),
        ([LEANS, FAILS], None, Verdict.PARTLY),
        ([FAILS], BETTER, Verdict.UNSUPPORTED),
        ([FAILS, FAILS], NO_BETTER, Verdict.UNSUPPORTED),
    ],
)
def test_the_rule(settings: list[Bounds], gain: Bounds | None, expected: Verdict) -> None:
    for order in itertools.permutations(settings):
        assert verdict(order, 0, gain=gain) is expected


def test_a_wider_interval_never_makes_a_verdict_better() -> None:
    rank = [Verdict.UNSUPPORTED, Verdict.PARTLY, Verdict.REPRODUCED]
    for mean, needed in itertools.product([-1.0, 0.2, 1.0], [-0.5, 0.0, 0.5]):
        found = [
            rank.index(verdict([Bounds(mean, mean - half, mean + half)], needed)) for half in (0, 0.3, 1, 3, math.inf)
        ]
        assert found == sorted(found, reverse=True)


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("claim", "row", "notebook", "key"),
    [
        ("perform", "generated", "03_evaluation", "generated_minus_original"),
        ("soup", "six GLUE tasks", "03_evaluation", "generated_minus_soup"),
        ("soup", "six small tasks", "laptop/03_evaluation", "generated_minus_soup"),
        ("normalization", "per task", "07_ablations", "per_task_change"),
        ("fid", "generated", "06_styles", "generated_to_original"),
        ("fid", "by_condition", "06_styles", "by_condition_to_original"),
        ("held-out", "generated", "06_styles_held_out", "generated_to_none"),
        ("unseen-styles", "look_up", "10_unseen_styles", "written_minus_look_up"),
        ("unseen-styles", "one_for_all", "10_unseen_styles", "written_minus_one_for_all"),
        ("unseen-tasks", "zero_shot", "10_unseen_tasks", "gain_over_zero_shot"),
        ("unseen-examples", "16 examples", "10_unseen_tasks", "examples_16_minus_tuned_16"),
        ("unseen-lora", "unseen topics", "10_unseen_tasks", "gain_over_shared"),
        ("unseen-lora", "unseen questions", "10_unseen_tasks", "kinds_gain_over_shared"),
    ],
)
def test_claims_are_decided_by_the_published_numbers(claim: str, row: str, notebook: str, key: str) -> None:
    found, published = (CLAIMS | OURS)[claim](reader(RESULTS)).rows[row], read(notebook)
    ends = ("generated" if key == "generated_minus_original" else key) + "_low"
    assert found.mean == pytest.approx(published[key])
    if ends in published:
        assert (found.low, found.high) == pytest.approx((published[ends], published[ends.replace("_low", "_high")]))


def test_ranks_and_noise_are_those_published() -> None:
    of = reader(RESULTS)
    for rank, (mean, low, high) in read("07_ranks")["generated_points"].items():
        assert CLAIMS["ranks"](of).rows[f"rank {rank}"] == pytest.approx((mean, low, high))
    found, published = CLAIMS["noise"](of).rows["no noise"], read("07_ablations")
    assert found == pytest.approx([-published[f"no_noise_change{end}"] for end in ("", "_high", "_low")])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((2.0, 1.0, 3.0), Verdict.REPRODUCED),
        ((2.0, -1.0, 5.0), Verdict.PARTLY),
        ((-2.0, -3.0, -1.0), Verdict.UNSUPPORTED),
    ],
)
def test_a_trained_autoencoder_is_needed_where_a_network_scores_higher(
    change: tuple[float, float, float], expected: Verdict
) -> None:
    changes = {"autoencoder: convolutional": dict(zip(("change", "low", "high"), change, strict=True))}
    claim = CLAIMS["autoencoder"](lambda name: {"changes": changes} if name == "07_ablations" else {})
    assert claim.rows["convolutional"] == change
    assert claim.verdict is expected


def test_the_condition_is_at_most_partly_in_control_while_a_wrong_one_scores_the_same() -> None:
    claim = CLAIMS["condition"](reader(RESULTS))
    assert claim.rows["the authors' settings"].mean < claim.needed
    assert claim.verdict is Verdict.PARTLY


def test_every_interval_of_a_claim_holds_its_mean() -> None:
    for claim in (make(reader(RESULTS)) for make in (CLAIMS | OURS).values()):
        assert all(low <= mean <= high for mean, low, high in claim.rows.values())
        assert set(claim.deciding) <= set(claim.rows)


def test_a_claim_of_ours_that_holds_is_not_called_reproduced() -> None:
    rows = {"one": HOLDS, "two": FAILS}
    assert Claim(rows, "", ["one"], 0, ours=True).verdict is Verdict.HELD
    assert Claim(rows, "", ["one"], 0).verdict is Verdict.REPRODUCED
    assert Claim(rows, "", ["one", "two"], 0, ours=True).verdict is Verdict.PARTLY
    assert Claim(rows, "", ["two"], 0, ours=True).verdict is Verdict.UNSUPPORTED
    assert all(make(reader(RESULTS)).ours is (key in OURS) for key, make in (CLAIMS | OURS).items())


@pytest.mark.parametrize(("name", "claims"), [("claims", CLAIMS), ("ours", OURS)])
def test_the_page_has_each_claim_once_with_its_anchor_and_one_sentence(name: str, claims: dict[str, Any]) -> None:
    page = (ROOT / "book" / f"{name}.md").read_text()
    shown = re.findall(
        r"^\(claim-([\w-]+)\)=\n## (?:\d+\. )?[^\n]*\n\n```\{claim\} ([\w-]+)\n(.*?)```", page, re.M | re.S
    )
    assert [anchor for anchor, _, _ in shown] == [key for _, key, _ in shown] == list(claims)
    for _, key, sentence in shown:
        assert sentence.strip().endswith(".") and len(sentence.split()) <= 45, key
