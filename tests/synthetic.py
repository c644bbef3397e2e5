"""A zoo without fine-tuning: tight clusters (runs) around task means, in the layout of a tiny LoRA with a head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from peft import LoraConfig

from cpd.adapters.layout import AdapterLayout

TEXTS = ["Is a film review positive?", "Is this message spam?", "What kind of answer does a question ask for?"]
HEAD, A, B = (f"base_model.model.{name}.weight" for name in ("head", "q.lora_A", "q.lora_B"))


@dataclass(frozen=True)
class Row:
    task: str
    run: str
    step: int
    score: float | None
    held_out: bool


@dataclass
class Zoo:
    layout: AdapterLayout
    vectors: np.ndarray
    rows: list[Row]
    conditions: dict[str, list[str]]
    tasks: list[str] = field(default_factory=list)

    def training(self) -> list[int]:
        return [i for i, row in enumerate(self.rows) if not row.held_out]


def layout(rank: int = 2, d_in: int = 30, d_out: int = 40, head: int = 10) -> AdapterLayout:
    state = {HEAD: torch.zeros(head), A: torch.zeros(rank, d_in), B: torch.zeros(d_out, rank)}
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=["q"], modules_to_save=["head"]).to_dict()
    return AdapterLayout.of(state, config | {"base_model_name_or_path": "tiny"})


def zoo(tasks: int = 2, runs: int = 2, keep: int = 6, held_out: int = 1, seed: int = 0) -> Zoo:
    """Make a zoo; the last ``held_out`` runs of each task are held out, the last coordinate never moves."""
    random, shape = np.random.default_rng(seed), layout()
    vectors, rows = [], []
    start = random.normal(0, 0.1, shape.size)
    for task in range(tasks):
        centre = start + random.normal(0, 0.03, shape.size)
        for run in range(runs + held_out):
            own = centre + random.normal(0, 0.02, shape.size)
            for step in range(keep):
                vectors.append(own + random.normal(0, 0.002, shape.size))
                rows.append(Row(f"task{task}", f"run{run}", step, None, run >= runs))
    matrix = np.array(vectors, dtype=np.float32)
    matrix[:, -1] = 0.25
    names = [f"task{i}" for i in range(tasks)]
    return Zoo(shape, matrix, rows, {name: [TEXTS[i]] for i, name in enumerate(names)}, names)


def centres(made: Zoo) -> torch.Tensor:
    """Return (T, K): the mean of each task's training rows."""
    index = made.training()
    means = [made.vectors[[i for i in index if made.rows[i].task == task]].mean(axis=0) for task in made.tasks]
    return torch.from_numpy(np.stack(means))


class Watched:
    """A matrix that tells how many of its rows were read at once."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape, self.most = matrix, matrix.shape, 0

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index: object) -> np.ndarray:
        found = self.matrix[index]
        self.most = max(self.most, found.size // self.shape[1])
        return found

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise AssertionError("the whole matrix was read")
