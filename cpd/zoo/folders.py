"""A zoo from the folders that people have: ``ROOT/TASK/.../adapter_model.safetensors`` and ``ROOT/conditions.yaml``.

Source: ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cpd.adapters.configs import natural
from cpd.adapters.layout import AdapterLayout
from cpd.adapters.peft_files import WEIGHTS, read_adapter
from cpd.zoo.zoo import CONDITIONS, AdapterZoo, Row, write

CHECKPOINT = re.compile(r"(checkpoint|ckpt|step|epoch|iter)[-_]?\d+$", re.IGNORECASE)


def from_folders(root: Path, out: Path, held_out: int = 0) -> AdapterZoo:
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
    write(out, layout, rows, (_vector(folder, layout) for _, folder in folders), conditions)
    return AdapterZoo.load(out)


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
