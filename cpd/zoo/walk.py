"""Where the adapters of a task lie: which folders hold one, and of which run, at which step, under which name.

Training leaves more than one adapter a checkpoint: a frozen reference beside the one that learns, the same weights in
another format, a copy that is called final. Which of them is meant is decided here, and said.

Source: ours; the names of checkpoints are those that Trainer, TRL, accelerate and diffusers' scripts write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpd.adapters.names import natural
from cpd.adapters.peft_files import Say, is_adapter, of_peft, same_matrices, silent

CHECKPOINT = re.compile(r"(.*step=|(checkpoint|ckpt|(global_?)?step|epoch|iter(ation)?)[-_=]?)\d+$", re.IGNORECASE)
FINAL = re.compile(r"((checkpoint|ckpt)[-_])?(final|last|best)([-_].*)?$", re.IGNORECASE)  # after all others of its run
REFERENCES = ("ref", "reference")  # adapters that stay as they were, beside the one that learns
MAIN = "default"  # PEFT's name for an adapter that lies in the checkpoint's own folder


@dataclass(frozen=True)
class Found:
    """One adapter of a task.

    Attributes:
        folder: that holds it.
        run: unique over tasks.
        step: of its checkpoint; of what is called final, one more than the last one's.
    """

    folder: Path
    run: str
    step: int


@dataclass(frozen=True)
class _Placed:
    """An adapter: of which checkpoint, as names of folders below the task's, and its name within it."""

    folder: Path
    checkpoint: tuple[str, ...]
    name: str


def adapters(task: Path, adapter: str | None, say: Say) -> list[Found]:
    """Find the adapters of a task, run after run, each in the order of its checkpoints.

    Args:
        task: its folder; links are followed, hidden folders left alone.
        adapter: name of the one that is meant where a checkpoint holds several; None is the one that learns.
        say: is told what is left out, in a sentence.

    Returns:
        One adapter for each checkpoint.

    Raises:
        ValueError: if a link leads to a folder that holds it, no adapter has the name, or it cannot be told which
            adapter of a checkpoint is meant.
    """
    placed = _placed(task, sorted(_folders(task, say), key=lambda folder: natural(f"{folder}/")))
    checkpoints: dict[tuple[str, ...], list[_Placed]] = {}
    for each in placed:
        checkpoints.setdefault(each.checkpoint, []).append(each)
    chosen = [kept for own in checkpoints.values() if (kept := _meant(own, adapter, say))]
    if placed and not chosen:
        there = ", ".join(sorted({each.name or MAIN for each in placed}))
        raise ValueError(f"no checkpoint in {task} has an adapter {adapter!r}; there is {there}")
    return _in_runs(task.name, chosen)


def has_adapters(task: Path) -> bool:
    """Tell whether a folder holds any adapter, in whatever state."""
    return next(_folders(task, silent), None) is not None


def _folders(task: Path, say: Say) -> Iterator[Path]:
    """Yield the folders that hold an adapter's config or weights."""
    for place, below, files in os.walk(task, followlinks=True):
        folder = Path(place)
        if is_adapter(files):
            yield folder
        if hidden := sorted(name for name in below if name.startswith(".")):
            say(f"left hidden folders alone ({', '.join(hidden)})")
        below[:] = [name for name in below if not name.startswith(".")]
        for link in (folder / name for name in below if (folder / name).is_symlink()):
            if link.resolve() in (above.resolve() for above in (folder, *folder.absolute().parents)):
                raise ValueError(f"{link} is a link to a folder that holds it; remove the link")


def _placed(task: Path, folders: Sequence[Path]) -> list[_Placed]:
    """Cut each path where its checkpoint ends.

    That is at the deepest folder that is numbered like one; without any, at one called final beside such, or at one
    that is an adapter itself.
    """
    paths = {folder: folder.relative_to(task).parts for folder in folders}
    all_paths = set(paths.values())
    runs = {parts[:end] for parts in all_paths for end in range(len(parts)) if _numbered(parts[: end + 1])}
    placed = []
    for folder, parts in paths.items():
        heads = [parts[:end] for end in range(len(parts) + 1)]
        numbered = [head for head in heads if _numbered(head)]
        called = [head for head in heads if _final(head, runs) or (head in all_paths and head != parts)]
        beside = len(parts) > 1 and parts[-1] in (MAIN, *REFERENCES)
        checkpoint = (numbered or called or [parts[: len(parts) - beside]])[-1]
        placed.append(_Placed(folder, checkpoint, "/".join(parts[len(checkpoint) :])))
    return placed


def _numbered(parts: tuple[str, ...]) -> bool:
    return bool(parts) and bool(CHECKPOINT.match(parts[-1]))


def _final(parts: tuple[str, ...], runs: set[tuple[str, ...]]) -> bool:
    """Tell whether a folder comes after the checkpoints of a run: it holds them, or is called so beside them."""
    return parts in runs or (bool(parts) and parts[:-1] in runs and bool(FINAL.match(parts[-1])))


def _meant(own: Sequence[_Placed], adapter: str | None, say: Say) -> _Placed | None:
    """Return the adapter of a checkpoint that is meant, and say which others were left out."""
    if adapter is not None:
        return next((each for each in own if (each.name or MAIN) == adapter), None)
    learning = [each for each in own if each.name.split("/")[-1] not in REFERENCES] or list(own)
    main = next((each for each in learning if each.name in ("", MAIN)), None)
    meant = main or _in_peft(learning)
    for each in own:
        if each is not meant:
            twice = each in learning and not main
            say(
                f"left out {each.name!r}, the same adapter as {meant.name!r} in another format"
                if twice
                else f"left out {each.name!r}, a second adapter of its checkpoint; --adapter {each.name} chooses it"
            )
    return meant


def _in_peft(learning: Sequence[_Placed]) -> _Placed:
    """Return the adapter that is there in PEFT's format, where the others are the same one in another."""
    meant = next((each for each in learning if of_peft(each.folder)), learning[0])
    if any(not same_matrices(meant.folder, each.folder) for each in learning):
        names = " and ".join(each.name for each in learning)
        raise ValueError(
            f"{meant.folder.parent} holds the adapters {names}, which differ; choose one with --adapter {meant.name}"
        )
    return meant


def _in_runs(task: str, chosen: Sequence[_Placed]) -> list[Found]:
    """Name the run and the step of each checkpoint."""
    runs = {each.checkpoint[:-1] for each in chosen if _numbered(each.checkpoint)}
    above = [_above(each.checkpoint, runs) for each in chosen]
    shared = len(os.path.commonprefix(above))
    named: dict[str, list[_Placed]] = {}
    for each, names in zip(chosen, above, strict=True):
        named.setdefault(f"{task}/{'/'.join(names[shared : shared + 1] or names[-1:]) or '.'}", []).append(each)
    return [found for run, own in named.items() for found in _in_order(run, own, runs)]


def _above(checkpoint: tuple[str, ...], runs: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders down to the run of a checkpoint; what is directly below the task is a run of its own."""
    alone = len(checkpoint) == 1 and not _numbered(checkpoint) and not _final(checkpoint, runs)
    return checkpoint if checkpoint in runs or alone else checkpoint[:-1]


def _in_order(run: str, own: Sequence[_Placed], runs: set[tuple[str, ...]]) -> Iterator[Found]:
    last = 0
    for each in (each for each in own if not _final(each.checkpoint, runs)):
        digits = re.search(r"(\d+)$", "".join(each.checkpoint[-1:]))
        step = int(digits[1]) if digits else 0
        last = max(last, step)
        yield Found(each.folder, run, step)
    for step, each in enumerate((each for each in own if _final(each.checkpoint, runs)), last + 1):
        yield Found(each.folder, run, step)
