"""What is in a zoo before anything is learned from it, as JSON values and as a table.

Adapters are compared as vectors, in weight units, in one pass over the matrix. What is learned or generated is not
known here.

Source: ours.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from tqdm import tqdm

from cpd.measures.distances import distances
from cpd.zoo.zoo import AdapterZoo, Row, blocks

NEAR = 1e-3  # two adapters this near, as a share of their norm, count as the same one
SHOWN = 10  # entries of a list in the table


def inspect(zoo: AdapterZoo) -> dict[str, Any]:
    """Describe a zoo.

    Args:
        zoo: adapters; N of them cost N^2 distances.

    Returns:
        JSON values. Norms and distances are in weight units; "distances" are means over pairs of checkpoints of one
        run, of runs of one task, and of tasks (null where there is no such pair); "contradictions" are adapters whose
        nearest adapter of another run has another task; "notes" say what was left out or changed when they were read.
    """
    among, norms, still, idle = _compared(zoo)
    config = zoo.layout.config
    return {
        "adapters": len(zoo.rows),
        "layout": {
            "base": config["base_model_name_or_path"],
            "rank": config["r"],
            "alpha": config["lora_alpha"],
            "targets": config["target_modules"],
            "modules_to_save": config["modules_to_save"],
            "parameters": zoo.layout.size,
            "dtypes": sorted(set(zoo.layout.dtypes)),
        },
        "tasks": {task: _task(zoo, task, norms) for task in zoo.tasks},
        "distances": _kinds(zoo.rows, among),
        "near_duplicates": _near_duplicates(zoo.rows, among, norms),
        "do_nothing": [_name(row) for row, does_nothing in zip(zoo.rows, idle, strict=True) if does_nothing],
        "contradictions": _contradictions(zoo.rows, among),
        "never_move": _never_move(zoo, still),
        "notes": zoo.notes,
    }


def table(found: dict[str, Any]) -> str:
    """Write what :func:`inspect` found for people to read."""
    layout, away, still = found["layout"], found["distances"], found["never_move"]
    lines = [
        f"{found['adapters']} adapters of {layout['base']}, rank {layout['rank']}, alpha {layout['alpha']:g}, "
        f"{layout['parameters']:,} parameters ({', '.join(layout['dtypes'])})",
        f"targets: {_words(layout['targets'])}; saved whole: {_words(layout['modules_to_save'])}",
        "",
        f"{'task':<20}{'runs':>6}{'checkpoints':>13}{'mean norm':>11}  condition",
        *(
            f"{task:<20}{len(row['runs']):>6}{row['checkpoints']:>13}{row['norm']:>11.3g}  {row['conditions'][0][:60]}"
            for task, row in found["tasks"].items()
        ),
        "",
        "mean distance between two checkpoints",
        *(f"  of {name.replace('_', ' '):<18} {_number(value)}" for name, value in away.items()),
        "",
        f"parameters that never move: {still['count']:,} of {layout['parameters']:,}",
        *(f"  {name}: {count:,}" for name, count in list(still["tensors"].items())[:SHOWN]),
        *_list("adapters that do nothing (every B is zero)", found["do_nothing"]),
        *_list("near-duplicates", [_pair(*pair) for pair in found["near_duplicates"]]),
        *_list(
            "adapters whose nearest one of another run has another task",
            [f"{row['adapter']} is nearest to {row['nearest']}" for row in found["contradictions"]],
        ),
        *(f"note: {note}" for note in found["notes"]),
    ]
    return "\n".join(lines)


def _compared(zoo: AdapterZoo) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (N, N) distances, (N,) norms, (K,) whether a coordinate never moves, and (N,) whether every B is zero."""
    count, size = zoo.vectors.shape
    square, norms, still = np.zeros((count, count)), np.zeros(count), np.zeros(size, dtype=bool)
    in_b, idle = np.zeros(size, dtype=bool), np.full(count, bool(zoo.layout.pairs))
    for _, b in zoo.layout.pairs.values():
        in_b[zoo.layout.spans[b]] = True
    with tqdm(total=size, desc="comparing adapters", unit=" parameters", unit_scale=True) as progress:
        for span, block in blocks(zoo.vectors, range(count)):
            square += distances(block, block) ** 2
            norms += np.square(block, dtype=np.float64).sum(axis=1)
            still[span] = (block == block[0]).all(axis=0)
            idle &= ~block[:, in_b[span]].any(axis=1)
            progress.update(block.shape[1])
    return np.sqrt(square), np.sqrt(norms), still, idle


def _task(zoo: AdapterZoo, task: str, norms: np.ndarray) -> dict[str, Any]:
    own = zoo.of(task)
    return {
        "runs": dict(Counter(zoo.rows[i].run for i in own)),
        "checkpoints": len(own),
        "norm": float(norms[own].mean()),
        "conditions": zoo.conditions[task],
    }


def _same(values: list[str]) -> np.ndarray:
    number = np.unique(values, return_inverse=True)[1]
    return number[:, None] == number[None]


def _kinds(rows: list[Row], among: np.ndarray) -> dict[str, float | None]:
    task, run = _same([row.task for row in rows]), _same([row.run for row in rows])
    pairs = np.triu(np.ones_like(task), 1)
    kinds = {"one_run": task & run & pairs, "runs_of_one_task": task & ~run & pairs, "two_tasks": ~task & pairs}
    return {kind: float(among[mask].mean()) if mask.any() else None for kind, mask in kinds.items()}


def _near_duplicates(rows: list[Row], among: np.ndarray, norms: np.ndarray) -> list[tuple[str, str]]:
    near = np.triu(among <= NEAR * np.minimum(norms[:, None], norms[None]), 1)
    first, second = np.nonzero(near)
    names = np.array([_name(row) for row in rows])
    return list(zip(names[first].tolist(), names[second].tolist(), strict=True))


def _contradictions(rows: list[Row], among: np.ndarray) -> list[dict[str, str]]:
    others = np.where(_same([row.run for row in rows]), np.inf, among)
    nearest = others.argmin(axis=1)
    runs = Counter(task for task, _ in {(row.task, row.run) for row in rows})
    return [
        {"adapter": _name(row), "nearest": _name(rows[j])}
        for row, j in zip(rows, nearest, strict=True)
        if runs[row.task] > 1 and rows[j].task != row.task
    ]


def _never_move(zoo: AdapterZoo, still: np.ndarray) -> dict[str, Any]:
    counts = {name: int(still[span].sum()) for name, span in zoo.layout.spans.items()}
    return {"count": int(still.sum()), "tensors": {name: count for name, count in counts.items() if count}}


def _name(row: Row) -> str:
    return f"{row.run} step {row.step}"


def _words(names: list[str] | str | None) -> str:
    return names if isinstance(names, str) else ", ".join(names or ["nothing"])


def _pair(one: str, other: str) -> str:
    two_tasks = one.split("/")[0] != other.split("/")[0]
    return f"{one} = {other}" + ("  (of two tasks)" if two_tasks else "")


def _number(value: float | None) -> str:
    return "no such pair" if value is None else f"{value:.4g}"


def _list(title: str, entries: list[str]) -> list[str]:
    more = [f"  and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
    return [f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:SHOWN]), *more]
