from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from processes import PATHS

from cpd.domains.finetune import VERSION, checkpoints, finetune, run_spec
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.tasks import Split, TextTask, matthews
from cpd.runtime import artifacts, tensor_files

KNOWN = (0.6914212, 0.6933944, 0.6934287, 0.6994227)  # losses of every third step
STEPS, KEEP, KILLED = 50, 14, 45  # states are saved after steps 20 and 40, checkpoints 37 to 50 are kept
SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import conftest, test_finetune as t
domain, calls = t.domain(Path(sys.argv[2])), []
loss = domain.loss
def killing(*given):
    calls.append(1)
    if len(calls) == t.KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(*given)
domain.loss = killing
t.finetune(domain, [("reviews", 0)])
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("base") / "tiny-bert")


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


def domain(base: Path, **changes: object) -> TextDomain:
    """Dropout on, so that its randomness counts."""
    return TextDomain(tiny.spec(base, **{"dropout": 0.3, "keep": KEEP} | changes), [replace(tiny.REVIEWS, steps=STEPS)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "elsewhere"))


def test_run_holds_its_last_checkpoints_and_their_scores(base: Path) -> None:
    made = domain(base)
    run = finetune(made, [("reviews", 0)])[0]
    assert artifacts.verify(run) == run_spec(made, "reviews", 0) and len(contents(run)) == 4
    record, rows = artifacts.read_json(run / "run.json"), tensor_files.open_matrix(run / "vectors.safetensors")
    assert record["steps"] == list(range(STEPS - KEEP + 1, STEPS + 1)) and rows.shape == (KEEP, made.layout.size)
    assert (np.diff(rows, axis=0) != 0).any(axis=1).all(), "two steps left the same checkpoint"
    assert len(record["losses"]) == STEPS and np.isfinite(record["losses"]).all()
    assert {"25", "50"} <= set(record["curve"])
    for i, score in enumerate(record["scores"]["select"]):
        if score is not None:
            assert score == made.score("reviews", torch.from_numpy(rows[i : i + 1].copy()), "select")[0]
    assert record["scores"]["select"][-1] == record["curve"]["50"]


def test_a_run_can_begin_with_any_adapter_and_is_then_another_run(base: Path) -> None:
    plain = domain(base, keep=STEPS, learning_rate=1e-3)
    given = plain.untrained() + torch.from_numpy(np.random.default_rng(0).normal(size=plain.layout.size)).float()
    begun = pickle.loads(pickle.dumps(plain.starting_from({"reviews": given})))
    (own,), (other,) = finetune(begun, [("reviews", 0)]), finetune(plain, [("reviews", 0)])
    assert own != other and torch.equal(plain.start("reviews"), plain.untrained())
    first, last = checkpoints([own], 0)[0], checkpoints([own], -1)[0]
    assert 0 < (first - given).abs().max() <= 1.1e-3 < (last - given).abs().max()
    same = plain.starting_from({"reviews": plain.untrained(), "of no run": given})
    (alike,) = finetune(same, [("reviews", 0)])
    assert alike != other and torch.equal(checkpoints([alike], -1), checkpoints([other], -1))


def test_same_seed_gives_the_same_bytes_and_another_another_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = finetune(domain(base), [("reviews", 0)])[0], finetune(domain(base), [("reviews", 1)])[0]
    assert first != other
    rows = [tensor_files.open_matrix(run / "vectors.safetensors") for run in (first, other)]
    assert not np.array_equal(*rows)
    elsewhere(monkeypatch, tmp_path)
    torch.manual_seed(77)
    again = finetune(domain(base), [("reviews", 0)])[0]
    assert again != first and contents(again) == contents(first)


def test_finished_run_is_found_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finetune(domain(base), [("reviews", 0)])[0]
    monkeypatch.setattr(TextDomain, "loss", lambda *_: pytest.fail("a finished run was run again"))
    assert finetune(domain(base, runs=5, held_out=3), [("reviews", 0)])[0] == first


def test_whatever_changes_a_run_changes_its_address(base: Path) -> None:
    made = domain(base)
    folders = {artifacts.address("runs", run_spec(made, "reviews", seed)) for seed in (0, 1)}
    for change in (
        {"rank": 2},
        {"dropout": 0.1},
        {"batch": 9},
        {"select_rows": 7},
        {"init_seed": 1},
        {"keep": 3},
        {"report_rows": 7},
    ):
        folders.add(artifacts.address("runs", run_spec(domain(base, **change), "reviews", 0)))
    assert len(folders) == 9


def test_report_rows_of_the_suites_own_do_not_change_a_run(base: Path) -> None:
    rows = tiny.REVIEWS.load()[0]
    own = replace(tiny.REVIEWS, load=lambda: (rows, rows.rows(np.arange(9))))
    few, many = (run_spec(TextDomain(tiny.spec(base, report_rows=n), [own]), "reviews", 0) for n in (5, 7))
    assert few == many


def test_a_base_encoder_in_a_folder_is_known_by_its_files_and_not_by_where_they_lie(base: Path, tmp_path: Path) -> None:
    here = run_spec(domain(base), "reviews", 0)
    moved = Path(shutil.copytree(base, tmp_path / base.name))
    assert run_spec(domain(moved), "reviews", 0) == here
    assert str(base.parent) not in str(here)
    tensors = tensor_files.read_tensors(moved / "model.safetensors")
    tensor_files.write_tensors(moved / "model.safetensors", {name: 2 * t for name, t in tensors.items()})
    assert run_spec(domain(moved), "reviews", 0) != here


def test_killed_and_resumed_gives_the_same_bytes(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", SCRIPT, PATHS, str(base)]
    killed = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    (partial,) = (artifacts.root() / "runs").glob("*.partial")
    assert partial.name.endswith(".partial") and (partial / ".state").exists()
    calls, loss = [], TextDomain.loss
    monkeypatch.setattr(TextDomain, "loss", lambda *given: (calls.append(1), loss(*given))[1])
    resumed = finetune(domain(base), [("reviews", 0)])[0]
    assert len(calls) == STEPS - 40, "resuming goes on after step 40"
    elsewhere(monkeypatch, tmp_path)
    whole = finetune(domain(base), [("reviews", 0)])[0]
    assert len(calls) == STEPS - 40 + STEPS
    assert contents(resumed) == contents(whole)


def test_report_split_is_never_used(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = tiny.reviews()
    runs, asked = [], set()
    predict = TextDomain.predict

    def watching(self: TextDomain, task: str, vectors: torch.Tensor, split: str) -> np.ndarray:
        asked.add(split)
        return predict(self, task, vectors, split)

    monkeypatch.setattr(TextDomain, "predict", watching)
    for label in (0, 1):
        report = Split([(f"the song is dull {i}",) for i in range(1000 + label, 1030 + label)], np.full(30, label))
        card = replace(tiny.REVIEWS, load=lambda report=report: (rows, report))
        monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / f"report-{label}"))
        runs.append(contents(finetune(TextDomain(tiny.spec(base), [card]), [("reviews", 0)])[0]))
    assert asked == {"select"}
    assert runs[0] == runs[1], "other report rows made another run"


def test_single_checkpoint_and_keep_beyond_the_run(base: Path) -> None:
    for keep, expected in ((1, 1), (500, STEPS)):
        made = domain(base, keep=keep)
        assert len(tensor_files.open_matrix(finetune(made, [("reviews", 0)])[0] / "vectors.safetensors")) == expected


def test_loss_that_is_not_finite_leaves_no_run(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = TextDomain.loss
    monkeypatch.setattr(TextDomain, "loss", lambda *given: loss(*given) * float("nan"))
    with pytest.raises(ValueError, match="loss of step 0 is nan"):
        finetune(domain(base), [("reviews", 0)])[0]
    assert not any(artifacts.is_complete(folder) for folder in (artifacts.root() / "runs").iterdir())


def test_unknown_task_is_refused(base: Path) -> None:
    with pytest.raises(ValueError, match="no task 'chess'; there are reviews"):
        finetune(domain(base), [("chess", 0)])[0]


def pack(base: Path, **changes: object) -> TextDomain:
    """Tasks of different lengths, losses and steps, so that runs of a pack differ in whatever they can."""
    cards = [replace(tiny.REVIEWS, steps=12), replace(tiny.RATINGS, steps=20)]
    return TextDomain(tiny.spec(base, **{"dropout": 0.3, "keep": 3} | changes), cards)


def last(folder: Path) -> np.ndarray:
    return np.array(tensor_files.open_matrix(folder / "vectors.safetensors"))


def test_a_run_is_the_same_whatever_it_is_packed_with(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, up to rounding: 1e-4 of the distance that the run went. Its own seed makes another run."""
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "fp32")
    jobs = [("reviews", 0), ("ratings", 0), ("reviews", 1)]
    together = [last(folder) for folder in finetune(pack(base), jobs)]
    elsewhere(monkeypatch, tmp_path)
    others = [last(folder) for folder in finetune(pack(base), [jobs[2], jobs[0]])]
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "alone"))
    alone = [last(finetune(pack(base), [job])[0]) for job in jobs]
    start = pack(base).untrained().numpy()
    for found, expected in [*zip(together, alone), (others[0], alone[2]), (others[1], alone[0])]:
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected - start).max()
    assert np.abs(alone[0] - alone[2]).max() > 0.1 * np.abs(alone[0] - start).max()


def test_a_stopped_pack_goes_on_with_each_run_where_it_was(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "fp32")
    made = domain(base, keep=2)
    finetune(made, [("reviews", 1)])
    calls, loss = [], TextDomain.loss

    def stopping(self: TextDomain, vectors: torch.Tensor, *given: object) -> torch.Tensor:
        calls.append(len(vectors))
        if len(calls) == 30:
            raise KeyboardInterrupt
        return loss(self, vectors, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TextDomain, "loss", stopping)
        finetune(made, [("reviews", 0)])
    resumed = last(finetune(made, [("reviews", 0), ("reviews", 2)])[0])
    elsewhere(monkeypatch, tmp_path)
    whole = last(finetune(domain(base, keep=2), [("reviews", 0)])[0])
    assert np.abs(resumed - whole).max() < 1e-4 * np.abs(whole - made.untrained().numpy()).max()


def test_where_memory_is_too_small_for_a_pack_its_halves_follow_each_other(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes, loss = [], TextDomain.loss

    def small(self: TextDomain, vectors: torch.Tensor, *given: object) -> torch.Tensor:
        sizes.append(len(vectors))
        if len(vectors) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, vectors, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(TextDomain, "loss", small)
    runs = finetune(pack(base), [("reviews", 0), ("ratings", 0), ("reviews", 1)])
    assert all(artifacts.is_complete(run) for run in runs)
    assert sizes[:3] == [3, 1, 1] and sizes.count(2) == 1
    assert "no memory for 3 adapters side by side; 1 go first" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(TextDomain, "loss", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
    with pytest.raises(ValueError, match=r"no memory for one adapter of [\d,]+ parameters and 8 rows a step"):
        finetune(pack(base, batch=8), [("ratings", 5)])


def test_a_full_disk_in_the_middle_of_a_pack_leaves_the_runs_that_had_finished(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reviews end after 12 steps, ratings would after 20; the disk is full from the second run's description on."""
    write = artifacts.write_json

    def full(path: Path, value: object) -> Path:
        if path.name == "run.json" and isinstance(value, dict) and value["task"] == "ratings":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, value)

    jobs = [("reviews", 0), ("ratings", 0)]
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(artifacts, "write_json", full)
        finetune(pack(base), jobs)
    first, second = (artifacts.address("runs", run_spec(pack(base), *job)) for job in jobs)
    assert artifacts.is_complete(first) and not second.exists()
    assert artifacts.is_complete(finetune(pack(base), jobs)[1])


def test_changed_data_or_another_definition_is_another_run(base: Path) -> None:
    """What a run sees counts; what only the report sees does not."""
    rows, _ = tiny.reviews()

    def at(card: TextTask) -> Path:
        return artifacts.address("runs", run_spec(TextDomain(tiny.spec(base), [card]), "reviews", 0))

    def labels(row: int) -> Split:
        return Split(rows.texts, np.where(np.arange(len(rows)) == row, 1 - rows.labels, rows.labels))

    known = at(tiny.REVIEWS)
    made = TextDomain(tiny.spec(base), [tiny.REVIEWS]).splits("reviews")
    trained, reported = (rows.texts.index(part.texts[0]) for part in (made.train, made.report))
    assert at(replace(tiny.REVIEWS, load=lambda: (labels(trained), None))) != known
    assert at(replace(tiny.REVIEWS, load=lambda: (labels(reported), None))) == known
    assert at(replace(tiny.REVIEWS, classes=("bad", "good", "neither"))) != known
    assert at(replace(tiny.REVIEWS, metric=matthews)) != known
    assert at(replace(tiny.REVIEWS, description="Other words.")) == known


def test_what_a_run_gives_is_what_its_version_says(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other numbers here mean that old runs would be taken for new ones: raise VERSION, then note them."""
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "fp32")
    record = artifacts.read_json(finetune(pack(base), [("reviews", 0)])[0] / "run.json")
    assert (VERSION, record["losses"][::3]) == (1, pytest.approx(KNOWN, rel=1e-4))


def test_every_row_comes_once_an_epoch_in_batches_of_like_length(base: Path) -> None:
    made = TextDomain(tiny.spec(base, batch=8), [tiny.REVIEWS])
    count = len(made.splits("reviews").train)
    steps = -(-count // 8)
    epochs = [np.concatenate([made.rows("reviews", 0, epoch * steps + i) for i in range(steps)]) for epoch in (0, 1)]
    for order in epochs:
        rows_seen, times = np.unique(order, return_counts=True)
        assert rows_seen.tolist() == list(range(count)) and (times - 1).sum() == 8 * steps - count, (
            "one batch is filled"
        )
    assert not np.array_equal(*epochs)
    assert not np.array_equal(made.rows("reviews", 0, 0), made.rows("reviews", 1, 0))
    lengths = made._encoded("reviews", "train").lengths
    middles = [np.median(lengths[made.rows("reviews", 0, i)]) for i in range(steps)]
    assert np.abs(np.diff(middles)).mean() > 0.5 * np.std(middles), "short follows long and long short"
    within = np.mean([np.ptp(lengths[made.rows("reviews", 0, i)]) for i in range(steps)])
    shuffled = np.random.default_rng(0).permutation(count)
    assert within < 0.5 * np.mean([np.ptp(lengths[shuffled[i : i + 8]]) for i in range(0, count - 8, 8)])


def test_a_task_with_fewer_rows_than_a_batch_fills_it(base: Path) -> None:
    rows, _ = tiny.reviews(20)
    made = TextDomain(tiny.spec(base, batch=64), [replace(tiny.REVIEWS, load=lambda: (rows, None))])
    assert len(made.rows("reviews", 0, 0)) == 64 and len(set(made.rows("reviews", 0, 3))) == len(
        made.splits("reviews").train
    )
