"""The command line on tables of people's own tasks: learn them, write for a task that never was there, score it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from refusals import refused

from cpd.__main__ import main
from cpd.adapters.peft_files import read_adapter
from cpd.domains.text import tables
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.pooled import load
from cpd.domains.text.portions import few, halved
from cpd.domains.text.tasks import YES_NO
from cpd.domains.text.telling import Told
from cpd.measures.classification import judged
from cpd.methods import hub, registry
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.tables import spec
from cpd.unseen import tasks as unseen
from cpd.unseen.tasks import COUNTS, NAMES

SENTENCES = {
    "good": "Is it good?", "bad": "Is it bad?", "film": "Is it a film?", "book": "Is it a book?",
    "thing": "What is it?", "fine": "Is it fine?", "poor": "Is it poor?",
}  # fmt: skip
HELD_OUT = ("fine", "poor")
QUICK = ("--preset", "smoke", "--steps", "6", "--rank", "2")
FEW = "text,label\nfilm is good,1\nbook is great,1\nmeal is bad,0\n"


def label(task: str, text: str) -> str:
    words = text.split()
    praised = any(tiny.WORDS.get(word, 0) for word in words)
    if task == "thing":
        return words[0] if words[0] in ("film", "book") else "other"
    return str(
        int({"good": praised, "bad": not praised, "fine": praised, "poor": not praised}.get(task, task in words))
    )


def write_tables(root: Path, rows: int = 60) -> Path:
    for i, task in enumerate(SENTENCES):
        (root / task).mkdir(parents=True)
        texts = [text.removeprefix("the ").replace("the ", "") for (text,) in tiny.reviews(rows, seed=i)[0].texts]
        lines = ["text,label", *(f"{text},{label(task, text)}" for text in texts)]
        (root / task / "train.csv").write_text("\n".join(lines))
    (root / "conditions.yaml").write_text("".join(f"{task}: {text}\n" for task, text in SENTENCES.items()))
    return root


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def fit(root: Path, base: Path, out: Path, *options: object) -> Path:
    run("fit", root, "--method", "hypernetwork", "--base", base, *QUICK, "--out", out, *options)
    return out


@pytest.fixture(scope="module", autouse=True)
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("artifacts")
        patch.setenv("CPD_ARTIFACTS", str(folder))
        patch.setattr(tables, "STEPS", 8)
        yield folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables") / "tables")


@pytest.fixture(scope="module")
def writer(root: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of two outputs and more; tasks were held out."""
    held_out = [word for task in HELD_OUT for word in ("--held-out", task)]
    return fit(root, base, tmp_path_factory.mktemp("fit") / "writer", *held_out)


@pytest.fixture(scope="module")
def soup(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters, and beside them a generator that was fitted to them."""
    folder = tmp_path_factory.mktemp("zoo")
    for i, task in enumerate(("good", "bad")):
        tiny.lora(base, seed=i).save_pretrained(folder / "adapters" / task / "run-0")
    (folder / "adapters" / "conditions.yaml").write_text("good: Is it good?\nbad: Is it bad?\n")
    run("fit", folder / "adapters", "--method", "soup", "--condition", "one_hot", "--out", folder / "soup")
    return folder


def made(writer: Path) -> FittedHypernetwork:
    found = registry.load(writer)
    assert isinstance(found, FittedHypernetwork)
    return found


def new(out: Path) -> torch.Tensor:
    return read_adapter(out / "000")[1]


# fit


def test_what_is_learned_is_saved_and_nothing_else_is_left(writer: Path, own_root: Path) -> None:
    found = made(writer)
    assert list(found.sentences.items()) == sorted((t, s) for t, s in SENTENCES.items() if t not in HELD_OUT)
    assert found.learned is not None and found.learned["held_out"] == sorted(HELD_OUT)
    assert found.learned["tasks"]["thing"]["classes"] == ["book", "film", "other"]
    assert found.network.shape.classes == 3 and found.layout.config["r"] == 2
    assert found.layout.config["base_model_name_or_path"] == "tiny" and len(found.history) == 6
    assert [path.name for path in writer.parent.iterdir()] == ["writer"] and list(own_root.iterdir()) == []


def test_rows_of_what_is_held_out_change_nothing(root: Path, base: Path, writer: Path, tmp_path: Path) -> None:
    other = shutil.copytree(root, tmp_path / "other")
    held_out = [word for task in HELD_OUT for word in ("--held-out", task)]
    for task, same in (("fine", True), ("good", False)):
        path = other / task / "train.csv"
        path.write_text(path.read_text().replace(",1", ",x").replace(",0", ",1").replace(",x", ",0"))
        again = fit(other, base, tmp_path / task, *held_out)
        weights = [(folder / "generator.safetensors").read_bytes() for folder in (again, writer)]
        assert (weights[0] == weights[1]) == same


def test_what_is_asked_of_fit_is_done(root: Path, base: Path, tmp_path: Path) -> None:
    found = made(fit(root, base, tmp_path / "w", "--writes", "core", "--steps", "3", "--seed", "5"))
    assert (found.network.how.writes, found.network.how.steps, found.seed) == ("core", 3, 5)
    assert set(found.sentences) == set(SENTENCES)


def test_a_fit_that_is_stopped_goes_on_to_the_same_bytes(
    root: Path, base: Path, writer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = [word for task in HELD_OUT for word in ("--held-out", task)]
    command = ["fit", root, "--method", "hypernetwork", "--base", base, *QUICK, "--out", tmp_path / "w", *held_out]

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FittedHypernetwork, "save_pretrained", stopped)
        assert main([str(word) for word in command]) == 130
    assert not (tmp_path / "w").exists() and (tmp_path / ".w.work").is_dir()
    monkeypatch.setattr(TextDomain, "loss", stopped)  # all steps were taken
    run(*command)
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert (tmp_path / "w" / "manifest.json").read_bytes() == (writer / "manifest.json").read_bytes()


def test_adapters_tables_and_pictures_are_told_apart(
    root: Path, base: Path, soup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    said = refused(capsys, "fit", soup / "adapters", "--method", "hypernetwork", *out)
    assert f"{soup / 'adapters'} holds adapters, and method 'hypernetwork' learns tables, TASK/train.csv" in said
    for method in ("cond_pdiff", "soup", "ridge"):
        said = refused(capsys, "fit", root, "--method", method, *out)
        assert f"{root} holds tables, TASK/train.csv, and method {method!r} learns adapters" in said
    (tmp_path / "albums" / "night").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "albums" / "night" / "0.png")
    said = refused(capsys, "fit", tmp_path / "albums", "--method", "hypernetwork", *out)
    assert "style 'night' has 1 pictures" in said
    assert "there is no folder" in refused(capsys, "fit", tmp_path / "none", "--method", "hypernetwork", *out)
    assert [path.name for path in tmp_path.iterdir()] == ["albums"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "huge"], "no preset 'huge' of method hypernetwork; there are smoke, laptop, full"),
        (["--writes", "none"], "writes is one of all, b, core, head"),
        (["--steps", "0"], "--steps"),
        (["--base", "nowhere"], "no encoder 'nowhere'; there are minilm"),
        (["--held-out", "nothing"], "there is no task 'nothing' to hold out; there are good, bad"),
        (["--held-out", "1"], "there is no task '1' to hold out"),
        ([word for task in list(SENTENCES)[1:] for word in ("--held-out", task)], "1 task is left to learn from"),
        (["--normalization", "shared"], "--normalization is no option of method 'hypernetwork'; leave it out"),
        (["--adapter", "x"], "--adapter is no option of method 'hypernetwork'"),
    ],
)
def test_what_tables_cannot_be_asked_is_refused_before_any_work(
    root: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    given = ("fit", root, "--method", "hypernetwork", "--base", base, "--out", tmp_path / "w", *options)
    assert words in refused(capsys, *given)
    assert list(tmp_path.iterdir()) == []


def test_what_adapters_cannot_be_asked_is_refused(
    soup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("fit", soup / "adapters", "--method", "soup", "--out", tmp_path / "g")
    for option, value in (("--base", "minilm"), ("--rank", 2), ("--steps", 3), ("--writes", "b")):
        assert f"{option} is no option of method 'soup'" in refused(capsys, *given, option, value)
    for held_out in (["good"], ["1", "1"], ["-1"]):
        options = [word for each in held_out for word in ("--held-out", each)]
        assert "is a number of runs, such as 1; tasks are held out by name" in refused(capsys, *given, *options)


def test_a_bad_table_ends_fit_and_evaluate_in_one_sentence(
    root: Path, base: Path, writer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = shutil.copytree(root, tmp_path / "bad")
    (bad / "poor" / "train.csv").write_text("text,label\na,1\n,0\n")
    for command in (("fit", bad, "--method", "hypernetwork", "--out", tmp_path / "w"), ("evaluate", bad, writer)):
        assert f"line 3 of {bad / 'poor' / 'train.csv'} has no text" in refused(capsys, *command)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


# inspect


def test_inspect_says_what_tables_hold_and_what_is_there_twice(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(root, tmp_path / "tables")
    (other / "good" / "train.csv").write_text("text,label\n" + "a,0\nb,1\nc,0\nd,1\ne,0\nf,1\ng,0\nh,1\na,1\nb,1\n")
    run("inspect", other, "--json")
    found = json.loads(capsys.readouterr().out)["tasks"]
    assert list(found) == list(SENTENCES) and found["good"]["classes"] == {"no": 4, "yes": 6}
    assert (found["good"]["rows"], found["good"]["repeated"], found["good"]["contradicting"]) == (10, 2, 1)
    assert found["poor"]["rows"] == 60 and found["poor"]["repeated"] == 0
    run("inspect", other)
    shown = capsys.readouterr().out
    assert "7 tables" in shown and "Is it good?" in shown and "note: good has 2 texts that are there before" in shown
    assert "--adapter is no option of a folder of tables" in refused(capsys, "inspect", other, "--adapter", "x")


# generate


def test_an_adapter_for_a_sentence_that_never_was_there_loads_in_one_call(
    base: Path, writer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("generate", writer, "--condition", "Is it great?", "--out", tmp_path / "new")
    said, found = capsys.readouterr().out, made(writer)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["000"], "what is not random is written once"
    assert f"load it with cpd.domains.text.pooled.load({str(base)!r}, {str(tmp_path / 'new' / '000')!r})" in said
    assert torch.equal(new(tmp_path / "new"), found.generate("Is it great?")[0])
    run("generate", writer, "--condition", "Is it dull?", "--n", 2, "--out", tmp_path / "two")
    assert len(list((tmp_path / "two").iterdir())) == 2 and not torch.equal(
        new(tmp_path / "two"), new(tmp_path / "new")
    )
    logits = [tiny.logits(load(base, tmp_path / name / "000")) for name in ("new", "two")]
    assert logits[0].shape == (2, 3) and logits[0].isfinite().all() and not torch.equal(*logits)


def test_what_is_loaded_computes_what_was_scored(base: Path, root: Path, writer: Path, tmp_path: Path) -> None:
    run("generate", writer, "--condition", "fine", "--out", tmp_path / "new")
    card = next(card for card in tables.tasks(root) if card.name == "thing")
    domain = TextDomain(spec(str(base), 2), [card])
    model, texts = load(base, tmp_path / "new" / "000"), [text for (text,) in domain.splits("thing").report.texts]
    tokens = domain.tokenizer(texts, padding=True, truncation=True, max_length=38, return_tensors="pt")
    with torch.inference_mode():
        alone = model(**tokens).logits.numpy()
    np.testing.assert_allclose(domain.logits("thing", new(tmp_path / "new")[None], "report")[0], alone, atol=1e-5)


def told(found: FittedHypernetwork, root: Path, task: str, sentence: str, rows: Any = None) -> torch.Tensor:
    card = next(card for card in tables.tasks(root) if card.name == task)
    return found.write(Told.of(card, sentence, rows).vector(found.embeddings, 3)[None])[0]


def test_examples_and_classes_tell_a_task_as_it_was_learned(writer: Path, root: Path, tmp_path: Path) -> None:
    found = made(writer)
    (tmp_path / "few.csv").write_text(FEW)
    (tmp_path / "things.csv").write_text("text,label\nfilm is bad,film\nmeal is good,other\n")
    (_, few_rows), things = tables.examples(tmp_path / "few.csv"), ["book", "film", "other"]
    _, thing_rows = tables.examples(tmp_path / "things.csv", things)
    asked = {
        "alone": (["--examples", "few.csv"], told(found, root, "good", "", few_rows)),
        "both": (["--condition", "Is it?", "--examples", "few.csv"], told(found, root, "good", "Is it?", few_rows)),
        "yes or no": (["--condition", "Is it?", "--classes", "Yes,no"], told(found, root, "good", "Is it?")),
        "classes": (["--condition", "What?", "--classes", ", ".join(things)], told(found, root, "thing", "What?")),
        "all": (
            ["--condition", "What?", "--classes", ",".join(things), "--examples", "things.csv"],
            told(found, root, "thing", "What?", thing_rows),
        ),
        "a task by name": (
            ["--condition", "thing", "--examples", "things.csv"],
            told(found, root, "thing", SENTENCES["thing"], thing_rows),
        ),
    }
    for name, (options, expected) in asked.items():
        options = [str(tmp_path / word) if word.endswith(".csv") else word for word in options]
        run("generate", writer, *options, "--out", tmp_path / name)
        torch.testing.assert_close(new(tmp_path / name), expected), name
    assert len({new(tmp_path / name).numpy().tobytes() for name in asked}) == len(asked)


def test_what_cannot_be_written_is_refused_and_nothing_is_left(
    writer: Path, soup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few.csv").write_text(FEW)
    (tmp_path / "lines.txt").write_text("Is it?\n")
    generate, out = ("generate", writer), ("--out", tmp_path / "new")
    given: dict[str, tuple[object, ...]] = {
        "are a, b, c, d; 2 to 3 are written here": (*generate, "--condition", "x", "--classes", "a,b,c,d"),
        "are a; 2 to 3": (*generate, "--condition", "x", "--classes", "a"),
        "are a, a; 2 to 3": (*generate, "--condition", "x", "--classes", "a,a"),
        "nothing is told of the task": (*generate, "--condition", " ", "--classes", "a,b"),
        "line 2 of": (*generate, "--examples", tmp_path / "few.csv", "--classes", "good,bad"),
        "there is no": (*generate, "--examples", tmp_path / "none.csv"),
        "one of them, or --examples": generate,
        "--classes is no option of a file of conditions": (
            *generate, "--condition-file", tmp_path / "lines.txt", "--classes", "a,b",
        ),
        "one of them": (*generate, "--condition-file", tmp_path / "lines.txt", "--examples", tmp_path / "few.csv"),
        "n must be at least 1": (*generate, "--condition", "x", "--n", 0),
        "has nothing to guide": (*generate, "--condition", "x", "--guidance", 2),
        "--examples is for generators of texts that `cpd fit --method hypernetwork` wrote, and this one is of method "
        "'soup'": ("generate", soup / "soup", "--examples", tmp_path / "few.csv"),
    }  # fmt: skip
    for words, command in given.items():
        assert words in refused(capsys, *command, *out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.csv", "lines.txt"]
    run("generate", writer, "--condition-file", tmp_path / "lines.txt", *out)
    assert (tmp_path / "new" / "000" / "000" / "adapter_config.json").exists()


# evaluate


@pytest.fixture(scope="module")
def scored(root: Path, writer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated") / "out"
    run("evaluate", root, writer, "--out", out)
    return out


def evaluation(out: Path) -> dict[str, Any]:
    return json.loads((out / "evaluation.json").read_text())


def test_every_arm_is_scored_on_the_half_that_nothing_was_learned_from(root: Path, writer: Path, scored: Path) -> None:
    said, found = evaluation(scored), made(writer)
    assert list(said["scores"]) == sorted(HELD_OUT) and all(set(own) == set(NAMES) for own in said["scores"].values())
    assert [row["arm"] for row in said["arms"]] == list(NAMES) == [row["arm"] for row in said["accuracy"]]
    cards = {card.name: halved(card) for card in tables.tasks(root)}
    domain = TextDomain(spec(found.encoder, 2), list(cards.values()))
    written: dict[str, tuple[FittedHypernetwork, int]] = {"generated": (found, 0), "zero_shot": (found.untrained(), 0)}
    written |= {f"generated_{n}": (found, n) for n in COUNTS}
    written |= {f"prototypes_{n}": (found.untrained(), n) for n in COUNTS}
    for task in HELD_OUT:
        _, report = cards[task].load()
        tokens = [text for (text,) in report.texts]
        model = domain.model().eval()
        for arm, (by, count) in written.items():
            rows = few(cards[task], count, 0) if count else None
            vector = by.write(Told.of(cards[task], SENTENCES[task], rows).vector(found.embeddings, 3)[None])[0]
            model.load_state_dict(
                {
                    _inside(name): x for name, x in found.layout.unflatten(vector).items()
                },
                strict=False,
            )  # fmt: skip
            given = domain.tokenizer(tokens, padding=True, truncation=True, max_length=38, return_tensors="pt")
            with torch.inference_mode():
                logits = model(**given).logits.numpy()[:, :2]
            own = judged(logits, report.labels)
            assert said["scores"][task][arm] == pytest.approx({"auc": own.auc, "accuracy": own.accuracy}, abs=1e-6)
    assert said["scores"]["fine"]["look_up"] != {} and cards["fine"].classes == YES_NO


def _inside(name: str) -> str:
    """Return the name that a tensor of a file has in a model."""
    if "lora_" in name:
        return name.replace(".weight", ".default.weight")
    return name.replace("classifier.", "classifier.modules_to_save.default.")


def test_what_is_found_is_said_in_words_a_table_and_a_picture(
    root: Path, writer: Path, scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = evaluation(scored)
    capsys.readouterr()
    run("evaluate", root, writer, "--out", scored)
    shown = capsys.readouterr().out
    assert shown.startswith(said["verdict"] + "\n") and "95 % interval" in said["verdict"]
    assert "Told 4 examples of each class, generated minus fine-tuned on them: " in said["verdict"]
    for row in said["arms"]:
        (line,) = (line for line in shown.splitlines() if line.startswith(NAMES[row["arm"]] + "  "))
        assert f"{row['mean'][0]:.3f}" in line
    assert "2 tasks that were not learned: fine, poor" in shown
    assert {"evaluation.json", "evaluation.png", "evaluation.svg", "runs"} == {path.name for path in scored.iterdir()}
    run("evaluate", root, writer, "--out", scored, "--json")
    assert json.loads(capsys.readouterr().out) == said == evaluation(scored)


def test_an_evaluation_goes_on_where_it_was(
    root: Path, writer: Path, scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was fine-tuned before")

    monkeypatch.setattr(TextDomain, "loss", never)
    before = evaluation(scored)
    run("evaluate", root, writer, "--out", scored)
    assert evaluation(scored) == before


def test_fine_tuning_takes_the_steps_that_are_asked_for_and_nothing_else_changes(
    root: Path, writer: Path, scored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("evaluate", root, writer, "--steps", 3, "--out", out)
    before, after = (evaluation(each)["scores"] for each in (scored, out))
    changed = {arm for task in HELD_OUT for arm in NAMES if before[task][arm] != after[task][arm]}
    assert changed and all(arm.startswith("tuned") for arm in changed)
    assert {len(json.loads(path.read_text())["losses"]) for path in out.glob("runs/*/run.json")} == {3}


def test_one_task_may_be_named_and_its_scores_are_the_same(
    root: Path, writer: Path, scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(scored, tmp_path / "out")
    run("evaluate", root, writer, "--task", "poor", "--out", out)
    assert "one value" in capsys.readouterr().out
    found, before = evaluation(out)["scores"], evaluation(scored)["scores"]
    assert list(found) == ["poor"]
    for arm in set(NAMES) - {"other_condition"}:
        assert found["poor"][arm] == pytest.approx(before["poor"][arm], abs=1e-6)


def test_what_cannot_be_evaluated_is_refused(
    root: Path, base: Path, writer: Path, soup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    evaluate: tuple[object, ...] = ("evaluate", root, writer, *out)
    given: dict[str, tuple[object, ...]] = {
        "task 'good' was learned, so that it says nothing": (*evaluate, "--task", "good"),
        "there is no task 'nothing'; there are good": (*evaluate, "--task", "nothing"),
        "--score is no option of a folder of tables": (*evaluate, "--score", "echo {adapter}"),
        "--n is no option of a folder of tables": (*evaluate, "--n", 3),
        "holds tables, and": ("evaluate", root, soup / "soup", *out),
        "Missing option '--score'": ("evaluate", soup / "adapters", soup / "soup", *out),
        "--task is no option of a folder of adapters": ("evaluate", soup / "adapters", soup / "soup", "--task", "x"),
        "--steps is no option of a folder of adapters": ("evaluate", soup / "adapters", soup / "soup", "--steps", 9),
        "the generator was fitted to tables or pictures, and": (
            "evaluate", soup / "adapters", writer, "--score", "echo {adapter}", *out,
        ),
    }  # fmt: skip
    for words, command in given.items():
        assert words in refused(capsys, *command)
    some = tmp_path / "some"
    for task in ("good", "bad"):
        shutil.copytree(root / task, some / task)
    (some / "conditions.yaml").write_text("good: Is it good?\nbad: Is it bad?\n")
    assert "every task was learned, and none is left to ask for" in refused(capsys, "evaluate", some, writer, *out)
    wide = write_tables(tmp_path / "wide")
    (wide / "poor" / "train.csv").write_text(
        "text,label\n" + "".join(f"{name} {i},{name}\n" for i in range(4) for name in "abcd")
    )
    assert "task 'poor' has 4 classes, and heads of 3 are written" in refused(capsys, "evaluate", wide, writer, *out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some", "wide"]


def asking(writer: Path, root: Path, *names: str) -> unseen.Asked:
    found = made(writer)
    return unseen.asked(found, tables.tasks(root), names, spec(found.encoder, 2), 3)


def test_fine_tuning_sees_the_rows_that_are_shown_or_the_whole_half_and_never_those_it_is_scored_on(
    root: Path, writer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, seen = asking(writer, root), []

    def recorded(domain: TextDomain, jobs: Any) -> list[Path]:
        seen.append((domain, jobs))
        raise InterruptedError

    monkeypatch.setattr(unseen, "finetune_all", recorded)
    for count in (0, *COUNTS):
        with pytest.raises(InterruptedError):
            of.tuned(count)
        domain, jobs = seen[-1]
        assert jobs == [(task, 3) for task in sorted(HELD_OUT)] and domain.outputs == 3
        for card in of.cards:
            learned, report = card.load()
            rows = few(card, count, 3) if count else learned
            own = domain.splits(card.name)
            assert {*own.train.texts, *own.select.texts} == {*rows.texts} and len(own.select) <= 3
            assert {*own.report.texts} == {*report.texts} and not {*own.report.texts} & {*learned.texts}


def test_a_look_up_is_what_is_written_for_the_learned_task_with_the_nearest_sentence(
    root: Path, writer: Path, tmp_path: Path
) -> None:
    other, found = shutil.copytree(root, tmp_path / "tables"), made(writer)
    (other / "conditions.yaml").write_text(
        "".join(f"{t}: {SENTENCES['bad'] if t == 'fine' else s}\n" for t, s in SENTENCES.items())
    )
    of = asking(writer, other, "fine")
    assert torch.equal(of.looked_up()[0], found.generate("bad")[0])
    torch.testing.assert_close(of.told()[0], found.conditions["bad"][0])
    assert torch.allclose(of.told(another=True)[0], found.conditions["bad"][0]), "a learned task's sentence"
    both = asking(writer, root)
    torch.testing.assert_close(both.told(another=True), both.told().flip(0))


# push


def test_the_card_says_what_was_learned_and_how_it_is_asked(writer: Path, scored: Path) -> None:
    about = json.loads((writer / "generator.json").read_text())
    text = hub.card("user/writer", about, "mit", evaluation(scored))
    for words in (
        "base_model: tiny", "license: mit", "Method: hypernetwork", "cpd generate user/writer --condition 'Is it bad?'",
        "`--examples FILE`", "up to 3 of them", 'cpd.domains.text.pooled.load("tiny", "new/000")',
        "| thing | What is it? | book, film, other | 58 |", "| good | Is it good? | no, yes | 58 |",
        evaluation(scored)["verdict"], "| adapters | area under the ROC curve |", "| generated from the sentence |",
    ):  # fmt: skip
        assert words in text
    assert "fine" not in text.split("## Evaluation")[0].split("## Learned from")[1]
    assert "not evaluated" in hub.card("user/writer", about, "mit", None)


def test_what_is_pushed_is_the_generator_and_its_card(
    writer: Path, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a generator on the packaged encoder, to a hub that keeps what it is given."""
    kept: dict[str, bytes] = {}

    class Hub:
        def create_repo(self, name: str, **_: object) -> str:
            return f"https://hub/{name}"

        def upload_folder(self, folder_path: str, **_: object) -> None:
            kept.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    replace(made(writer), encoder="minilm").save_pretrained(tmp_path / "w")
    capsys.readouterr()
    run("push", tmp_path / "w", "user/writer", "--license", "mit", "--evaluation", scored)
    assert capsys.readouterr().out == "https://hub/user/writer\n"
    assert kept.pop("README.md").decode().startswith("---\nbase_model: tiny\n")
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "w").iterdir()}


def test_a_generator_on_a_base_of_this_machine_is_not_pushed(
    writer: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "push", writer, "user/writer", "--license", "mit")
    assert f"the sentence encoder {str(base)!r} is a folder of this machine; fit again with one" in said
