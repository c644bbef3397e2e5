"""Two processes that want one artifact: one makes it, the other waits and finds it, or goes on with what is there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cpd.runtime import artifacts

MAKE = """
import sys, time
from pathlib import Path
from cpd.runtime import artifacts
folder, log, go = map(Path, sys.argv[1:])
with artifacts.making(folder, {"seed": 3}) as partial:
    if partial:
        found = [path.name for path in partial.iterdir()]
        with log.open("a") as lines:
            lines.write(f"begins with {found}\\n")
        (partial / ".half").touch()
        while not go.exists():
            time.sleep(0.05)
        artifacts.write_json(partial / "value.json", 7)
print(artifacts.read_json(folder / "value.json"))
"""
FETCH = """
import sys, time
from pathlib import Path
from cpd.runtime import artifacts, wheels
def download(requirement, digest, folder):
    print("downloads")
    time.sleep(1)
    (folder / "facts-1.0-py3-none-any.whl").write_bytes(b"wheel")
    return folder / "facts-1.0-py3-none-any.whl"
wheels._download = download
print(wheels.fetch_wheel("facts==1.0", sys.argv[1]).name)
"""


def process(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def two(tmp_path: Path) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    """Start a process that makes ``thing`` until there is a file ``go``, and one that has begun to wait for it."""
    first = process(MAKE, tmp_path / "runs" / "thing", tmp_path / "log", tmp_path / "go")
    while not (tmp_path / "log").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = process(MAKE, tmp_path / "runs" / "thing", tmp_path / "log", tmp_path / "go")
    waiting = f"waiting for another process that is making {tmp_path / 'runs' / 'thing'}\n"
    assert second.stderr and waiting in iter(second.stderr.readline, "")
    return first, second


def test_one_of_two_processes_makes_it_and_the_other_finds_it(tmp_path: Path) -> None:
    both = two(tmp_path)
    (tmp_path / "go").touch()
    assert [each.communicate(timeout=120)[0] for each in both] == ["7\n", "7\n"]
    assert (tmp_path / "log").read_text() == "begins with []\n"
    assert artifacts.verify(tmp_path / "runs" / "thing") == {"seed": 3}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["thing"], "neither lock nor working folder is left"


def test_a_killed_process_leaves_its_work_and_no_lock(tmp_path: Path) -> None:
    killed, second = two(tmp_path)
    killed.kill()
    killed.communicate()
    (tmp_path / "go").touch()
    assert second.communicate(timeout=120)[0] == "7\n"
    assert (tmp_path / "log").read_text() == "begins with []\nbegins with ['.half']\n"


def test_a_wheel_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    (tmp_path / "wheel").write_bytes(b"wheel")
    both = [process(FETCH, artifacts.sha256(tmp_path / "wheel")) for _ in "ab"]
    said = sorted(each.communicate(timeout=120)[0] for each in both)
    assert said == ["downloads\nfacts-1.0-py3-none-any.whl\n", "facts-1.0-py3-none-any.whl\n"]


def test_threads_of_one_process_wait_too_and_one_thread_may_ask_within(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> None:
        with artifacts.making(tmp_path / "thing") as outer:
            if outer:
                made.append(name)
                time.sleep(0.3)
                with artifacts.building(tmp_path / "thing") as inner:
                    assert inner == outer

    threads = [threading.Thread(target=make, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_what_is_complete_needs_no_lock(tmp_path: Path) -> None:
    with artifacts.building(tmp_path / "thing"):
        pass
    os.chmod(tmp_path, 0o500)
    with artifacts.making(tmp_path / "thing") as partial:
        assert partial is None
    os.chmod(tmp_path, 0o700)
    with pytest.raises(FileExistsError, match="choose another folder"), artifacts.building(tmp_path / "thing"):
        pass


def test_a_folder_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    with pytest.raises(FileExistsError, match="choose another folder"), artifacts.making(tmp_path / "thing"):
        pass
