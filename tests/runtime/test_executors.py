"""Runs side by side are those that one after the other would have been, and they end with who asked for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from building import Building, hold_and_free
from processes import PATHS

from cpd.domains.finetune import finetune, finetune_all
from cpd.domains.text.domain import TextDomain
from cpd.runtime import artifacts
from cpd.runtime.executors import side_by_side

JOBS = [("reviews", 0), ("ratings", 0), ("reviews", 1)]
SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import conftest, test_executors as t
if __name__ == "__main__":
    t.finetune_all(t.domain(Path(sys.argv[2]), 2_000), t.JOBS)
"""


def domain(base: Path, steps: int = 12) -> TextDomain:
    cards = [replace(card, steps=steps) for card in tiny.CARDS]
    return TextDomain(tiny.spec(base, dropout=0.3, keep=4), cards)


def bytes_of(runs: list[Path]) -> list[dict[str, bytes]]:
    return [{path.name: path.read_bytes() for path in run.iterdir()} for run in runs]


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")


def test_the_bytes_are_those_of_one_run_after_the_other_on_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny.encoder(tmp_path / "base")
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "together"))
    together = bytes_of(finetune_all(domain(base), JOBS))
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "alone"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = bytes_of([finetune(domain(base), [job])[0] for job in JOBS])
    torch.set_num_threads(threads)
    assert together == alone
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "one-core"))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert together == bytes_of(finetune_all(domain(base), JOBS))
    assert torch.get_num_threads() == threads
    assert together[0] != together[2]


def test_what_was_made_is_found_and_only_the_rest_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny.encoder(tmp_path / "base")
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    first = finetune_all(domain(base), JOBS[:1])
    made = (first[0] / "run.json").stat().st_mtime_ns
    both = finetune_all(domain(base), JOBS[::-1])
    assert both[2] == first[0] and (first[0] / "run.json").stat().st_mtime_ns == made
    assert [artifacts.read_json(run / "run.json")["run"] for run in both] == ["reviews-1", "ratings-0", "reviews-0"]


def test_an_error_in_a_run_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    made = domain(tiny.encoder(tmp_path / "base"))
    broken = TextDomain(replace(made.spec, learning_rate=1e30), list(made.table.values()))
    with pytest.raises(ValueError, match=r"the loss of step \d+ is"):
        finetune_all(broken, JOBS[:1])


def test_runs_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    """Killed with -9, it leaves nothing behind that would go on writing."""
    base, root = tiny.encoder(tmp_path / "base"), tmp_path / "artifacts"
    asking = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, PATHS, str(base)],
        env=os.environ | {"CPD_ARTIFACTS": str(root)},
    )
    wait_for(lambda: len(list(root.glob("runs/*.partial/.state"))) > 1)
    assert len(writers(root)) > 1
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    wait_for(lambda: not writers(root))
    assert not list(root.glob("runs/*/run.json"))


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 600  # a busy machine takes half a minute to start a process
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def writers(root: Path) -> list[str]:
    """Return the processes that have a file below ``root`` open or mapped."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(root) in (process / "maps").read_text():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_results_come_in_the_order_of_the_jobs_and_a_process_builds_its_function_once() -> None:
    results = side_by_side(Building(), [(i, 2 * i) for i in range(12)], "subtracting")
    assert [difference for difference, _, _ in results] == [-i for i in range(12)]
    assert {built for _, built, _ in results} == {1}
    assert os.getpid() not in {process for _, _, process in results}


def test_a_process_that_has_freed_its_memory_is_not_replaced() -> None:
    jobs = [(1, 0.5), (1, 0.5), *[(6_000, 1.1)] * 6]
    assert len(set(side_by_side(hold_and_free, jobs, "holding"))) <= 2


def test_one_core_needs_no_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert side_by_side(Building(), [(2, 1)], "subtracting")[0][2] == os.getpid()


def test_what_goes_wrong_beside_is_raised_here() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        side_by_side(Building(), [(1, 2), (1,)], "subtracting")
