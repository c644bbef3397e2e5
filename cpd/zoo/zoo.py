"""Many adapters of one layout as rows of one matrix on disk, each with its task, run, step and score.

The matrix is memory-mapped, so a zoo may be larger than memory. Rows are split by run: checkpoints of one run are not
independent. What is learned from a zoo is not known here.

Source: ours.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cpd.adapters.configs import natural
from cpd.adapters.layout import WEIGHTS, AdapterLayout, read_adapter
from cpd.runtime import artifacts

MATRIX, TABLE, CONDITIONS = "vectors.safetensors", "zoo.json", "conditions.yaml"
CHECKPOINT = re.compile(r"(checkpoint|ckpt|step|epoch|iter)[-_]?\d+$", re.IGNORECASE)


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
    """

    layout: AdapterLayout
    vectors: np.ndarray
    rows: list[Row]
    conditions: dict[str, list[str]]

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
        return cls(
            AdapterLayout.from_json(table["layout"]), artifacts.open_matrix(folder / MATRIX), rows, table["conditions"]
        )

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
        if not artifacts.is_complete(out):
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
            _write(
                out, layouts[0], rows, (row for run in runs for row in artifacts.open_matrix(run / MATRIX)), conditions
            )
        return cls.load(out)

    @classmethod
    def from_folders(cls, root: Path, out: Path, held_out: int = 0) -> AdapterZoo:
        """Gather PEFT folders laid out ``ROOT/TASK/.../adapter_model.safetensors`` with ``ROOT/conditions.yaml``.

        With ``ROOT/TASK/.../RUN/.../CHECKPOINT/`` the first folder below TASK that differs is the run; with
        ``ROOT/TASK/ADAPTER/`` each adapter is a run of its own, except that folders named like ``checkpoint-100``
        directly below TASK are checkpoints of one run. Digits at the end of the adapter's folder are its step. Links
        are followed.

        Args:
            root: the folder.
            out: folder of the zoo; must not exist.
            held_out: runs per task, the last in natural order, that nothing is learned from.

        Raises:
            FileNotFoundError: if there are no adapters, or no conditions.yaml.
            ValueError: if a file is damaged, a weight is not finite, an adapter has another layout than the first, or
                conditions.yaml and the task folders do not agree.
        """
        conditions = _conditions(root)
        folders = [(task, folder) for task in conditions for folder in _adapters(root, task)]
        if not folders:
            raise FileNotFoundError(
                f"there is no TASK/.../{WEIGHTS} in {root}; put each task's adapters in a folder of its name"
            )
        layout, _ = read_adapter(folders[0][1])
        runs = {folder: run for task in conditions for folder, run in _runs(root / task, folders).items()}
        rows = [Row(task, runs[folder], _step(folder.name)) for task, folder in folders]
        kept_out = {run for task in conditions for run in _last_runs(rows, task, held_out)}
        rows = [Row(row.task, row.run, row.step, None, row.run in kept_out) for row in rows]
        _write(out, layout, rows, (_vector(folder, layout) for _, folder in folders), conditions)
        return cls.load(out)


def _write(
    out: Path,
    layout: AdapterLayout,
    rows: Sequence[Row],
    vectors: Iterator[np.ndarray],
    conditions: Mapping[str, list[str]],
) -> None:
    for task in dict.fromkeys(row.task for row in rows):
        if not conditions.get(task) or not all(text.strip() for text in conditions[task]):
            raise ValueError(f"task {task!r} has no condition text; say in {CONDITIONS} what the task is")
    table = {"layout": layout.to_json(), "rows": [asdict(row) for row in rows], "conditions": dict(conditions)}
    with artifacts.building(out, {"kind": "zoo"}) as partial:
        try:
            matrix = artifacts.create_matrix(partial / MATRIX, len(rows), layout.size)
            for i, vector in enumerate(vectors):
                matrix[i] = vector
            matrix.flush()
            artifacts.write_json(partial / TABLE, table)
        except BaseException:
            shutil.rmtree(partial)  # nothing to resume from: a zoo is gathered in one go
            raise


def _vector(folder: Path, layout: AdapterLayout) -> np.ndarray:
    other, vector = read_adapter(folder)
    layout.require_same(other, str(folder))
    return vector.numpy()


class _Loader(yaml.SafeLoader):
    # A key is text even where YAML reads `no` or `1` as something else; of two equal keys none is dropped silently.
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [str(key.value) for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} is there twice")
        return {name: self.construct_object(value, deep) for name, (_, value) in zip(names, node.value, strict=True)}


def _conditions(root: Path) -> dict[str, list[str]]:
    path = root / CONDITIONS
    if (root / WEIGHTS).exists():
        raise ValueError(f"{root} is itself an adapter; give the folder above its task, laid out TASK/.../{WEIGHTS}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; write one line `TASK: what the task is` per task folder")
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable YAML ({error}); write one line `TASK: text` per task") from error
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{path} must map each task to its text, got {type(given).__name__}; write `TASK: text` lines")
    there = {folder.name for folder in root.iterdir() if folder.is_dir() and next(_adapters(root, folder.name), None)}
    if missing := sorted(there - {str(task) for task in given}):
        raise ValueError(f"{path} says nothing of task {missing[0]!r}; add a line `{missing[0]}: what the task is`")
    return {_task(root, path, task): _texts(path, task, text) for task, text in given.items()}


def _task(root: Path, path: Path, task: object) -> str:
    name = str(task)
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise ValueError(
            f"{path} names the task {name!r}, which is empty, a path or hidden; use the name of a folder in {root}"
        )
    if not next(_adapters(root, name), None):
        raise ValueError(
            f"{path} names the task {name!r}, but {root / name} holds no {WEIGHTS}; add adapters or drop the line"
        )
    return name


def _texts(path: Path, task: object, text: object) -> list[str]:
    given = text if isinstance(text, list) else [text]
    texts = [each for each in given if isinstance(each, str) and each.strip()]
    if not texts or len(texts) < len(given):
        raise ValueError(f"{path} has an empty or unreadable condition for task {task!r}; describe it in a sentence")
    return texts


def _adapters(root: Path, task: str) -> Iterator[Path]:
    """Yield the folders of a task that hold an adapter's config or weights, whatever state they are in."""
    found = []
    for place, below, files in os.walk(root / task, followlinks=True):
        folder = Path(place)
        if any(name.startswith(("adapter_config", "adapter_model", "pytorch_lora_weights")) for name in files):
            found.append(folder)
        for link in (folder / name for name in below if (folder / name).is_symlink()):
            if link.resolve() in (above.resolve() for above in (folder, *folder.absolute().parents)):
                raise ValueError(f"{link} is a link to a folder that holds it; remove the link")
    # A final adapter beside its checkpoints comes after them.
    yield from sorted(found, key=lambda folder: natural(f"{folder}/\uffff"))


def _runs(task: Path, folders: Sequence[tuple[str, Path]]) -> dict[Path, str]:
    parts = {folder: folder.relative_to(task).parts for name, folder in folders if name == task.name}
    above = {
        folder: names[:-1] if len(names) > 1 or CHECKPOINT.match("".join(names)) else names
        for folder, names in parts.items()
    }
    shared = len(os.path.commonprefix(list(above.values())))
    return {
        folder: f"{task.name}/{'/'.join(names[shared : shared + 1] or names[-1:]) or '.'}"
        for folder, names in above.items()
    }


def _step(name: str) -> int:
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else 0


def _last_runs(rows: Sequence[Row], task: str, count: int) -> list[str]:
    runs = list(dict.fromkeys(row.run for row in rows if row.task == task))
    if count >= len(runs) and count:
        raise ValueError(
            f"task {task!r} has {len(runs)} run(s), holding out {count} leaves none; hold out fewer or add runs"
        )
    return runs[len(runs) - count :] if count else []
