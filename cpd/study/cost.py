"""What a fit and an adapter cost as adapters grow: ``python -m cpd.study.cost`` prints seconds and memory by K.

Fitting and generating are measured in processes of their own, on random adapters in a file: what they hold does not
change what they cost. Run it with nothing else running. Nothing here asserts.

Source: ours.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from cpd.adapters.layout import AdapterLayout
from cpd.methods.cond_pdiff.convolutional import LINEAR_BUDGET
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.runtime import tensor_files
from cpd.zoo.zoo import AdapterZoo, Row

SIZES = (10_000, 100_000, 1_000_000)
ROWS = 64  # adapters in a zoo
WORK = 4_000_000  # coordinates: a step is measured over this many divided by K steps, at least 8, at most 100


@dataclass(frozen=True)
class Cost:
    """What one size costs.

    Attributes:
        size: K, parameters of an adapter.
        autoencoder: seconds to fit normalizer and autoencoder, by which a fit grows with K; those of a convolutional
            one follow from a few of its steps.
        denoiser_step: seconds of one training step of the denoiser, which sees latents only.
        fitting_memory: GiB, the largest that the process became that fitted, with what it had mapped of the zoo.
        ten: seconds to generate ten adapters, 50 DDIM steps.
        generating_memory: GiB, the largest that the process became that read the saved generator and generated.
    """

    size: int
    autoencoder: float
    denoiser_step: float
    fitting_memory: float
    ten: float
    generating_memory: float


def sizes(learning: Learning, among: Sequence[int] = SIZES) -> list[int]:
    """Return the numbers of parameters that the autoencoder of these settings can have."""
    return [size for size in among if learning.autoencoder == "linear" or size * learning.latent <= LINEAR_BUDGET]


def measure(size: int, learning: Learning, rows: int = ROWS) -> Cost:
    """Fit, save and generate, in two processes that do nothing else.

    Args:
        size: K, rounded down to an even number.
        learning: widths, batches and steps of the autoencoder.
        rows: adapters in the zoo.

    Returns:
        The cost.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        fitted = pool.submit(_fitting, size, learning, rows, Path(folder)).result()
        return Cost(size, *fitted, *pool.submit(_generating, Path(folder) / "generator").result())


def _fitting(size: int, learning: Learning, rows: int, folder: Path) -> tuple[float, float, float]:
    """Save a generator; return seconds of normalizer and autoencoder, and of a step of the denoiser, and GiB."""
    small, zoo = _zoo(100, rows, folder / "small"), _zoo(size // 2, rows, folder / "zoo")
    _fit(small, learning, 1, 1)
    least = _fit(small, learning, 2, 2)[1]
    denoiser = (_fit(small, learning, 2, 102)[1] - least) / 100
    generator, both = _fit(zoo, learning, 2, 2)
    step, more = 0.0, min(100, max(8, WORK // size))
    if learning.autoencoder == "convolutional":
        step = (_fit(zoo, learning, 2 + more, 2)[1] - both) / more
    generator.save_pretrained(folder / "generator")
    return both - 2 * denoiser + (learning.ae_steps - 2) * step, denoiser, _peak()


def _generating(folder: Path) -> tuple[float, float]:
    """Return seconds for ten adapters and GiB."""
    generator = CondPDiff.from_pretrained(folder)
    generator.generate("first", 1, 0)
    begun = time.perf_counter()
    generator.generate("first", 10, 0)
    return time.perf_counter() - begun, _peak()


def _fit(zoo: AdapterZoo, learning: Learning, ae_steps: int, steps: int) -> tuple[CondPDiff, float]:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        generator = CondPDiff.fit(zoo, replace(learning, ae_steps=ae_steps, steps=steps), 0, Path(folder))
    return generator, time.perf_counter() - begun


def _peak() -> float:
    """Return GiB at most held by this program; getrusage would count the program that started it as well (Linux)."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 2**20


def _zoo(width: int, rows: int, file: Path) -> AdapterZoo:
    """Write random adapters of two tasks, of rank 1 on one square matrix, and open them."""
    a, b = (f"base_model.model.layer.lora_{name}.weight" for name in "AB")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 8, "target_modules": ["layer"]}
    layout = AdapterLayout.of({a: torch.zeros(1, width), b: torch.zeros(width, 1)}, config)
    matrix, random = tensor_files.create_matrix(file, rows, layout.size), np.random.default_rng(0)
    for i in range(rows):
        matrix[i] = 0.02 * random.standard_normal(layout.size, np.float32)
    described = [Row(("first", "second")[i % 2], f"run {i}", 1, None, False) for i in range(rows)]
    conditions = {"first": ["one task"], "second": ["another task"]}
    return AdapterZoo(layout, tensor_files.open_matrix(file), described, conditions)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m cpd.study.cost", description="Seconds and GiB as adapters grow.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="K", help="parameters per adapter")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="adapters in the zoo (%(default)s)")
    options = parser.parse_args()
    for kind in ("linear", "convolutional"):
        learning = replace(Learning(), condition="one_hot", autoencoder=kind)
        print(f"{kind} autoencoder, {options.rows} adapters")
        print(*(f"{field.name:>18}" for field in fields(Cost)), sep="")
        for size in sizes(learning, options.sizes):
            cost = measure(size, learning, options.rows)
            print(*(f"{round(value, 3):>18,}" for value in astuple(cost)), sep="", flush=True)


if __name__ == "__main__":
    main()
