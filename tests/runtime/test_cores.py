"""Work on every core: results in the order of the jobs, in processes of their own where there are cores for it."""

import os

import pytest

from cpd.runtime.cores import on_every_core


@pytest.mark.parametrize("cores", ["1", "2"])
def test_results_have_the_order_of_the_jobs(cores: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", cores)
    assert on_every_core(divmod, [(i, 3) for i in range(9)]) == [divmod(i, 3) for i in range(9)]
    assert on_every_core(divmod, []) == []


def test_jobs_leave_this_process_only_where_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert set(on_every_core(os.getpid, [()] * 4)) == {os.getpid()}
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    if (os.cpu_count() or 1) > 1:
        assert os.getpid() not in on_every_core(os.getpid, [()] * 4)
    assert on_every_core(os.getpid, [()]) == [os.getpid()], "one job"
