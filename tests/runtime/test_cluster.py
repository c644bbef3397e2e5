"""Jobs on two real workers of a dask cluster: their order, their bytes, a lost worker, and who is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest
import torch
from processes import PATHS, TESTS

from cpd.runtime import artifacts, cluster, tensor_files
from cpd.runtime.executors import results, side_by_side

ZERO = torch.zeros((), dtype=torch.int64)


def dask(*command: str, path: str = str(TESTS.parent)) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": f"{path}:{PATHS}", "CPD_SCHEDULER": "worker:1", "CPD_GLUE_DIR": "worker"}
    command = (sys.executable, "-m", "dask", *command, "--no-dashboard")
    return subprocess.Popen(command, env=environment, cwd=TESTS)  # not where cpd is: a module comes from the path


def worker(file: Path, **options: str) -> subprocess.Popen[bytes]:
    return dask("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", **options)


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def workers_of(file: Path, count: int) -> dict[str, object]:
    with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(count, timeout=120)
        return dict(client.scheduler_info()["workers"])


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a scheduler and two workers, as ``book/reproduce.md`` says; return the scheduler's file."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    started = [dask("scheduler", "--scheduler-file", str(file), "--host", "127.0.0.1", "--port", "0")]
    started += [worker(file), worker(file)]
    wait_for(file)
    workers_of(file, 2)
    yield file
    end(*started)


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


@pytest.fixture
def on_cluster(scheduler: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPD_SCHEDULER", str(scheduler))
    return scheduler


def wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come in time"
        time.sleep(0.05)


def place(i: int) -> tuple[int, int, int, dict[str, str]]:
    time.sleep(0.5 if i == 0 else 0.1)
    return i, os.getpid(), torch.get_num_threads(), {n: v for n, v in os.environ.items() if n.startswith("CPD_")}


def fit(log: Path, seed: int) -> int:
    """Take 30 steps of gradient descent; those of seed 0 stand still after 20 until there is a file ``go``."""
    with artifacts.making(artifacts.address("fits", {"seed": seed}), {"seed": seed}) as made:
        state = made and made / ".state"
        weights = (
            tensor_files.read_tensors(state) if state and state.exists() else {"w": torch.zeros(40), "steps": ZERO}
        )
        for step in range(int(weights["steps"]), 30 if state else 0):
            inputs = torch.randn(64, 40, generator=torch.Generator().manual_seed(1000 * seed + step))
            weights = {"w": weights["w"] - 0.1 * inputs.T @ (inputs @ weights["w"] - 1) / 64, "steps": ZERO + step + 1}
            tensor_files.write_tensors(state, weights)
            if (seed, step) == (0, 20) and not (log / "go").exists():
                artifacts.write_json(log / "process", os.getpid())
                wait_for(log / "go")
        if made:
            tensor_files.write_tensors(made / "weights.safetensors", weights)
    return os.getpid()


def fail(*_: int) -> None:
    raise ValueError("no luck")


def end_worker(*_: int) -> None:
    os._exit(1)


def test_results_come_in_order_from_both_workers_on_one_thread_each(
    on_cluster: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CPD_ALBUM_DIR", "albums")
    found = side_by_side(place, [(i,) for i in range(8)], "placing")
    assert [i for i, *_ in found] == list(range(8))
    assert len({process for _, process, *_ in found} - {os.getpid()}) == 2
    assert {threads for *_, threads, _ in found} == {1}
    asked = {"CPD_ARTIFACTS": str(tmp_path / "artifacts"), "CPD_ALBUM_DIR": "albums"}
    assert all(settings == asked for *_, settings in found), "settings are those of the process that asks"
    assert not list((tmp_path / "artifacts").iterdir())


def test_an_error_on_a_worker_is_the_callers_at_once(on_cluster: Path) -> None:
    with pytest.raises(ValueError, match="no luck"):
        side_by_side(fail, [(1,), (2,)], "failing")
    assert list(results(place, [])) == []


def test_a_worker_with_other_code_is_refused_and_both_are_named(on_cluster: Path, tmp_path: Path) -> None:
    shutil.copytree(TESTS.parent / "cpd", tmp_path / "other" / "cpd", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "cpd" / "diffusion.py").open("a") as source:
        source.write("# another version\n")
    other = worker(on_cluster, path=str(tmp_path / "other"))
    workers_of(on_cluster, 3)
    theirs = artifacts.folder_digest(tmp_path / "other" / "cpd", (".py",))
    try:
        with pytest.raises(RuntimeError, match=r"worker tcp://.* runs cpd .*; install the same on both") as refused:
            side_by_side(place, [(1,)], "placing")
    finally:
        end(other)
    assert theirs in str(refused.value) and f"this process {cluster.code()}" in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "threads", "sentence"),
    [
        ({}, 1, ""),
        ({"code": "cpd 9"}, 1, "worker tcp://w:1 runs cpd .*, this process cpd 9; install the same"),
        ({"seen": "/elsewhere/seen"}, 1, "worker tcp://w:1 does not see /elsewhere; let CPD_ARTIFACTS name"),
        ({}, 4, "worker tcp://w:1 would run 4 jobs at once; start it with --nthreads 1"),
    ],
)
def test_what_a_worker_must_have_in_common(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], threads: int, sentence: str
) -> None:
    there = SimpleNamespace(address="tcp://w:1", state=SimpleNamespace(nthreads=threads))
    monkeypatch.setattr(distributed, "get_worker", lambda: there)
    asked = cluster._asked(__file__) | changed
    if not sentence:
        assert cluster._objection(asked, there) == ""
        return
    with pytest.raises(RuntimeError, match=sentence):
        cluster._work(asked, b"")


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("tcp://127.0.0.1:9", r"the scheduler tcp://127.0.0.1:9 \(CPD_SCHEDULER=.*\) has not answered for 1 s"),
        ("127.0.0.1:9", "the scheduler 127.0.0.1:9 .* has not answered for 1 s"),
        ("nonsense://here", "the scheduler nonsense://here .* has not answered"),
        ("no/such/file.json", "CPD_SCHEDULER=no/such/file.json is neither an address .* nor, after 1 s, the file"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, named: str, sentence: str) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    monkeypatch.setenv("CPD_SCHEDULER", named)
    with pytest.raises(ConnectionError, match=sentence):
        side_by_side(place, [(1,)], "placing")


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("CPD_SCHEDULER", "tcp://127.0.0.1:9")
    with pytest.raises(ModuleNotFoundError, match=r"needs the package distributed; install cpd\[cluster\]"):
        side_by_side(place, [(1,)], "placing")


def test_a_lost_worker_costs_its_own_job_only_and_the_bytes_are_the_same(
    on_cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with -9 in the middle of a job: the other worker goes on from its last saved step."""

    def kill() -> None:
        wait_for(tmp_path / "process")
        os.kill(artifacts.read_json(tmp_path / "process"), 9)
        (tmp_path / "go").touch()

    jobs = [(seed,) for seed in range(4)]
    killer = threading.Thread(target=kill)
    killer.start()
    found = side_by_side(partial(fit, tmp_path), jobs, "fitting")
    killer.join()
    assert found[0] != artifacts.read_json(tmp_path / "process")
    together = bytes_of(tmp_path / "artifacts")
    assert len(together) == 4 * 2, "weights and manifest; nothing half done"
    monkeypatch.delenv("CPD_SCHEDULER")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "alone"))
    assert side_by_side(partial(fit, tmp_path), jobs, "fitting") == 4 * [os.getpid()]
    assert bytes_of(tmp_path / "alone") == together


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_job_that_ends_every_worker_is_named(on_cluster: Path) -> None:
    def allow_none(dask_scheduler: distributed.Scheduler) -> None:
        dask_scheduler.allowed_failures = 0

    with distributed.Client(scheduler_file=str(on_cluster), set_as_default=False) as client:
        client.run_on_scheduler(allow_none)
    with pytest.raises(RuntimeError, match="job 1 of 1 ended each worker that it ran on, the last one tcp://"):
        side_by_side(end_worker, [(1,)], "ending")


def test_a_scheduler_that_is_lost_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # this process is the worker, and a job sets what is set here
    lost = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    monkeypatch.setenv("CPD_SCHEDULER", lost.scheduler_address)
    threading.Timer(1, lost.close).start()
    with pytest.raises(ConnectionError, match="the scheduler was lost with 2 jobs open; start again"):
        side_by_side(time.sleep, [(3,), (3,)], "sleeping")
