"""``ROOT/conditions.yaml``, in which people say what each of their tasks is: read, or refused in one sentence.

What lies in the folders beside it is other modules' business.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

CONDITIONS = "conditions.yaml"


class _Loader(yaml.SafeLoader):
    # A key is text even where YAML reads `no` or `1` as something else; of two equal keys none is dropped silently.
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [str(key.value) for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} is there twice")
        return {name: self.construct_object(value, deep) for name, (_, value) in zip(names, node.value, strict=True)}


def read(root: Path) -> dict[str, Any]:
    """Read what is said of each task.

    Args:
        root: the folder of the tasks.

    Returns:
        Task -> what is said of it, as YAML has it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not readable, or no mapping.
    """
    path = root / CONDITIONS
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; write one line `TASK: what the task is` per task folder")
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable YAML ({error}); write one line `TASK: text` per task") from error
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{path} must map each task to its text, got {type(given).__name__}; write `TASK: text` lines")
    return given


def folder_name(root: Path, task: object) -> str:
    """Return the name of a task, which is that of a folder.

    Raises:
        ValueError: if it is empty, hidden or a path.
    """
    name = str(task)
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise ValueError(
            f"{root / CONDITIONS} names the task {name!r}, which is empty, a path or hidden; use the name of a folder "
            f"in {root}"
        )
    return name


def texts(root: Path, task: object, given: object) -> list[str]:
    """Return the sentences that say what a task is: one, or several.

    Raises:
        ValueError: if there is none, or one is empty or no text.
    """
    listed = given if isinstance(given, list) else [given]
    found = [each for each in listed if isinstance(each, str) and each.strip()]
    if not found or len(found) < len(listed):
        raise ValueError(
            f"{root / CONDITIONS} has an empty or unreadable condition for task {task!r}; describe it in a sentence"
        )
    return found
