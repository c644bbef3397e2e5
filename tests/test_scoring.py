from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from scipy import stats
from synthetic import layout

from cpd import scoring
from cpd.__main__ import main
from cpd.adapters.peft_files import WEIGHTS, read_adapter, write_adapter
from cpd.evaluation import Evaluating
from cpd.measures.statistics import Interval
from cpd.methods import registry
from cpd.scoring import OTHER, SCORED, Command, Scores
from cpd.zoo.folders import from_folders

TEXTS = {"films": "Is a film review positive?", "spam": "Is this message spam?"}
NAMES = {
    "original": "original (fine-tuned)",
    "training": "training runs",
    "reconstruction": "autoencoder alone",
    "generated": "generated",
    OTHER: "generated, told another",
    "nearest": "nearest training run",
    "soup": "average of the runs",
    "run_soup": "average of one run",
    "gaussian": "random around the average",
    "noisy_soup": "average plus noise",
}
PYTHON = f"{shlex.quote(sys.executable)} -I -S"  # in 20 ms
SCORER = """
import json, struct, sys

adapter, task, told = sys.argv[1:]
with open(told) as file:
    told = json.load(file)
with open(adapter + "/adapter_model.safetensors", "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header, numbers = json.loads(file.read(length)), file.read()
away = 0.0
for name, centre in told["centres"][task].items():
    start, end = header[name]["data_offsets"]
    own = struct.unpack(f"<{len(centre)}f", numbers[start:end])
    away += sum((x - y) ** 2 for x, y in zip(own, centre))
with open(told["log"], "a") as file:
    file.write(f"{task} {-away!r}\\n")
print("score:", -away)
"""


@dataclass(frozen=True)
class Scorer:
    """A script that scores an adapter by minus its squared distance to its task's centre, and counts its calls."""

    folder: Path
    centres: dict[str, np.ndarray]

    @property
    def command(self) -> str:
        script, told = (shlex.quote(str(self.folder / name)) for name in ("score.py", "told.json"))
        return f"{PYTHON} {script} {{adapter}} {{task}} {told}"

    @property
    def calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def score(self, task: str, vectors: torch.Tensor) -> list[float]:
        return (-((vectors.double().numpy() - self.centres[task]) ** 2).sum(axis=1)).tolist()


@dataclass(frozen=True)
class Fitted:
    root: Path
    generator: Path


def centre(task: str) -> np.ndarray:
    """Numbers that a float32 holds, so that those in a script are the same."""
    return np.random.default_rng(list(TEXTS).index(task)).normal(0, 0.1, layout().size).astype(np.float32).astype(float)


def write_zoo(root: Path, tasks: tuple[str, ...] = tuple(TEXTS)) -> Path:
    """Three runs of two checkpoints around the centre of each task."""
    random = np.random.default_rng(7)
    for task in tasks:
        for run in range(3):
            own = centre(task) + random.normal(0, 0.02, layout().size)
            for step in range(2):
                vector = torch.from_numpy(own + random.normal(0, 0.002, layout().size)).float()
                write_adapter(root / task / f"run-{run}" / f"step-{step}", layout(), vector)
    (root / "conditions.yaml").write_text("".join(f"{task}: {TEXTS[task]}\n" for task in tasks))
    return root


def read_adapters(folder: Path) -> torch.Tensor:
    return torch.stack([read_adapter(weights.parent)[1] for weights in sorted(folder.rglob(WEIGHTS))])


def fit(root: Path, out: Path, *options: str) -> Path:
    assert main(["fit", str(root), "--out", str(out), "--preset", "smoke", "--condition", "one_hot", *options]) == 0
    return out


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fitted")
    root = write_zoo(folder / "adapters")
    return Fitted(root, fit(root, folder / "generator", "--held-out", "1"))


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    folder, centres = tmp_path / "the user's", {task: centre(task) for task in TEXTS}
    folder.mkdir()
    named = {task: {name: own[span].tolist() for name, span in layout().spans.items()} for task, own in centres.items()}
    (folder / "score.py").write_text(SCORER)
    (folder / "told.json").write_text(json.dumps({"centres": named, "log": str(folder / "log")}))
    return Scorer(folder, centres)


def evaluation(of: Fitted, command: str, out: Path, *options: str) -> int:
    given = ["evaluate", str(of.root), str(of.generator), "--score", command, "--out", str(out)]
    return main([*given, "--n", "2", "--jobs", "2", *options])


def found(out: Path) -> dict:
    return json.loads((out / "evaluation.json").read_text())


def made(of: Fitted, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    zoo = from_folders(of.root, folder / "zoo", held_out=1)
    return scoring.arms(zoo, registry.load(of.generator), Evaluating(generated=2, controls=2, wrong=2), 0)


def distinct(arms: dict[str, dict[str, torch.Tensor]]) -> int:
    return len({(task, x.numpy().tobytes()) for task, each in arms.items() for own in each.values() for x in own})


def test_an_evaluation_scores_the_adapters_of_every_arm_in_plain_words(
    fitted: Fitted, scorer: Scorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluation(fitted, scorer.command, out) == 0
    shown, said, arms = capsys.readouterr().out, found(out), made(fitted, tmp_path)
    assert said["failed"] == [] and said["held_out_runs"] == 2 and said["command"] == scorer.command
    for task, each in arms.items():
        assert set(each) == set(said["scores"][task]) == set(SCORED)
        for arm, vectors in each.items():
            np.testing.assert_allclose(said["scores"][task][arm], scorer.score(task, vectors), rtol=1e-12)
    assert len(scorer.calls) == distinct(arms), "an adapter that is in several arms is scored once"
    for row, key in zip(said["arms"], SCORED, strict=True):
        own = [np.mean(said["scores"][task][key]) for task in TEXTS]
        half = math.tan(0.475 * math.pi) * abs(own[0] - own[1]) / 2  # Student's t of one degree is Cauchy's
        np.testing.assert_allclose(row["mean"], [np.mean(own), np.mean(own) - half, np.mean(own) + half], rtol=1e-9)
        assert row["arm"] == key and row["scored"] == sum(len(arms[task][key]) for task in TEXTS)
        (line,) = (line for line in shown.splitlines() if re.match(re.escape(NAMES[key]) + r"  +-", line))
        assert line.removeprefix(NAMES[key]).split()[0] == f"{row['mean'][0]:.4g}"
    assert shown.startswith(said["verdict"] + "\n") and not re.search("run_soup|noisy_soup|other_condition", shown)
    with Image.open(out / "evaluation.png") as picture:
        assert picture.format == "PNG" and np.asarray(picture.convert("L")).std() > 1
    drawing = " ".join(ElementTree.fromstring((out / "evaluation.svg").read_bytes()).itertext())
    assert all(name in drawing for name in NAMES.values())
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "evaluation.png", "evaluation.svg", "scores"}


def test_arms_are_what_their_names_say(fitted: Fitted, tmp_path: Path) -> None:
    arms = made(fitted, tmp_path)
    runs = {task: read_adapters(fitted.root / task).reshape(3, 2, -1) for task in TEXTS}
    learned = torch.cat([own[:2].flatten(0, 1) for own in runs.values()])
    for task, each in arms.items():
        assert torch.equal(each["original"], runs[task][2:, 1])
        assert torch.equal(each["training"], runs[task][:2, 1])
        torch.testing.assert_close(each["run_soup"], runs[task][:2].mean(dim=1))
        torch.testing.assert_close(each["soup"], runs[task][:2].mean(dim=(0, 1))[None])
        away = (each["generated"][:, None] - learned).norm(dim=-1)
        assert torch.equal(each["nearest"], learned[away.argmin(dim=1)])


def test_held_out_runs_are_not_learned(fitted: Fitted, tmp_path: Path) -> None:
    learned = json.loads((fitted.generator / "generator.json").read_text())["learned"]
    assert learned == {"tasks": {task: {"adapters": 4, "runs": 2, "held_out_runs": 1} for task in TEXTS}}
    root = shutil.copytree(fitted.root, tmp_path / "adapters")
    for weights in root.glob(f"*/run-2/*/{WEIGHTS}"):
        write_adapter(weights.parent, layout(), torch.ones(layout().size))
    again = fit(root, tmp_path / "generator", "--held-out", "1")
    assert (again / "manifest.json").read_bytes() == (fitted.generator / "manifest.json").read_bytes()


def test_json_stands_alone_and_nothing_is_scored_twice_before_the_script_changes(
    fitted: Fitted, scorer: Scorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluation(fitted, scorer.command, out, "--json") == 0
    said, first = json.loads(capsys.readouterr().out), scorer.calls
    assert said == found(out) and len(first) > 20
    assert evaluation(fitted, scorer.command, out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == said and scorer.calls == first
    script = scorer.folder / "score.py"
    script.write_text(SCORER.replace("-away)", "-2 * away)"))
    assert evaluation(fitted, scorer.command, out, "--json") == 0
    anew = json.loads(capsys.readouterr().out)
    assert len(scorer.calls) == 2 * len(first)
    for task, arm in ((task, arm) for task in TEXTS for arm in SCORED):
        np.testing.assert_allclose(anew["scores"][task][arm], 2 * np.array(said["scores"][task][arm]), rtol=1e-12)


def test_an_adapter_is_scored_once_for_each_task_layout_and_script(scorer: Scorer, tmp_path: Path) -> None:
    a, b = torch.randn(2, layout().size, generator=torch.Generator().manual_seed(0))
    arms = {"films": {"training": torch.stack([a, b]), "nearest": torch.stack([b, a, b])}, "spam": {"soup": a[None]}}
    scored = scoring.score(arms, layout(), Command(scorer.command), 2, tmp_path / "scores")
    assert len(scorer.calls) == 3 and scored.failed == []
    for task, arm in (("films", "training"), ("films", "nearest"), ("spam", "soup")):
        np.testing.assert_allclose(scored.scores[task][arm], scorer.score(task, arms[task][arm]), rtol=1e-12)
    assert scoring.score(arms, layout(), Command(scorer.command), 2, tmp_path / "scores") == scored
    assert len(scorer.calls) == 3
    other = replace(layout(), config=layout().config | {"lora_alpha": 16})
    scoring.score(arms, other, Command(scorer.command), 2, tmp_path / "scores")
    assert len(scorer.calls) == 6, "with another alpha equal numbers are another adapter"


def test_an_interrupted_evaluation_keeps_what_is_done_and_goes_on(
    fitted: Fitted, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, call = tmp_path / "out", Command.__call__

    def stopped(command: Command, adapter: Path, task: str) -> float:
        if len(scorer.calls) == 5:
            raise KeyboardInterrupt
        return call(command, adapter, task)

    with monkeypatch.context() as patched:
        patched.setattr(Command, "__call__", stopped)
        assert evaluation(fitted, scorer.command, out, "--jobs", "1") == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["scores"]
    kept = [json.loads(path.read_text()) for path in (out / "scores").iterdir()]
    assert sorted(kept) == sorted(float(line.split()[1]) for line in scorer.calls) and len(kept) == 5
    assert evaluation(fitted, scorer.command, out) == 0
    assert len(scorer.calls) == len(set(scorer.calls)) == distinct(made(fitted, tmp_path))


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Callable[[], bytes]]:
    """A named pipe "living" that processes hold open; the test waits until the last one ends, for what they wrote."""
    os.mkfifo(tmp_path / "living")
    reader = os.open(tmp_path / "living", os.O_RDONLY | os.O_NONBLOCK)

    def written() -> bytes:
        said, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if not (more := os.read(reader, 100)):
                    return said
                said += more
            except BlockingIOError:  # a process has it
                time.sleep(0.01)
        raise AssertionError("a process is still there")

    yield written
    os.close(reader)


def test_ctrl_c_ends_the_commands_and_what_they_started(
    fitted: Fitted, living: Callable[[], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    (tmp_path / "score.sh").write_text(
        'mkdir "$FOLDER/first" 2> /dev/null && echo 1 && exit\n'
        'exec 3> "$FOLDER/living"; echo x >&3\n'
        'until ls "$FOLDER"/out/scores/*.json; do sleep 0.01; done\n'
        'mkdir "$FOLDER/second" && kill -INT $PPID\n'
        "sleep 100 & sleep 100\n"
    )
    before, began = signal.signal(signal.SIGINT, signal.default_int_handler), time.monotonic()
    try:
        code = evaluation(fitted, f"sh {tmp_path / 'score.sh'} {{adapter}}", tmp_path / "out")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130 and b"x" in living() and time.monotonic() - began < 50
    (kept,) = (tmp_path / "out" / "scores").iterdir()
    assert json.loads(kept.read_text()) == 1


def test_a_command_that_is_stopped_begins_nothing_more(tmp_path: Path) -> None:
    command, began = Command("sh -c 'sleep 100' {adapter}"), time.monotonic()
    command.stop()
    with pytest.raises(ValueError, match="no end"):
        command(tmp_path, "films")
    assert time.monotonic() - began < 50 and not command.running


FAULTS = """
import sys
task = sys.argv[1]
if task == "fails":
    print(0.9)
    print("RuntimeError: out of memory\\n", file=sys.stderr)
    sys.exit(3)
elif task == "words":
    print("0.9\\nthe accuracy is good")
elif task == "nan":
    print("accuracy", float("nan"))
elif task == "fine":
    print("accuracy 0.5\\naccuracy 0.25\\n")
    print("warning: process group 7", file=sys.stderr)
"""


def test_what_went_wrong_is_said_with_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "faults.py").write_text(FAULTS)
    wrong = {
        "fails": "exit code 3: RuntimeError: out of memory",
        "silent": "no number at the end: nothing printed",
        "words": "no number at the end: the accuracy is good",
        "nan": "no number at the end: accuracy nan",
    }
    arms = {task: {"generated": torch.zeros(1, layout().size)} for task in ("fine", *wrong)}
    command = Command(f"{PYTHON} {tmp_path / 'faults.py'} {{task}} {{adapter}}")
    scored = scoring.score(arms, layout(), command, 2, tmp_path / "scores")
    assert scored.failed == [(task, "generated", line) for task, line in wrong.items()]
    assert scored.scores == {"fine": {"generated": [0.25]}} | dict.fromkeys(wrong, {})
    assert len(list((tmp_path / "scores").iterdir())) == 1, "what failed is tried again"


@pytest.mark.parametrize("script", ["sleep 100 & sleep 100", "sleep 100 & echo 1"])
def test_what_hangs_is_ended_with_its_children(script: str, living: Callable[[], bytes], tmp_path: Path) -> None:
    began = time.monotonic()
    held = f"exec 3> {tmp_path / 'living'}; echo x >&3; {script}"
    with pytest.raises(ValueError, match=r"^no end after 0\.5 s$"):
        Command(f"sh -c {shlex.quote(held)} {{adapter}}", timeout=0.5)(tmp_path, "films")
    assert living() == b"x\n" and 0.5 <= time.monotonic() - began < 50


def test_a_command_that_hangs_once_is_shown_and_only_its_score_is_made_again(
    fitted: Fitted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"echo x >> {tmp_path}/log; mkdir {tmp_path}/first 2> /dev/null && sleep 100; echo 1"
    command, out = f"sh -c '{script}' {{adapter}}", tmp_path / "out"
    assert evaluation(fitted, command, out, "--timeout", "1", "--jobs", "1") == 0
    shown, said, count = capsys.readouterr().out, found(out), distinct(made(fitted, tmp_path))
    assert said["failed"] and {line for _, _, line in said["failed"]} == {"no end after 1 s"}
    ((task, arm, line), *_) = said["failed"]
    assert f"{len(said['failed'])} scores are missing:" in shown and f"  {NAMES[arm]}, {task}: {line}" in shown
    assert {x for each in said["scores"].values() for own in each.values() for x in own} == {1}
    assert len((tmp_path / "log").read_text().split()) == count
    assert evaluation(fitted, command, out) == 0
    assert found(out)["failed"] == [] and "missing" not in capsys.readouterr().out
    assert len((tmp_path / "log").read_text().split()) == count + 1


def test_a_command_that_scores_nothing_is_refused_with_its_last_line(
    fitted: Fitted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "sh -c 'echo no module named peft >&2; exit 1' {adapter}"
    given = ("evaluate", fitted.root, fitted.generator, "--score", command, "--n", 1, "--out", tmp_path / "out")
    assert refused(capsys, *given).endswith(
        "scored no adapter, the first one ended with exit code 1: no module named peft"
    )
    assert not (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--score", "python score.py"], "does not say {adapter}"),
        (["--score", ""], "does not say {adapter}"),
        (["--score", "python 'score.py {adapter}"], "No closing quotation"),
        (["--score", "no-such-program {adapter}"], "there is no program 'no-such-program'"),
        (["--score", "echo {adapter}", "--timeout", "0"], "--timeout"),
        (["--score", "echo {adapter}", "--n", "0"], "--n"),
        ([], "--score"),
    ],
)
def test_commands_that_cannot_score_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    given = ("evaluate", tmp_path / "nowhere", tmp_path / "none", "--out", tmp_path / "out", *options)
    assert named in refused(capsys, *given)
    assert list(tmp_path.iterdir()) == []


def test_a_command_may_be_a_long_text_and_may_change_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f': {"a long text " * 40}; cd / && test -f "$0/{WEIGHTS}" && echo 3'
    arms = {"films": {"soup": torch.zeros(1, layout().size)}}
    scored = scoring.score(arms, layout(), Command(f"sh -c '{text}' {{adapter}}"), 1, Path("scores"))
    assert scored == Scores({"films": {"soup": [3.0]}}, [])


def add_run(root: Path) -> None:
    shutil.copytree(root / "spam" / "run-0", root / "spam" / "run-00")


def lose_run(root: Path) -> None:
    shutil.rmtree(root / "spam" / "run-0")


def rename_task(root: Path) -> None:
    (root / "spam").rename(root / "junk")
    (root / "conditions.yaml").write_text(f"films: {TEXTS['films']}\njunk: {TEXTS['spam']}\n")


def raise_alpha(root: Path) -> None:
    other = replace(layout(), config=layout().config | {"lora_alpha": 16})
    for weights in root.rglob(WEIGHTS):
        write_adapter(weights.parent, other, torch.zeros(layout().size))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (add_run, "has 10 training adapters of films, spam, the generator was fitted to 8 of films, spam"),
        (lose_run, "has 6 training adapters of films, spam, the generator was fitted to 8 of films, spam"),
        (rename_task, "has 8 training adapters of films, junk, the generator was fitted to 8 of films, spam"),
        (raise_alpha, "has another layout: lora_alpha is 16, expected 8"),
    ],
)
def test_a_folder_that_the_generator_was_not_fitted_to_is_refused(
    fitted: Fitted, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], named: str
) -> None:
    root = shutil.copytree(fitted.root, tmp_path / "adapters")
    change(root)
    given = ("evaluate", root, fitted.generator, "--score", "echo {adapter} 1", "--out", tmp_path / "out")
    assert f"{root} {named}" in refused(capsys, *given)
    assert [path.name for path in tmp_path.iterdir()] == ["adapters"]


def test_a_generator_that_writes_the_average_does_as_well_as_the_average(
    scorer: Scorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_zoo(tmp_path / "adapters")
    of = Fitted(root, fit(root, tmp_path / "generator", "--method", "soup"))
    assert evaluation(of, scorer.command, tmp_path / "out") == 0
    shown, said = capsys.readouterr().out, found(tmp_path / "out")
    assert said["verdict"].startswith("Averaging each task's training runs does as well") and "+0," in said["verdict"]
    assert "decides nothing" not in said["verdict"], "the average of another task is far from this one's centre"
    films, spam = (read_adapters(root / task).mean(dim=0, keepdim=True) for task in TEXTS)
    for task, own, other in (("films", films, spam), ("spam", spam, films)):
        for arm, vector in (("generated", own), ("soup", own), (OTHER, other)):
            np.testing.assert_allclose(said["scores"][task][arm], scorer.score(task, vector)[0], rtol=1e-5)
    assert "No run was held out" in shown and NAMES["original"] not in shown and said["held_out_runs"] == 0


def test_one_task_is_compared_over_its_adapters(
    scorer: Scorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_zoo(tmp_path / "adapters", ("films",))
    of = Fitted(root, fit(root, tmp_path / "generator", "--method", "gaussian", "--held-out", "1"))
    assert evaluation(of, scorer.command, tmp_path / "out", "--n", "4") == 0
    said, shown = found(tmp_path / "out"), capsys.readouterr().out
    rows, own = {row["arm"]: row for row in said["arms"]}, said["scores"]["films"]
    assert OTHER not in rows and rows["soup"]["mean"] == [own["soup"][0], None, None]
    assert "noise" in shown
    np.testing.assert_allclose(rows["noisy_soup"]["generated_above"], welch(own["generated"], own["noisy_soup"]))


def welch(a: list[float], b: list[float]) -> tuple[float, float, float]:
    """Welch 1947: the mean difference, and its interval with the degrees of freedom of Satterthwaite."""
    u, v = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
    away, half = np.mean(a) - np.mean(b), stats.t.ppf(0.975, freedom) * np.sqrt(u + v)
    return away, away - half, away + half


def bounds(value: Interval | None) -> list[float]:
    assert value is not None
    return [value.mean, value.low, value.high]


def tasks(**arms: list[list[float]]) -> Scores:
    """Scores of each arm, task by task."""
    count = len(next(iter(arms.values())))
    return Scores({f"task {i}": {arm: own[i] for arm, own in arms.items()} for i in range(count)}, [])


def test_intervals_are_students_t_over_the_means_of_tasks() -> None:
    scored = tasks(generated=[[1, 3], [2, 2, 5], [7]], soup=[[1], [4], [1, 2]])
    two = 0.95 / math.sqrt(2 * 0.975 * 0.025)  # the quantile of Student's t of two degrees
    half = two * np.std([2, 3, 7], ddof=1) / math.sqrt(3)
    np.testing.assert_allclose(bounds(scoring.mean(scored, "generated")), [4, 4 - half, 4 + half])
    apart = [1, -1, 5.5]
    half = two * np.std(apart, ddof=1) / math.sqrt(3)
    middle = sum(apart) / 3
    np.testing.assert_allclose(
        bounds(scoring.above(scored, "generated", "soup")), [middle, middle - half, middle + half]
    )
    np.testing.assert_allclose(
        bounds(scoring.above(scored, "soup", "generated")), [-middle, -middle - half, half - middle]
    )


def test_a_task_without_a_score_leaves_the_pairs_and_one_pair_has_no_interval() -> None:
    scored = Scores({"films": {"generated": [2.0, 4.0], "soup": [1.0]}, "spam": {"generated": [9.0]}}, [])
    assert scoring.above(scored, "generated", "soup") == Interval(2, -math.inf, math.inf, 1)
    assert scoring.above(scored, "generated", "nearest") is None and scoring.mean(scored, "nearest") is None
    rows = {row["arm"]: row for row in scoring.table(scored)}
    assert list(rows) == ["generated", "soup"] and rows["soup"]["generated_above"] == [2, None, None]
    assert [row["scored"] for row in rows.values()] == [3, 1] and rows["generated"]["generated_above"] is None
    assert "does as well, as far as can be told" in scoring.verdict(scored)
    assert scoring.verdict(Scores({"films": {"soup": [1.0]}}, [])).startswith("Nothing can be said")


def test_one_task_has_welchs_interval_over_its_adapters() -> None:
    random = np.random.default_rng(0)
    for m, n in ((2, 2), (6, 2), (3, 9)):
        a, b = random.normal(0.1, 1, m).tolist(), random.normal(0, 3, n).tolist()
        scored = tasks(generated=[a], nearest=[b])
        np.testing.assert_allclose(bounds(scoring.above(scored, "generated", "nearest")), welch(a, b))
        half = stats.t.ppf(0.975, m - 1) * np.std(a, ddof=1) / math.sqrt(m)
        expected = [np.mean(a), np.mean(a) - half, np.mean(a) + half]
        np.testing.assert_allclose(bounds(scoring.mean(scored, "generated")), expected)
    scored = tasks(generated=[[1.0, 2.0]], soup=[[1.0]])
    half = stats.t.ppf(0.975, 1) / 2
    for arms, sign in ((("generated", "soup"), 1), (("soup", "generated"), -1)):  # an average is one adapter
        np.testing.assert_allclose(
            bounds(scoring.above(scored, *arms)), [sign * 0.5, sign * 0.5 - half, sign * 0.5 + half]
        )
    scored = tasks(generated=[[1.5]], soup=[[1.0]])
    assert scoring.above(scored, "generated", "soup") == Interval(0.5, -math.inf, math.inf, 1)


@pytest.mark.parametrize(
    ("nearest", "soup", "said"),
    [
        ([1.0, 2.1, 3.0], [0.0, 0.0, 0.0], "Generated adapters score higher than looking up the nearest"),
        ([1.0, 2.1, 3.0], [8.0, 9.1, 10.0], "Generated adapters score lower than averaging each task's training runs"),
        ([1.0, 2.1, 3.0], [1.0, 9.0, 7.0], "Averaging each task's training runs does as well"),
        ([9.0, 2.0, 7.0], [1.0, 2.1, 3.0], "Looking up the nearest training adapter does as well"),
    ],
)
def test_the_verdict_is_about_the_best_look_up(nearest: list[float], soup: list[float], said: str) -> None:
    arms = {"generated": [5.0, 6.0, 7.0], "nearest": nearest, "soup": soup}
    assert scoring.verdict(tasks(**{arm: [[score] for score in own] for arm, own in arms.items()})).startswith(said)


def test_the_verdict_is_never_higher_where_generated_adapters_score_what_a_look_up_scores() -> None:
    for value, m, n in ((k / 100, m, n) for k in range(1, 100, 3) for m in (1, 2, 6) for n in (1, 3, 7)):
        for count in (1, 2, 3):
            said = scoring.verdict(tasks(generated=[[value] * m] * count, soup=[[value] * n] * count))
            assert said.startswith("Averaging each task's training runs does as well"), (value, m, n, count)
    own = [[0.1, 0.7, 0.3], [0.2, 0.9, 0.4]]
    assert "does as well" in scoring.verdict(tasks(generated=own, nearest=[each[::-1] for each in own]))


def test_the_verdict_is_rarely_higher_by_chance() -> None:
    random, draws = np.random.default_rng(0), 400
    higher = 0
    for _ in range(draws):
        own = random.normal(size=(4, 5, 3)).tolist()
        higher += "higher" in scoring.verdict(tasks(**dict(zip(("generated", *scoring.LOOK_UPS), own, strict=True))))
    assert higher <= 0.025 * draws + 3 * math.sqrt(0.025 * 0.975 * draws)


@pytest.mark.parametrize(
    ("told_another", "decides"),
    [([1.0, 2.0], False), ([3.0, 4.0], False), ([0.0, 1.5], False), ([0.0, 1.0], True)],
)
def test_the_verdict_says_whether_the_condition_decides_anything(told_another: list[float], decides: bool) -> None:
    arms = {"generated": [1.0, 2.0], "nearest": [1.0, 2.0], OTHER: told_another}
    said = scoring.verdict(tasks(**{arm: [[score] for score in own] for arm, own in arms.items()}))
    assert ("its condition decides nothing" in said) != decides
