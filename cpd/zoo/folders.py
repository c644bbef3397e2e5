"""A zoo from the folders that people have: ``ROOT/TASK/.../adapter_model.safetensors`` and ``ROOT/conditions.yaml``.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cpd.adapters.layout import AdapterLayout
from cpd.adapters.peft_files import WEIGHTS, Say, read_adapter
from cpd.runtime import conditions_file
from cpd.runtime.conditions_file import CONDITIONS
from cpd.zoo import walk
from cpd.zoo.zoo import AdapterZoo, Row, write


def from_folders(root: Path, out: Path, held_out: int = 0, adapter: str | None = None) -> AdapterZoo:
    """Gather PEFT folders laid out ``ROOT/TASK/.../adapter_model.safetensors`` with ``ROOT/conditions.yaml``.

    The nearest folder above an adapter that is named like ``checkpoint-100`` is its checkpoint, ``final...`` the last
    one of its run; with ``ROOT/TASK/.../RUN/.../CHECKPOINT/`` the first folder below TASK that differs is the run, and
    with ``ROOT/TASK/ADAPTER/`` each adapter is a run of its own. Links are followed, hidden folders left alone.

    Args:
        root: the folder.
        out: folder of the zoo; must not exist.
        held_out: runs per task, the last in natural order, that nothing is learned from.
        adapter: name of the adapter that is meant where a checkpoint holds several; None is the one that learns.

    Returns:
        The zoo; its ``notes`` say what was left out or changed.

    Raises:
        FileNotFoundError: if there are no adapters, or no conditions.yaml.
        ValueError: if a file is damaged, a weight is not finite, an adapter has another layout than the first, or
            conditions.yaml and the task folders do not agree.
    """
    notes: list[str] = []
    conditions = _conditions(root)
    found = [(task, each) for task in conditions for each in walk.adapters(root / task, adapter, notes.append)]
    if not found:
        raise FileNotFoundError(
            f"there is no TASK/.../{WEIGHTS} in {root}; put each task's adapters in a folder of its name"
        )
    layout, _ = read_adapter(found[0][1].folder)
    rows = [Row(task, each.run, each.step) for task, each in found]
    kept_out = {run for task in conditions for run in _last_runs(rows, task, held_out)}
    rows = [replace(row, held_out=row.run in kept_out) for row in rows]
    vectors = (_vector(each.folder, layout, notes.append) for _, each in found)
    write(out, layout, rows, vectors, conditions, notes)
    return AdapterZoo.load(out)


def _vector(folder: Path, layout: AdapterLayout, say: Say) -> np.ndarray:
    other, vector = read_adapter(folder, say)
    layout.require_same(other, str(folder))
    mine, its = (each.config["base_model_name_or_path"] for each in (layout, other))
    if mine != its:
        say(f"took {its!r} and {mine!r} for one base model")
    return vector.numpy()


def _conditions(root: Path) -> dict[str, list[str]]:
    if (root / WEIGHTS).exists():
        raise ValueError(f"{root} is itself an adapter; give the folder above its task, laid out TASK/.../{WEIGHTS}")
    given, path = conditions_file.read(root), root / CONDITIONS
    folders = {folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")}
    there = {name for name in folders if walk.has_adapters(root / name)}
    if missing := sorted(there - {str(task) for task in given}):
        raise ValueError(f"{path} says nothing of task {missing[0]!r}; add a line `{missing[0]}: what the task is`")
    return {_task(root, task): conditions_file.texts(root, task, text) for task, text in given.items()}


def _task(root: Path, task: object) -> str:
    name = conditions_file.folder_name(root, task)
    if not walk.has_adapters(root / name):
        raise ValueError(
            f"{root / CONDITIONS} names the task {name!r}, but {root / name} holds no {WEIGHTS}; add adapters or drop "
            "the line"
        )
    return name


def _last_runs(rows: Sequence[Row], task: str, count: int) -> list[str]:
    runs = list(dict.fromkeys(row.run for row in rows if row.task == task))
    if count >= len(runs) and count:
        raise ValueError(
            f"task {task!r} has {len(runs)} run(s), holding out {count} leaves none; hold out fewer or add runs"
        )
    return runs[len(runs) - count :] if count else []
