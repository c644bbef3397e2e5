"""Jobs on the workers of a ``dask`` cluster, on machines that share a file system with this one.

Workers come and go; a job whose worker is lost runs again on another. What a job makes is an artifact, so that a second
start finds it, and what it returns is small. A worker is refused where its results would not be those of this process:
with other code, another folder of artifacts, or several jobs at once in one process, whose random numbers would mix.

Source: ours; the cluster is https://distributed.dask.org.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from cpd import __version__
from cpd.runtime import artifacts

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

T = TypeVar("T")
PATIENCE = 60  # seconds that a scheduler has to answer
OF_A_WORKER = ("CPD_SCHEDULER", "CPD_DEVICE")  # what is not taken over from the process that asks


def on_workers(scheduler: str, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    """Call a function with many arguments on a cluster.

    Args:
        scheduler: its address, or the file in which it wrote one.
        function: pickled with each job, as are the arguments.
        jobs: the arguments of each call.

    Yields:
        What each call returned, in the order of the jobs.

    Raises:
        ModuleNotFoundError: if ``distributed`` is not installed.
        ConnectionError: if the scheduler does not answer, or is lost.
        RuntimeError: if a worker is refused, or a job ends every worker that it runs on.
    """
    artifacts.root().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=artifacts.root(), prefix=".shared-") as seen, _client(scheduler) as client:
        _require_equal_workers(client, asked := _asked(seen.name))
        calls = [pickle.dumps((function, job)) for job in jobs]
        yield from _in_order(client, [client.submit(_work, asked, call, pure=False) for call in calls])


@cache
def code() -> str:
    """Return what decides a result besides the job: this package's version, its sources' digest, torch's version."""
    sources = artifacts.folder_digest(Path(__file__).parents[1], (".py",))
    return f"cpd {__version__} of sources {sources} with torch {torch.__version__}"


def _client(scheduler: str) -> Client:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"CPD_SCHEDULER={scheduler} needs the package distributed; install cpd[cluster], or unset CPD_SCHEDULER"
        ) from error
    address = _address(scheduler)
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"the scheduler {address} (CPD_SCHEDULER={scheduler}) has not answered for {PATIENCE} s; start it with "
            "`dask scheduler`, or unset CPD_SCHEDULER"
        ) from error


def _address(scheduler: str) -> str:
    if "://" in scheduler or re.fullmatch(r"[\w.-]+:\d+", scheduler):
        return scheduler
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:  # a scheduler that was started a moment ago is still to write its file
        try:
            return str(json.loads(Path(scheduler).read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.2)
    raise ConnectionError(
        f"CPD_SCHEDULER={scheduler} is neither an address like tcp://host:8786 nor, after {PATIENCE} s, the file of a "
        "scheduler; start one with `dask scheduler --scheduler-file FILE`, or unset CPD_SCHEDULER"
    )


def _asked(seen: str) -> dict[str, Any]:
    named = {name: value for name, value in os.environ.items() if name.startswith("CPD_") and name not in OF_A_WORKER}
    return {"code": code(), "seen": seen, "environment": named | {"CPD_ARTIFACTS": str(artifacts.root())}}


def _require_equal_workers(client: Client, asked: dict[str, Any]) -> None:
    if not client.scheduler_info()["workers"]:
        print(f"waiting for the first worker of {os.environ['CPD_SCHEDULER']}", file=sys.stderr)
        client.wait_for_workers(1)
    for address, objection in client.run(_objection, asked, on_error="return").items():
        if isinstance(objection, Exception):
            raise RuntimeError(f"worker {address} cannot load {asked['code']} ({objection}); install it there")
        if objection:
            raise RuntimeError(objection)


def _objection(asked: dict[str, Any], dask_worker: Worker) -> str:
    """Say why a worker must not do what it is asked; empty if it may. ``Client.run`` passes the worker by its name."""
    who, at_once = f"worker {dask_worker.address}", dask_worker.state.nthreads
    if code() != asked["code"]:
        return f"{who} runs {code()}, this process {asked['code']}; install the same on both and start the worker again"
    if not (seen := Path(asked["seen"])).exists():
        return f"{who} does not see {seen.parent}; let CPD_ARTIFACTS name a folder that all machines share"
    return f"{who} would run {at_once} jobs at once; start it with --nthreads 1" if at_once > 1 else ""


def _work(asked: dict[str, Any], call: bytes) -> Any:
    from distributed import get_worker

    if objection := _objection(asked, get_worker()):  # of a worker that came later
        raise RuntimeError(objection)
    for name in [name for name in os.environ if name.startswith("CPD_") and name != "CPD_DEVICE"]:
        del os.environ[name]  # CPD_SCHEDULER as well: jobs within a job stay in this process
    os.environ.update(asked["environment"])
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"
    function, job = pickle.loads(call)
    return function(*job)


def _in_order(client: Client, futures: list[Future]) -> Iterator[Any]:
    """Yield results in the order of the jobs; what goes wrong is raised as soon as it does."""
    from distributed import CancelledError, KilledWorker, as_completed

    order = {future.key: i for i, future in enumerate(futures)}
    done: dict[int, Any] = {}
    following = 0
    try:
        for future in as_completed(futures, loop=client.loop):
            done[order[future.key]] = future.result()
            while following in done:
                yield done.pop(following)
                following += 1
    except KilledWorker as error:
        raise RuntimeError(
            f"job {order[error.task] + 1} of {len(futures)} ended each worker that it ran on, the last one "
            f"{error.last_worker.address}; look at that worker's log (often it is memory)"
        ) from error
    except CancelledError as error:
        raise ConnectionError(
            f"the scheduler was lost with {len(futures) - following} jobs open; start again, what was made stays"
        ) from error
