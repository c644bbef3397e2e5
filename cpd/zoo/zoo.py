"""Many adapters of one layout as rows of one matrix on disk, each with its task, run, step and score.

The matrix is memory-mapped, so a zoo may be larger than memory. Rows are split by run: checkpoints of one run are not
independent. What is learned from a zoo is not known here.

Source: ours.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpd.adapters.layout import AdapterLayout
from cpd.runtime import artifacts, tensor_files
from cpd.runtime.conditions_file import CONDITIONS

MATRIX, TABLE = "vectors.safetensors", "zoo.json"
BLOCK_VALUES = 2**22  # numbers of a matrix in memory at a time


@dataclass(frozen=True)
class Row:
    """What is known of one adapter.

    Attributes:
        task: its task.
        run: fine-tuning run; unique over tasks.
        step: optimizer steps done.
        score: on the selection split, or None if it was not scored.
        held_out: whether nothing may be learned from it.
    """

    task: str
    run: str
    step: int
    score: float | None = None
    held_out: bool = False


@dataclass(frozen=True)
class AdapterZoo:
    """A zoo that lies on disk.

    Attributes:
        layout: of every row.
        vectors: (N, K) read-only memory map, float32, weight units.
        rows: N descriptions.
        conditions: task -> the texts that stand for it.
        notes: what was left out or changed when the adapters were read, in sentences.
    """

    layout: AdapterLayout
    vectors: np.ndarray
    rows: list[Row]
    conditions: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of their first row."""
        return list(dict.fromkeys(row.task for row in self.rows))

    def training(self) -> list[int]:
        """Return the indices of the rows that may be learned from."""
        return [i for i, row in enumerate(self.rows) if not row.held_out]

    def held_out(self) -> list[int]:
        """Return the indices of the rows of held-out runs."""
        return [i for i, row in enumerate(self.rows) if row.held_out]

    def of(self, task: str, run: str | None = None) -> list[int]:
        """Return the indices of a task's rows, or of one of its runs."""
        return [i for i, row in enumerate(self.rows) if row.task == task and run in (None, row.run)]

    def last(self, held_out: bool, task: str | None = None) -> list[int]:
        """Return the index of the last checkpoint of each run, training or held-out, of all tasks or one."""
        runs = {row.run: i for i, row in enumerate(self.rows) if row.held_out == held_out and task in (None, row.task)}
        return list(runs.values())

    def adapters(self, index: Sequence[int]) -> Tensor:
        """Return some rows as (n, K) vectors, in memory."""
        return torch.from_numpy(np.array(self.vectors[list(index)]))

    def subset(self, index: Sequence[int]) -> AdapterZoo:
        """Return the zoo of some rows only, in memory, under the same conditions."""
        chosen = list(index)
        return replace(self, vectors=np.array(self.vectors[chosen]), rows=[self.rows[i] for i in chosen])

    @classmethod
    def load(cls, folder: Path) -> AdapterZoo:
        """Open a zoo.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if a file is damaged.
        """
        table = artifacts.read_json(folder / TABLE)
        rows = [Row(**row) for row in table["rows"]]
        layout, vectors = AdapterLayout.from_json(table["layout"]), tensor_files.open_matrix(folder / MATRIX)
        return cls(layout, vectors, rows, table["conditions"], table.get("notes", []))

    @classmethod
    def from_runs(
        cls, runs: Sequence[Path], held_out: Iterable[Path], conditions: Mapping[str, list[str]], out: Path
    ) -> AdapterZoo:
        """Gather finished fine-tuning runs.

        Args:
            runs: folders that ``finetune`` made.
            held_out: those among them that nothing may be learned from.
            conditions: task -> texts.
            out: folder of the zoo; returned as it is if it is complete.

        Raises:
            ValueError: if runs have different layouts, or a task has no condition.
        """
        with artifacts.making(out) as partial:
            if partial is None:
                return cls.load(out)
            kept_out = set(held_out)
            records = [artifacts.read_json(run / "run.json") for run in runs]
            rows = [
                Row(record["task"], record["run"], step, score, run in kept_out)
                for run, record in zip(runs, records, strict=True)
                for step, score in zip(record["steps"], record["scores"]["select"], strict=True)
            ]
            layouts = [AdapterLayout.from_json(artifacts.read_json(run / "layout.json")) for run in runs]
            for run, layout in zip(runs, layouts, strict=True):
                layouts[0].require_same(layout, str(run))
            write(
                out,
                layouts[0],
                rows,
                (row for run in runs for row in tensor_files.open_matrix(run / MATRIX)),
                conditions,
            )
        return cls.load(out)


def blocks(vectors: np.ndarray, index: Sequence[int] | np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Read rows of a matrix once, some coordinates of all of them at a time.

    Args:
        vectors: (A, K) matrix; an array or a memory map.
        index: (N,) rows to read.

    Yields:
        Which coordinates, and their (N, b) values; from the first coordinate to the last.
    """
    step = max(1, BLOCK_VALUES // max(1, len(index)))
    for start in range(0, vectors.shape[1], step):
        span = slice(start, min(start + step, vectors.shape[1]))
        yield span, np.asarray(vectors[:, span][index])


def write(
    out: Path,
    layout: AdapterLayout,
    rows: Sequence[Row],
    vectors: Iterator[np.ndarray],
    conditions: Mapping[str, list[str]],
    notes: Sequence[str] = (),
) -> None:
    """Write a zoo, whole or not at all; ``notes`` may still be growing while the vectors are read."""
    for task in dict.fromkeys(row.task for row in rows):
        if not conditions.get(task) or not all(text.strip() for text in conditions[task]):
            raise ValueError(f"task {task!r} has no condition text; say in {CONDITIONS} what the task is")
    table: dict[str, Any] = {
        "layout": layout.to_json(),
        "rows": [asdict(row) for row in rows],
        "conditions": dict(conditions),
    }
    with artifacts.building(out, {"kind": "zoo"}) as partial:
        try:
            matrix = tensor_files.create_matrix(partial / MATRIX, len(rows), layout.size)
            for i, vector in enumerate(vectors):
                matrix[i] = vector
            matrix.flush()
            table["notes"] = [f"{note} ({count})" if count > 1 else note for note, count in Counter(notes).items()]
            artifacts.write_json(partial / TABLE, table)
        except BaseException:
            shutil.rmtree(partial)  # nothing to resume from: a zoo is gathered in one go
            raise
