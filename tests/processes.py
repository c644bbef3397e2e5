"""Two processes that know of each other, as ``accelerate launch`` starts them on two GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
PATHS = ":".join(str(folder) for folder in (TESTS, *TESTS.rglob("*/")))  # what pytest finds the helpers by


def launched(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a Python command, a script or ``-m module``, in two processes on the CPU."""
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*together, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
