from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from peft import PeftModel
from processes import launched
from refusals import refused
from transformers import AutoConfig, AutoModelForSequenceClassification

from cpd.__main__ import main
from cpd.adapters.layout import AdapterLayout, delta
from cpd.adapters.peft_files import read_adapter, write_adapter
from cpd.methods import registry
from cpd.methods.registry import METHODS
from cpd.runtime import tensor_files

TEXTS = {"films": "Is a film review positive?", "spam": "Is this message spam?"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("base") / "tiny-bert")


@pytest.fixture(scope="module")
def source(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AdapterLayout, torch.Tensor]:
    folder = tmp_path_factory.mktemp("source") / "one"
    tiny.lora(base).save_pretrained(folder)
    return read_adapter(folder)


@pytest.fixture
def adapters(source: tuple[AdapterLayout, torch.Tensor], tmp_path: Path) -> Path:
    """Two tasks of two runs of three checkpoints; the last parameter never moves."""
    return write_zoo(tmp_path / "adapters", *source)


def write_zoo(root: Path, layout: AdapterLayout, start: torch.Tensor) -> Path:
    random = torch.Generator().manual_seed(0)

    def near(vector: torch.Tensor, spread: float) -> torch.Tensor:
        moved = vector + spread * torch.randn(len(vector), generator=random)
        moved[-1] = start[-1]
        return moved

    for task in TEXTS:
        centre = near(start, 0.3)
        for run in range(2):
            own = near(centre, 0.03)
            for step in range(3):
                write_adapter(root / task / f"run-{run}" / f"step-{step}", layout, near(own, 0.003))
    (root / "conditions.yaml").write_text("".join(f"{task}: {text}\n" for task, text in TEXTS.items()))
    return root


@pytest.fixture(scope="module")
def generator(source: tuple[AdapterLayout, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fit")
    folder = write_zoo(root / "adapters", *source)
    assert main(["fit", str(folder), "--out", str(root / "g"), "--preset", "smoke", "--condition", "one_hot"]) == 0
    return root / "g"


def inspected(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["inspect", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_inspect_counts_and_measures(adapters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspected(adapters, capsys)
    layout, _ = read_adapter(adapters / "spam" / "run-0" / "step-0")
    assert found["adapters"] == 12
    assert {task: list(row["runs"].values()) for task, row in found["tasks"].items()} == {t: [3, 3] for t in TEXTS}
    assert found["layout"]["parameters"] == layout.size and found["layout"]["rank"] == 2
    assert found["layout"]["targets"] == ["query", "value"] and found["layout"]["base"] == "tiny-bert"
    away = found["distances"]
    expected = [0.003 * np.sqrt(2), np.sqrt(2 * (0.03**2 + 0.003**2)), np.sqrt(2 * (0.3**2 + 0.03**2 + 0.003**2))]
    measured = [away["one_run"], away["runs_of_one_task"], away["two_tasks"]]
    np.testing.assert_allclose(measured, np.array(expected) * np.sqrt(layout.size - 1), rtol=0.1)
    assert found["never_move"] == {"count": 1, "tensors": {layout.names[-1]: 1}}
    assert found["near_duplicates"] == found["contradictions"] == []


def test_inspect_finds_duplicates_and_swapped_labels(adapters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout, vector = read_adapter(adapters / "spam" / "run-0" / "step-0")
    write_adapter(adapters / "films" / "run-1" / "step-2", layout, vector * (1 + 1e-5))
    found = inspected(adapters, capsys)
    assert found["near_duplicates"] == [["films/run-1 step 2", "spam/run-0 step 0"]]
    assert {"adapter": "films/run-1 step 2", "nearest": "spam/run-0 step 0"} in found["contradictions"]


def test_inspect_table_is_readable(adapters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(adapters)]) == 0
    out = capsys.readouterr().out
    for words in ("12 adapters of tiny-bert, rank 2", "films", TEXTS["spam"], "never move: 1 of", "near-duplicates: 0"):
        assert words in out
    assert "{" not in out


def test_generated_adapters_load_with_peft_and_are_new(
    base: Path, generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["generate", str(generator), "--condition", "films", "--n", "3", "--steps", "5"]
    assert main([*command, "--out", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["000", "001", "002"]
    config = AutoConfig.from_pretrained(base, num_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(base, config=config)
    before = tiny.logits(model.eval())
    loaded = PeftModel.from_pretrained(model, tmp_path / "new" / "000").eval()
    assert tiny.logits(loaded).isfinite().all() and not torch.equal(tiny.logits(loaded), before)
    vectors = [read_adapter(tmp_path / "new" / name)[1] for name in ("000", "001")]
    assert not torch.equal(*vectors)
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert torch.equal(read_adapter(tmp_path / "again" / "000")[1], vectors[0])
    assert main([*command, "--seed", "1", "--out", str(tmp_path / "other")]) == 0
    assert not torch.equal(read_adapter(tmp_path / "other" / "000")[1], vectors[0])


def test_fit_leaves_only_the_generator_and_equal_bytes(generator: Path, adapters: Path) -> None:
    assert sorted(path.name for path in generator.parent.iterdir()) == ["adapters", "g"]
    out = adapters.parent / "g"
    assert main(["fit", str(adapters), "--out", str(out), "--preset", "smoke", "--condition", "one_hot"]) == 0
    assert (out / "manifest.json").read_bytes() == (generator / "manifest.json").read_bytes()


def test_two_processes_fit_one_generator(adapters: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "both", "--preset", "smoke", "--condition", "one_hot"]
    done = launched(tmp_path, "-m", "cpd", "fit", adapters, *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("learned 12 adapters") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapters", "both"]
    assert main(["generate", str(tmp_path / "both"), "--condition", "spam", "--out", str(tmp_path / "new")]) == 0


def test_interrupted_fit_goes_on(adapters: Path, generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cpd.methods.cond_pdiff import fitting

    command = ["fit", str(adapters), "--out", str(adapters.parent / "g"), "--preset", "smoke", "--condition", "one_hot"]
    fit_denoiser, seen = fitting.fit_denoiser, []

    def looked_at(*given: object) -> object:
        made = fit_denoiser(*given)
        (state,) = (adapters.parent / ".g.work").glob(".denoiser-*")
        seen.append((state.stat().st_mtime_ns, state.read_bytes()))
        return made

    def stopped(*given: object) -> object:
        looked_at(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit_denoiser", stopped)
    assert main(command) == 130
    assert not (adapters.parent / "g").exists()
    monkeypatch.setattr(fitting, "fit_denoiser", looked_at)
    assert main(command) == 0
    assert seen[0] == seen[1], "the denoiser was learned before and must not be learned again"
    manifest = (adapters.parent / "g" / "manifest.json").read_bytes()
    assert manifest == (generator / "manifest.json").read_bytes()


def test_per_task_normalization_needs_and_uses_the_task(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "g"
    options = ["--preset", "smoke", "--condition", "one_hot", "--normalization", "per_task", "--seed", "3"]
    assert main(["fit", str(adapters), "--out", str(out), *options]) == 0
    command = ["generate", out, "--condition", "films", "--n", 1, "--steps", 2, "--out", tmp_path / "new"]
    assert "say whose statistics" in refused(capsys, *command)
    assert not (tmp_path / "new").exists()
    assert main([str(word) for word in [*command, "--task", "films"]]) == 0
    _, new = read_adapter(tmp_path / "new" / "000")
    near, far = (read_adapter(adapters / task / "run-0" / "step-0")[1] for task in TEXTS)
    assert (new - near).norm() < (new - far).norm()


@pytest.mark.parametrize("method", ["run_soup", "soup", "gaussian", "noisy_soup", "by_condition"])
def test_methods_without_networks_fit_and_write_adapters_that_load_with_peft(
    method: str, base: Path, adapters: Path, tmp_path: Path
) -> None:
    fit = ["fit", str(adapters), "--method", method, "--out", str(tmp_path / "g"), "--condition", "one_hot"]
    assert main(fit) == 0
    assert json.loads((tmp_path / "g" / "generator.json").read_text())["method"] == method
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapters", "g"]
    command = ["generate", str(tmp_path / "g"), "--condition", "films", "--n", "3", "--out", str(tmp_path / "new")]
    assert main(command) == 0
    config = AutoConfig.from_pretrained(base, num_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(base, config=config)
    loaded = PeftModel.from_pretrained(model, tmp_path / "new" / "002").eval()
    assert tiny.logits(loaded).isfinite().all()
    _, new = read_adapter(tmp_path / "new" / "002")
    of = {task: [read_adapter(path.parent)[1] for path in (adapters / task).rglob("*.safetensors")] for task in TEXTS}
    near, far = (torch.stack([(new - own).norm() for own in of[task]]).min() for task in TEXTS)
    assert near < 0.5 * far and new[-1] == of["films"][0][-1]


def test_the_average_answers_a_text_for_the_task_that_it_is_most_like(adapters: Path, tmp_path: Path) -> None:
    assert main(["fit", str(adapters), "--method", "soup", "--out", str(tmp_path / "g")]) == 0
    command = ["generate", str(tmp_path / "g"), "--condition", "Is this e-mail junk?", "--n", "1"]
    assert main([*command, "--out", str(tmp_path / "new")]) == 0
    _, new = read_adapter(tmp_path / "new" / "000")
    own = torch.stack([read_adapter(path.parent)[1] for path in (adapters / "spam").rglob("*.safetensors")])
    torch.testing.assert_close(new, own.mean(dim=0))


def test_conditions_in_a_file_are_written_for_one_after_the_other(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conditions.txt").write_text("films\n\n  spam \n", encoding="utf-8-sig")
    options = ["--n", "2", "--steps", "3"]
    command = ["generate", str(generator), "--condition-file", str(tmp_path / "conditions.txt"), *options]
    assert main([*command, "--out", str(tmp_path / "many")]) == 0
    for i, task in enumerate(TEXTS):
        alone = ["generate", str(generator), "--condition", task, *options, "--out", str(tmp_path / task)]
        assert main(alone) == 0
        for name in ("000", "001"):
            one, other = (read_adapter(tmp_path / place / name)[1] for place in (f"many/{i:03d}", task))
            assert torch.equal(one, other)
    (tmp_path / "conditions.txt").write_text("\n")
    assert "holds no condition" in refused(capsys, *command, "--out", tmp_path / "none")
    (tmp_path / "conditions.txt").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refused(capsys, *command, "--out", tmp_path / "none")
    assert "one of them" in refused(capsys, *command, "--condition", "films", "--out", tmp_path / "none")
    assert "one of them" in refused(capsys, "generate", generator, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_merge_scale_multiplies_what_an_adapter_does_and_leaves_heads_alone(generator: Path, tmp_path: Path) -> None:
    command = ["generate", str(generator), "--condition", "films", "--n", "1", "--steps", "3"]
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    assert main([*command, "--merge-scale", "0.5", "--out", str(tmp_path / "half")]) == 0
    (layout, plain), (_, half) = (read_adapter(tmp_path / name / "000") for name in ("plain", "half"))
    for module, product in delta(layout, plain).items():
        torch.testing.assert_close(delta(layout, half)[module], 0.5 * product)
    heads = [layout.spans[name] for name in layout.names if "lora_" not in name]
    assert heads and all(torch.equal(plain[span], half[span]) for span in heads)


def test_adapters_of_peft_are_not_written_as_diffusers_files(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("generate", generator, "--condition", "films", "--steps", "2", "--format", "diffusers")
    assert "were not read from diffusers' files" in refused(capsys, *command, "--out", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_peft_would_not_load_is_never_written(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registry.load(generator)
    config = made.layout.config | {"target_modules": ["nothing"]}
    monkeypatch.setattr(registry, "load", lambda _: replace(made, layout=replace(made.layout, config=config)))
    command = ("generate", generator, "--condition", "films", "--steps", "2", "--out", tmp_path / "new")
    assert "PEFT does not load an adapter of this layout" in refused(capsys, *command)
    assert list(tmp_path.iterdir()) == []


def test_unknown_methods_are_refused_before_any_work(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "fit", adapters, "--method", "magic", "--out", tmp_path / "g")
    assert said == f"cpd: no method 'magic'; there are {', '.join(METHODS)}"
    none = ("fit", adapters, "--method", "soup", "--condition", "none", "--out", tmp_path / "g")
    assert "method 'soup' needs conditions" in refused(capsys, *none)
    assert [path.name for path in tmp_path.iterdir()] == ["adapters"]
    assert main(["fit", str(adapters), "--method", "soup", "--condition", "one_hot", "--out", str(tmp_path / "g")]) == 0
    guided = ("generate", tmp_path / "g", "--condition", "films", "--guidance", "3", "--out", tmp_path / "new")
    assert "method 'soup' has nothing to guide" in refused(capsys, *guided)
    about = json.loads((tmp_path / "g" / "generator.json").read_text())
    (tmp_path / "g" / "generator.json").write_text(json.dumps(about | {"method": "magic"}))
    unknown = ("generate", tmp_path / "g", "--condition", "films", "--out", tmp_path / "new")
    assert "no method 'magic'; there are cond_pdiff" in refused(capsys, *unknown)


def test_folders_in_use_are_left_alone(
    adapters: Path, generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("precious")
    said = refused(capsys, "generate", generator, "--condition", "films", "--out", tmp_path / "used")
    assert "not an empty folder" in said
    assert "exists already" in refused(capsys, "fit", adapters, "--out", tmp_path / "used", "--preset", "smoke")
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--preset", "huge"], "no preset 'huge'; there are smoke, laptop"),
        (["--preset", "smoke", "--normalization", "batch"], "normalization is one of none, shared, per_task"),
        (["--preset", "smoke", "--condition", "vibes"], "condition is one of"),
    ],
)
def test_unknown_names_are_refused_before_any_work(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], named: str
) -> None:
    assert named in refused(capsys, "fit", adapters, "--out", tmp_path / "g", *change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapters"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--condition", " "], "empty"),
        (["--condition", "unknown"], "unknown task 'unknown'"),
        (["--condition", "films", "--n", "0"], "n must be at least 1"),
        (["--condition", "films", "--steps", "0"], "steps"),
    ],
)
def test_bad_requests_are_refused_and_write_nothing(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], named: str
) -> None:
    assert named in refused(capsys, "generate", generator, "--out", tmp_path / "new", *change)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_input_is_named(adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in refused(capsys, "inspect", tmp_path / "nowhere")
    assert "nowhere" in refused(capsys, "generate", tmp_path / "nowhere", "--condition", "x", "--out", tmp_path / "o")
    weights = adapters / "spam" / "run-1" / "step-1" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:99])
    assert str(weights) in refused(capsys, "inspect", adapters)
    assert str(weights) in refused(capsys, "fit", adapters, "--out", tmp_path / "g", "--preset", "smoke")
    assert [path.name for path in tmp_path.iterdir()] == ["adapters"]


def test_full_disk_ends_in_one_sentence_and_no_folder(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, done = tensor_files.write_tensors, []

    def filling(*given: object) -> Path:
        if len(done) == 1:
            raise OSError(28, "No space left on device")
        done.append(1)
        return write(*given)

    monkeypatch.setattr(tensor_files, "write_tensors", filling)
    said = refused(capsys, "generate", generator, "--condition", "films", "--steps", "2", "--out", tmp_path / "new")
    assert "No space left" in said and list(tmp_path.iterdir()) == []


def test_bugs_keep_their_traceback(adapters: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr("cpd.zoo.folders.from_folders", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", str(adapters)])


def test_help_teaches_and_the_process_exits_with_2(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "cpd"]
    shown = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True).stdout
    assert "cpd fit adapters --held-out 1 --out generator" in shown and "conditions.yaml" in shown
    failed = subprocess.run([*run, "inspect", str(tmp_path / "none")], capture_output=True, text=True)
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1
