"""One thread for every test, and two tests side by side: two threads on a busy machine take ten times as long."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from browser import browser as browser
from browser import site as site

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, for what they share; begin with the notebooks, which take longest."""
    items.sort(key=lambda item: item.path.stem != "test_notebooks")
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
