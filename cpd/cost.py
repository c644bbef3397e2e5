"""What a fit and an adapter cost as adapters grow: ``python -m cpd.cost`` prints seconds and memory by K.

Every size is measured in a process of its own, on random adapters: what they hold does not change what they cost. Run
it with nothing else running. Nothing here asserts.

Source: ours.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig

from cpd.adapters import AdapterLayout
from cpd.generator import CondPDiff
from cpd.settings import Learning
from cpd.zoo import AdapterZoo, Row

SIZES = (10_000, 100_000, 1_000_000)
WORK = 4_000_000  # coordinates: a size is measured over this many divided by K steps, at least 8, at most 100


@dataclass(frozen=True)
class Cost:
    """What one size costs.

    Attributes:
        size: K, parameters of an adapter.
        step: seconds of one training step of the autoencoder, by which a fit grows with K.
        ten: seconds to generate ten adapters, 50 DDIM steps.
        memory: GiB, the largest that the process became while fitting and generating.
    """

    size: int
    step: float
    ten: float
    memory: float


def measure(size: int, learning: Learning) -> Cost:
    """Fit and generate in this process.

    Args:
        size: K, rounded down to an even number.
        learning: widths and batches; its numbers of steps are not used.

    Returns:
        The cost; the memory is that of the whole life of the process.
    """
    zoo, steps = _zoo(size // 2), min(100, max(8, WORK // size))
    _fit(zoo, learning, 1)
    short = _fit(zoo, learning, 2)[1]
    generator, long = _fit(zoo, learning, 2 + steps)
    generator.generate("first", 1, 0)
    begun = time.perf_counter()
    generator.generate("first", 10, 0)
    ten = time.perf_counter() - begun
    return Cost(size, (long - short) / steps, ten, _peak())


def _peak() -> float:
    """Return GiB at most held by this program; getrusage would count the program that started it as well (Linux)."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 2**20


def _fit(zoo: AdapterZoo, learning: Learning, steps: int) -> tuple[CondPDiff, float]:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        generator = CondPDiff.fit(zoo, replace(learning, ae_steps=steps, steps=1), 0, Path(folder))
    return generator, time.perf_counter() - begun


def measure_each(sizes: tuple[int, ...], learning: Learning) -> list[Cost]:
    """Measure sizes one after the other, each in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(measure, sizes, [learning] * len(sizes)))


def _zoo(width: int) -> AdapterZoo:
    """Make 64 random adapters of two tasks, of rank 1 on one square matrix."""
    a, b = (f"base_model.model.layer.lora_{name}.weight" for name in "AB")
    config = LoraConfig(r=1, lora_alpha=8, target_modules=["layer"]).to_dict()
    state = {a: torch.zeros(1, width), b: torch.zeros(width, 1)}
    layout = AdapterLayout.of(state, config | {"base_model_name_or_path": "random"})
    vectors = np.random.default_rng(0).normal(0, 0.02, (64, layout.size)).astype(np.float32)
    rows = [Row(("first", "second")[i % 2], f"run {i}", 1, None, False) for i in range(64)]
    return AdapterZoo(layout, vectors, rows, {"first": ["one task"], "second": ["another task"]})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m cpd.cost", description="Seconds and memory as adapters grow.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="K", help="parameters per adapter")
    print(f"{'K':>10}{'s per autoencoder step':>25}{'s per ten adapters':>21}{'GiB at most':>14}")
    for cost in measure_each(tuple(parser.parse_args().sizes), replace(Learning(), condition="one_hot")):
        print(f"{cost.size:>10,}{cost.step:>25.3f}{cost.ten:>21.3f}{cost.memory:>14.2f}")


if __name__ == "__main__":
    main()
