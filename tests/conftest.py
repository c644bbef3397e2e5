"""One thread and one process for every test: on a busy machine more take ten times as long.

Three tests run side by side, for two cores: some wait, for a browser or for each other.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path
from typing import Any

import pytest
import torch
from browser import browser as browser
from browser import site as site
from xdist.scheduler import LoadScopeScheduling

torch.set_num_threads(1)
LONGEST = ("test_notebooks", "test_browser")  # files whose names begin so come first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: [not item.path.stem.startswith(name) for name in LONGEST])


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Keep the tests of a file in one process, for what they share; those of the browser share one build of the book.

    Notebooks go anywhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::")[0]).stem
        if file == "test_notebooks":
            return nodeid
        return "browser" if file.startswith("test_browser") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)
