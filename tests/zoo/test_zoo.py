from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from cpd.adapters.layout import AdapterLayout
from cpd.adapters.peft_files import WEIGHTS, read_adapter, write_adapter
from cpd.runtime import artifacts, tensor_files
from cpd.study.presets import preset
from cpd.zoo.folders import from_folders
from cpd.zoo.zoo import AdapterZoo

TEXTS = {"films": "Is a film review positive?", "spam": "Is this message spam?"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("base") / "tiny-bert")


@pytest.fixture(scope="module")
def one(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AdapterLayout, torch.Tensor]:
    folder = tmp_path_factory.mktemp("one") / "one"
    tiny.lora(base).save_pretrained(folder)
    return read_adapter(folder)


@pytest.fixture
def root(one: tuple[AdapterLayout, torch.Tensor], tmp_path: Path) -> Path:
    """Two tasks, two runs (``run-2`` before ``run-10``), two steps (``step-9`` before ``step-10``)."""
    layout, vector = one
    root, scale = tmp_path / "adapters", 1
    for task in TEXTS:
        for run in (2, 10):
            for step in (9, 10):
                write_adapter(root / task / f"run-{run}" / f"step-{step}", layout, scale * vector)
                scale += 1
    say(root, **TEXTS)
    return root


def say(root: Path, **texts: object) -> None:
    (root / "conditions.yaml").write_text("".join(f"{task}: {text}\n" for task, text in texts.items()))


def refused(root: Path, out: Path, *named: str, held_out: int = 0) -> None:
    """Check that a folder is refused in one sentence that says what and where, and that nothing half made is left."""
    before = sorted(root.parent.rglob("*"))
    with pytest.raises((ValueError, OSError)) as raised:
        from_folders(root, out, held_out)
    assert all(words in str(raised.value) for words in named), raised.value
    assert not out.exists() and not artifacts.is_complete(out)
    assert sorted(root.parent.rglob("*")) == before, "something half made is left"


def test_rows_are_the_adapters_in_natural_order(root: Path, tmp_path: Path, one: tuple) -> None:
    layout, vector = one
    zoo = from_folders(root, tmp_path / "zoo")
    assert zoo.layout == layout and zoo.tasks == ["films", "spam"]
    assert zoo.conditions == {task: [text] for task, text in TEXTS.items()}
    runs = [(f"{task}/run-{run}", step) for task in TEXTS for run in (2, 10) for step in (9, 10)]
    assert [(row.run, row.step) for row in zoo.rows] == runs
    for i in range(8):
        assert np.array_equal(zoo.vectors[i], ((i + 1) * vector).numpy())
    assert zoo.of("spam") == [4, 5, 6, 7] and zoo.of("spam", "spam/run-10") == [6, 7]
    assert zoo.last(held_out=False) == [1, 3, 5, 7]


def test_rows_are_mapped_and_not_loaded(root: Path, tmp_path: Path) -> None:
    zoo = from_folders(root, tmp_path / "zoo")
    assert isinstance(zoo.vectors, np.memmap) and not zoo.vectors.flags.writeable
    again = AdapterZoo.load(tmp_path / "zoo")
    assert again.rows == zoo.rows and again.layout == zoo.layout and again.conditions == zoo.conditions
    assert np.array_equal(again.vectors, zoo.vectors)


def test_split_is_by_run(root: Path, tmp_path: Path) -> None:
    zoo = from_folders(root, tmp_path / "zoo", held_out=1)
    assert sorted(zoo.training() + zoo.held_out()) == list(range(8))
    assert {zoo.rows[i].run for i in zoo.held_out()} == {"films/run-10", "spam/run-10"}
    assert not {zoo.rows[i].run for i in zoo.training()} & {zoo.rows[i].run for i in zoo.held_out()}
    refused(root, tmp_path / "none", "has 2 run(s)", held_out=2)


def test_adapters_directly_below_a_task_are_runs_of_their_own(root: Path, tmp_path: Path) -> None:
    for run in (2, 10):
        for step in (9, 10):
            shutil.move(root / "spam" / f"run-{run}" / f"step-{step}", root / "spam" / f"{run}-{step}")
    zoo = from_folders(root, tmp_path / "zoo")
    assert len({zoo.rows[i].run for i in zoo.of("spam")}) == 4


def test_checkpoints_directly_below_a_task_are_one_run(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "spam" / "run-10")
    for step in (9, 10):
        shutil.move(root / "spam" / "run-2" / f"step-{step}", root / "spam" / f"checkpoint-{step}")
    zoo = from_folders(root, tmp_path / "zoo")
    assert len({zoo.rows[i].run for i in zoo.of("spam")}) == 1
    assert [zoo.rows[i].step for i in zoo.of("spam")] == [9, 10]


def test_folders_that_all_runs_share_are_no_run(root: Path, tmp_path: Path) -> None:
    (root / "spam").rename(root / "output")
    (root / "spam").mkdir()
    shutil.move(root / "output", root / "spam" / "output")
    zoo = from_folders(root, tmp_path / "zoo", held_out=1)
    assert {zoo.rows[i].run for i in zoo.of("spam")} == {"spam/run-2", "spam/run-10"}
    assert {row.run for row in zoo.rows if row.held_out} == {"films/run-10", "spam/run-10"}


def test_final_adapter_beside_its_checkpoints_is_the_last_of_the_run(root: Path, tmp_path: Path) -> None:
    whole, _ = root / "spam" / "run-10", shutil.rmtree(root / "spam" / "run-2")
    for file in (whole / "step-10").iterdir():
        shutil.copy(file, whole / file.name)
    shutil.copytree(root / "films" / "run-2" / "step-9", whole / "step-10", dirs_exist_ok=True)
    zoo = from_folders(root, tmp_path / "zoo")
    (last,) = zoo.last(held_out=False, task="spam")
    np.testing.assert_array_equal(zoo.vectors[last], read_adapter(whole)[1].numpy())


def test_linked_folders_are_followed_and_loops_refused(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "spam" / "run-10", tmp_path / "elsewhere")
    (root / "spam" / "run-10").symlink_to(tmp_path / "elsewhere")
    assert len(from_folders(root, tmp_path / "zoo").rows) == 8
    (tmp_path / "elsewhere" / "loop").symlink_to(root / "spam")
    refused(root, tmp_path / "other", str(root / "spam" / "run-10" / "loop"), "remove the link")


def test_an_adapter_is_no_root(root: Path, tmp_path: Path) -> None:
    refused(root / "spam" / "run-2" / "step-9", tmp_path / "zoo", "is itself an adapter")


def test_task_names_are_text_and_none_is_dropped(root: Path, tmp_path: Path) -> None:
    (root / "spam").rename(root / "no")
    say(root, films="x", no="y")
    assert from_folders(root, tmp_path / "zoo").tasks == ["films", "no"]
    (root / "conditions.yaml").write_text("films: x\nno: y\nfilms: z\n")
    refused(root, tmp_path / "other", "conditions.yaml", "'films' is there twice")


def test_same_folder_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    from_folders(root, tmp_path / "one")
    from_folders(root, tmp_path / "two")
    assert artifacts.read_json(tmp_path / "one" / "manifest.json") == artifacts.read_json(
        tmp_path / "two" / "manifest.json"
    )
    with pytest.raises(FileExistsError, match="choose another folder"):
        from_folders(root, tmp_path / "one")


def test_several_conditions_of_a_task_are_kept(root: Path, tmp_path: Path) -> None:
    say(root, films='["one text", "another"]', spam="third")
    zoo = from_folders(root, tmp_path / "zoo")
    assert zoo.conditions == {"films": ["one text", "another"], "spam": ["third"]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"r": 3}, "r is 3, expected 2"),
        ({"target_modules": ["query"]}, "target_modules is ['query']"),
        ({"lora_alpha": 4}, "lora_alpha is 4"),
    ],
)
def test_other_rank_targets_or_alpha_are_refused(
    base: Path, root: Path, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    where = root / "spam" / "run-2" / "step-9"
    shutil.rmtree(where)
    tiny.lora(base, **change).save_pretrained(where)
    refused(root, tmp_path / "zoo", str(where), named)


def test_other_base_is_refused(one: tuple, root: Path, tmp_path: Path) -> None:
    layout, vector = one
    config = layout.config | {"base_model_name_or_path": "other-bert"}
    other = AdapterLayout(layout.names, layout.shapes, layout.dtypes, config)
    where = root / "spam" / "run-2" / "step-9"
    write_adapter(where, other, vector)
    refused(root, tmp_path / "zoo", str(where), "base_model_name_or_path is 'other-bert', expected 'tiny-bert'")


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ({"films": "x"}, "says nothing of task 'spam'"),
        ({"films": "x", "spam": '""'}, "empty or unreadable condition for task 'spam'"),
        ({"films": "x", "spam": '"  "'}, "empty or unreadable condition for task 'spam'"),
        ({"films": "x", "spam": ""}, "empty or unreadable condition for task 'spam'"),
        ({"films": "x", "spam": "[]"}, "empty or unreadable condition for task 'spam'"),
        ({"films": "x", "spam": "[ok, 3]"}, "empty or unreadable condition for task 'spam'"),
        ({"films": "x", "spam": "y", "chess": "z"}, "the task 'chess'"),
        ({"films": "x", "spam": "y", "../adapters/spam": "z"}, "'../adapters/spam', which is empty, a path or hidden"),
        ({"films": "x", "spam": "y", "/tmp": "z"}, "'/tmp', which is empty, a path or hidden"),
        ({"films": "x", "spam": "y", "..": "z"}, "'..', which is empty, a path or hidden"),
        ({"films": "x", "spam": "y", ".hidden": "z"}, "'.hidden', which is empty, a path or hidden"),
        ({"films": "x", "spam": "y", '""': "z"}, "'', which is empty"),
    ],
)
def test_conditions_and_folders_must_agree(root: Path, tmp_path: Path, texts: dict[str, str], named: str) -> None:
    say(root, **texts)
    refused(root, tmp_path / "zoo", str(root / "conditions.yaml"), named)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "a: [b", "films: !!python/name:os.system\n"])
def test_unreadable_conditions_are_refused(root: Path, tmp_path: Path, text: str) -> None:
    (root / "conditions.yaml").write_text(text)
    refused(root, tmp_path / "zoo", "conditions.yaml")


def test_missing_conditions_and_missing_adapters_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "conditions.yaml").unlink()
    refused(root, tmp_path / "zoo", str(root / "conditions.yaml"), "write one line")
    refused(tmp_path / "nowhere", tmp_path / "zoo", "nowhere")


@pytest.mark.parametrize("size", [0, 9, 400])
def test_truncated_weights_are_refused(root: Path, tmp_path: Path, size: int) -> None:
    weights = root / "spam" / "run-10" / "step-10" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:size])
    refused(root, tmp_path / "zoo", str(weights), "not a whole safetensors file")


def test_no_adapter_is_skipped_silently(root: Path, tmp_path: Path) -> None:
    where = root / "spam" / "run-10" / "step-10"
    (where / WEIGHTS).rename(where / "adapter_model.bin")
    refused(root, tmp_path / "zoo", str(where), "may be a pickle")
    (where / "adapter_model.bin").unlink()
    refused(root, tmp_path / "zoo", str(where / WEIGHTS))
    (where / "adapter_config.json").unlink()
    assert len(from_folders(root, tmp_path / "zoo").rows) == 7, "an empty folder is no adapter"


def test_nan_is_refused(one: tuple, root: Path, tmp_path: Path) -> None:
    layout, vector = one
    state = layout.unflatten(vector)
    state[layout.names[0]].view(-1)[0] = float("nan")
    tensor_files.write_tensors(root / "spam" / "run-10" / "step-9" / WEIGHTS, state)
    refused(root, tmp_path / "zoo", "NaN or infinite weight", str(root / "spam" / "run-10" / "step-9"))


def test_a_bad_adapter_can_be_put_right_and_the_zoo_made_again(one: tuple, root: Path, tmp_path: Path) -> None:
    layout, vector = one
    weights = root / "spam" / "run-10" / "step-10" / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:50])
    refused(root, tmp_path / "zoo", str(weights))
    weights.write_bytes(whole)
    write_adapter(root / "films" / "run-2" / "step-9", layout, -vector)
    zoo = from_folders(root, tmp_path / "zoo")
    assert np.array_equal(zoo.vectors[0], -vector.numpy()) and np.array_equal(zoo.vectors[7], (8 * vector).numpy())


def test_task_with_one_checkpoint_is_in_the_zoo_but_cannot_be_learned(root: Path, tmp_path: Path) -> None:
    from cpd.methods.cond_pdiff.generator import CondPDiff

    shutil.rmtree(root / "spam" / "run-10")
    shutil.rmtree(root / "spam" / "run-2" / "step-9")
    zoo = from_folders(root, tmp_path / "zoo")
    assert len(zoo.of("spam")) == 1
    with pytest.raises(ValueError, match="task 'spam' has 1 training checkpoint"):
        CondPDiff.fit(zoo, preset("smoke", condition="one_hot").learning, 0, tmp_path / "work")


def test_damaged_zoo_is_refused(root: Path, tmp_path: Path) -> None:
    from_folders(root, tmp_path / "zoo")
    matrix = tmp_path / "zoo" / "vectors.safetensors"
    matrix.write_bytes(matrix.read_bytes()[:-4])
    with pytest.raises(ValueError, match="vectors.safetensors is not a whole safetensors file"):
        AdapterZoo.load(tmp_path / "zoo")
    with pytest.raises(FileNotFoundError):
        AdapterZoo.load(tmp_path / "nowhere")


def run_folder(folder: Path, layout: AdapterLayout, task: str, seed: int) -> Path:
    """Write what ``finetune`` leaves of a run of three checkpoints."""
    with artifacts.building(folder) as partial:
        tensor_files.create_matrix(partial / "vectors.safetensors", 3, layout.size)[:] = seed
        artifacts.write_json(partial / "layout.json", layout.to_json())
        record = {"task": task, "run": f"{task}-{seed}", "steps": [8, 9, 10], "scores": {"select": [None, None, 0.5]}}
        artifacts.write_json(partial / "run.json", record)
    return folder


def test_runs_are_gathered_with_scores_and_held_out_runs(one: tuple, tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / f"{task}{seed}", one[0], task, seed) for task in ("a", "b") for seed in (1, 2)]
    given = {"a": ["text"], "b": ["text", "more"]}
    zoo = AdapterZoo.from_runs(runs, [runs[1], runs[3]], given, tmp_path / "zoo")
    assert [(row.task, row.run, row.step, row.score) for row in zoo.rows[2:4]] == [
        ("a", "a-1", 10, 0.5),
        ("a", "a-2", 8, None),
    ]
    assert {zoo.rows[i].run for i in zoo.held_out()} == {"a-2", "b-2"}
    assert [float(row[0]) for row in zoo.vectors] == [1, 1, 1, 2, 2, 2] * 2
    assert zoo.last(held_out=True, task="b") == [11]


def test_runs_without_condition_or_of_another_layout_are_refused(base: Path, one: tuple, tmp_path: Path) -> None:
    tiny.lora(base, r=1).save_pretrained(tmp_path / "other")
    first = run_folder(tmp_path / "first", one[0], "a", 1)
    second = run_folder(tmp_path / "second", read_adapter(tmp_path / "other")[0], "a", 2)
    with pytest.raises(ValueError, match="second has another layout: r is 1, expected 2"):
        AdapterZoo.from_runs([first, second], [], {"a": ["text"]}, tmp_path / "zoo")
    for conditions in ({}, {"a": []}, {"a": [" "]}):
        with pytest.raises(ValueError, match="task 'a' has no condition text"):
            AdapterZoo.from_runs([first], [], conditions, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()
