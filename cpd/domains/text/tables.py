"""Tasks from the tables that people have: ``ROOT/TASK/train.csv`` and ``ROOT/conditions.yaml``.

A table has the columns ``text`` and ``label``. Labels are 0 and 1, no and yes, or false and true, where the task is a
question with such an answer; else each label is the name of a class. What each task is, a sentence says, as of a folder
of adapters; or a list: the first is asked with, and the others are learned with. Where more is to be said it is a
mapping of ``sentence`` or ``sentences``, and ``classes``: a list of labels, or what the class of each label is called.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cpd.domains.text.labelled import NAMED, Row, rows
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.runtime import conditions_file
from cpd.runtime.conditions_file import CONDITIONS

TABLE = "train.csv"
NO, YES = ("0", "0.0", "no", "false"), ("1", "1.0", "yes", "true")
MOST = 32  # classes of a task
FEWEST = 4  # different texts of a class
STEPS = 60  # of fine-tuning on one of these tasks
KEYS = ("sentence", "sentences", "classes")  # of the mapping form


def there(root: Path) -> bool:
    """Tell whether a folder holds tables of tasks."""
    return root.is_dir() and any((folder / TABLE).exists() for folder in _folders(root))


def tasks(root: Path) -> tuple[TextTask, ...]:
    """Read the tasks of a folder; their rows are read again when they are needed.

    Args:
        root: has a folder for each task.

    Returns:
        The tasks, in the order of conditions.yaml.

    Raises:
        FileNotFoundError: if there is no task, no conditions.yaml, or a task has no table.
        ValueError: if tables and conditions.yaml do not agree, or a table is none: one sentence that names file, line
            or task, and what to do.
    """
    _require_tables(root)
    given = conditions_file.read(root)
    named = {conditions_file.folder_name(root, task): told for task, told in given.items()}
    _require_once(root, [*named, *(folder.name for folder in _folders(root) if folder.name not in named)])
    for folder in _folders(root):
        if folder.name not in named and (folder / TABLE).exists():
            raise ValueError(
                f"{root / CONDITIONS} says nothing of task {folder.name!r}; add a line "
                f"`{folder.name}: what the task is`"
            )
    for name in named:
        if not (root / name / TABLE).is_file():
            raise FileNotFoundError(
                f"{root / CONDITIONS} names the task {name!r}, but there is no {root / name / TABLE}; add the table, "
                f"with the columns {NAMED}, or drop the line"
            )
    return tuple(_task(root, name, told) for name, told in named.items())


def examples(path: Path, classes: Sequence[str] = ()) -> tuple[tuple[str, ...], Split]:
    """Read a few labelled rows.

    Args:
        path: a table, as of a task.
        classes: of the task, in their order; empty where the labels say them.

    Returns:
        The classes, and the rows.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no table, or has labels of other classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; give a CSV file with the columns {NAMED}")
    found = rows(path)
    places, words = _classes(path, found, dict(zip(classes, classes, strict=True)), 0)
    return words, _split(found, places)


def _task(root: Path, name: str, told: object) -> TextTask:
    """Read one task, every row of it."""
    path, more = root / name / TABLE, {} if not isinstance(told, dict) else told
    if strangers := [key for key in more if key not in KEYS]:
        raise ValueError(
            f"{root / CONDITIONS} says {strangers[0]!r} of task {name!r}; there are {', '.join(KEYS)}: correct it"
        )
    said = (more.get("sentences") or more.get("sentence")) if more else told
    first, *others = conditions_file.texts(root, name, said)
    named = _named(root, name, more.get("classes"))
    places, words = _classes(path, rows(path), named, FEWEST)
    return TextTask(name, first, words, accuracy, STEPS, partial(_load, path, places), tuple(others))


def _load(path: Path, places: Mapping[str, int]) -> tuple[Split, None]:
    """Read the rows of a task."""
    found = rows(path)
    if strangers := [row for row in found if row.label not in places]:
        raise ValueError(f"{path} changed while it was read: line {strangers[0].line} is new; start again")
    return _split(found, places), None


def _split(table: Sequence[Row], places: Mapping[str, int]) -> Split:
    return Split([(row.text,) for row in table], np.array([places[row.label] for row in table]))


def _named(root: Path, name: str, classes: object) -> dict[str, str]:
    """Return what the class of each label is called, where conditions.yaml says so; empty where it does not."""
    if classes is None:
        return {}
    pairs = list(classes.items()) if isinstance(classes, dict) else [(each, each) for each in _listed(classes)]
    found = {_word(label): _word(words) for label, words in pairs}
    if len(found) < 2 or not all(found) or not all(found.values()) or len({*found.values()}) < len(pairs):
        raise ValueError(
            f"{root / CONDITIONS} gives task {name!r} the classes {classes!r}; list two labels or more, each once, as "
            "in `classes: [negative, positive]`, or say what each is called, as in `classes: {0: negative}`"
        )
    return found


def _listed(classes: object) -> list[Any]:
    return classes if isinstance(classes, list) else []


def _word(value: object) -> str:
    """Return a label as a table has it; what YAML reads as a number or as true is text there."""
    return str(value).strip().lower() if isinstance(value, bool) else "" if value is None else str(value).strip()


def _classes(
    path: Path, table: Sequence[Row], named: Mapping[str, str], fewest: int
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return which class each label is, and what the classes are called."""
    labels = sorted({row.label for row in table})
    words = dict(named) or {label: label for label in labels}
    if as_told([*words.values()]) == YES_NO and all(label == own for label, own in words.items()):
        words |= {label: label for label in labels if _answer(label) is not None}  # however the answers are spelled
    if strangers := [row for row in table if row.label not in words]:
        raise ValueError(
            f"line {strangers[0].line} of {path} has the label {strangers[0].label!r}, and the classes are "
            f"{', '.join(words)}; correct the label or name its class"
        )
    called: tuple[str, ...]
    answers = {label: _answer(own) for label, own in words.items()}
    if None not in answers.values():
        places, called = {label: int(bool(answer)) for label, answer in answers.items()}, YES_NO
    else:
        if not named:
            _require_different(path, labels)
        called = tuple(dict.fromkeys(words.values()))
        places = {label: called.index(own) for label, own in words.items()}
    _require_enough(path, table, places, called, fewest, known=bool(named) or called == YES_NO)
    return places, called


def as_told(words: Sequence[str]) -> tuple[str, ...]:
    """Return classes as they are told: no and yes, in this order, where two are such answers."""
    return YES_NO if len(words) == 2 and {_answer(word) for word in words} == {False, True} else tuple(words)


def _answer(word: str) -> bool | None:
    """Return the answer that a label is, if it is one."""
    return False if word.lower() in NO else True if word.lower() in YES else None


def _require_different(path: Path, labels: Sequence[str]) -> None:
    spelled: dict[str, str] = {}
    for label in labels:
        if (other := spelled.setdefault(label.lower(), label)) != label:
            raise ValueError(f"{path} has the labels {other!r} and {label!r}, which differ in case only; write one")


def _require_enough(
    path: Path, table: Sequence[Row], places: Mapping[str, int], called: Sequence[str], fewest: int, known: bool
) -> None:
    """Refuse one class, too many of them, and classes of too few texts."""
    of_class = [{row.text for row in table if places[row.label] == k} for k in range(len(called))]
    if len(called) > MOST:
        raise ValueError(
            f"{path} has {len(called)} different labels, at most {MOST} are learned; label each row with its class"
        )
    if (fewest or not known) and sum(map(bool, of_class)) < 2:
        only = next((label for label in places if any(row.label == label for row in table)), "")
        raise ValueError(f"{path} has the label {only!r} only; add rows of another class")
    for words, texts in zip(called, of_class, strict=True):
        if len(texts) < fewest:
            raise ValueError(
                f"{path} has {len(texts)} different texts of class {words!r}, at least {fewest} are needed; add rows"
            )


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _require_tables(root: Path) -> None:
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}; give one that is laid out TASK/{TABLE}")
    if (root / TABLE).exists():
        raise ValueError(f"{root} is itself a task; give the folder above it, laid out TASK/{TABLE}")
    if not there(root):
        raise FileNotFoundError(
            f"there is no TASK/{TABLE} in {root}; put each task's table, with the columns {NAMED}, in "
            "a folder of its name"
        )


def _require_once(root: Path, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{root} has the task {other!r} twice, as {name!r} too; rename one of them or remove it")
