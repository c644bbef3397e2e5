"""The study of tasks and styles that nothing was trained on: what an arm is told, its scores, and that it goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.images.albums import EmojiAlbum
from cpd.domains.images.domain import ImageDomain
from cpd.domains.images.styles import TRAINING
from cpd.domains.text import diagnoses
from cpd.domains.text.portions import few
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.measures.classification import Scores, judged
from cpd.study.unseen import readers, scored, styles, tasks


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


def card(name: str, kind: str = "topic", tier: str = "test", classes: tuple[str, ...] = YES_NO) -> TextTask:
    def load() -> tuple[Split, Split]:
        rows = Split([(f"{name} {i}",) for i in range(40)], np.arange(40) % len(classes))
        return rows.rows(np.arange(20)), rows.rows(np.arange(20, 40))

    return TextTask(name, f"Is it {name}?", classes, accuracy, 5, load, (name, f"of {name}"), kind, tier)


def test_scores_are_of_the_order_of_the_rows_and_of_the_side_they_are_on() -> None:
    labels = np.array([0, 0, 1, 1])
    logits = np.array([[0, -3], [0, -1], [0, -2], [0, 5.0]])
    assert judged(logits, labels) == Scores(auc=0.75, accuracy=0.75)
    assert judged(-logits, labels).auc == 0.25
    three = np.eye(3)[[0, 1, 2, 2]]
    assert judged(three, np.array([0, 1, 2, 2])) == Scores(1.0, 1.0)
    assert judged(np.roll(three, 1, axis=1), np.array([0, 1, 2, 2])).accuracy == 0.0


def test_examples_are_none_of_the_report_and_another_draw_shows_others() -> None:
    own = card("gout")
    shown, other = few(own, 4, 0), few(own, 4, 1)
    assert np.bincount(shown.labels).tolist() == [4, 4]
    assert not set(shown.texts) & set(own.load()[1].texts) and set(shown.texts) != set(other.texts)
    assert set(shown.texts) == set(few(own, 4, 0).texts)


def test_a_reader_sees_each_text_beside_a_phrasing_that_is_not_asked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [card("gout"), card("mumps")]
    read, _ = readers._together(cards)
    assert [text for _, text in read.texts] == [text for card in cards for (text,) in card.load()[0].texts]
    assert {told for told, _ in read.texts} == {"gout", "of gout", "mumps", "of mumps"}
    assert all(told.split()[-1] == text.split()[0] for told, text in read.texts)
    rows, report = readers._paired(cards[0])
    assert report is not None and {told for told, _ in rows.texts + report.texts} == {"Is it gout?"}


def test_another_tasks_condition_is_of_the_same_tier_and_form_and_never_the_own() -> None:
    study = object.__new__(tasks.Study)
    three = ("a", "b", "c")
    study.unseen = [card("gout"), card("side", "side", classes=three), card("mumps"), card("eye", "eye", classes=three)]
    assert study.others() == [2, 3, 0, 1]


def test_what_is_asked_is_a_few_of_each_kind_and_what_is_learned_is_of_all_kinds() -> None:
    cards = [card(f"topic {i}") for i in range(5)]
    cards += [card("left", "side"), card("right", "side"), card("acute", "course")]
    assert [c.name for c in tasks._some(cards, 2, 2)] == ["topic 0", "topic 1", "left", "acute"]
    assert [c.name for c in tasks._some(cards, 0, 3)] == ["left", "right", "acute"]
    assert tasks._some(cards, None, None) == cards


def test_nothing_unseen_is_learned() -> None:
    study = tasks.Study(replace(tasks.Unseen(), learned=50, topics=2, questions=1))
    assert {c.tier for c in study.training} == {"training"} and {c.tier for c in study.unseen} == {"test", "apart"}
    assert {c.name for c in study.training} <= set(diagnoses.of_tier("training"))


def test_what_may_be_added_to_zero_shot_is_what_fine_tuning_from_there_adds() -> None:
    study = tasks.Study(replace(tasks.PRESETS["smoke"], zoo=2, learned=4))
    gains, names = study.gains, study.known.names
    begun = study.zero_shot(torch.stack([*map(study.learned.asked, names)]))
    again = study.known.starting_from(dict(zip(names, begun, strict=True)))
    ended = last_checkpoints(finetune_all(again, [(name, 0) for name in names]))
    torch.testing.assert_close(begun + gains.adapters(gains.last(held_out=False)), ended)
    assert not torch.equal(*begun) and not torch.equal(ended, begun)


def test_an_arm_is_scored_once_and_others_are_added() -> None:
    asked: list[list[str]] = []

    def score(names: list[str]) -> dict[str, dict[str, dict[str, float]]]:
        asked.append(list(names))
        return {name: {"task": {"auc": 0.5}} for name in names}

    made_by = {"size": 1}
    assert scored.scores(made_by, 0, ["a", "b"], score)["b"]["task"]["auc"] == 0.5  # type: ignore[arg-type]
    scored.scores(made_by, 0, ["a", "b", "c"], score)  # type: ignore[arg-type]
    scored.scores(made_by, 1, ["a"], score)  # type: ignore[arg-type]
    scored.scores({"size": 2}, 0, ["a"], score)  # type: ignore[arg-type]
    assert asked == [["a", "b"], ["c"], ["a"], ["a"]]


def test_pictures_are_kept_as_they_are() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(scored.unpacked(scored.packed(pictures)), pictures)


def test_a_look_up_among_all_learned_styles_writes_the_adapter_of_the_one_that_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = replace(styles.PRESETS["smoke"], asked=(3, 0))
    study = styles.Study(how)
    album = EmojiAlbum(TRAINING[:3], 48)
    names = album.names
    monkeypatch.setattr(study, "learned", ImageDomain(replace(how.finetuning, tasks=tuple(names)), album))
    shown = torch.stack([study.learned.real(names[i], "train").mean(dim=0) for i in (2, 0, 2)])
    monkeypatch.setattr(study, "shown", lambda draw: shown + 1e-4)
    taken = study.taken(seed=7)
    own = last_checkpoints(finetune_all(study.learned, [(name, 0) for name in names]))
    assert torch.equal(taken, own[[2, 0, 2]]) and len(own.unique(dim=0)) == 3


def test_how_far_a_style_is_away_is_its_distance_to_the_nearest_learned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    study = styles.Study(styles.PRESETS["smoke"])
    known = {"left": torch.tensor([[0.0, 0.0]]), "right": torch.tensor([[10.0, 0.0]])}
    monkeypatch.setattr(study, "known", known)
    monkeypatch.setattr(study, "shown", lambda draw: torch.tensor([[3.0, 4.0], [10.0, 0.0], [7.0, 4.0]]))
    assert study.away(seed=0) == pytest.approx([5.0, 0.0, 5.0])


def test_going_on_from_no_update_for_all_steps_is_fine_tuning_and_fewer_steps_end_elsewhere() -> None:
    study = styles.Study(replace(styles.PRESETS["smoke"], asked=(2, 0)))
    nothing, steps = study.asked.untrained().expand(2, -1), study.asked.steps("")
    whole = study.gone_on(nothing, steps, seed=3)
    assert torch.equal(whole, study.tuned(seed=3))
    short = study.gone_on(nothing, steps // 2, seed=3)
    assert (short != whole).any(dim=1).all() and (short != nothing).any(dim=1).all()
    after = study.gone_on(short, 2, seed=3)
    assert (after - short).norm() < (after - nothing).norm()
