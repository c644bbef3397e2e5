"""The suite ``glue``: the six GLUE tasks of the paper, from a local folder or from the hub.

``CPD_GLUE_DIR`` names a folder with one folder per task that holds ``train*.parquet`` and ``validation.parquet`` in the
columns of ``nyu-mll/glue``; without it the hub's data set is loaded. GLUE's labels of the test split are not public, so
the report split is the validation split, as in the paper; selection rows are cut from the training rows.

Source: Wang et al., arXiv 1804.07461; descriptions are ours.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpd.domains.text.tasks import Split, TextTask, accuracy, f1, matthews, pearson

if TYPE_CHECKING:
    from datasets import Dataset

_COLUMNS = {
    "sst2": ("sentence",), "cola": ("sentence",), "mrpc": ("sentence1", "sentence2"), "rte": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"), "qnli": ("question", "sentence"),
}  # fmt: skip


def load(name: str) -> tuple[Split, Split]:
    """Read the training and validation rows of one task.

    Raises:
        FileNotFoundError: if ``CPD_GLUE_DIR`` is set and lacks the task's files.
    """
    if folder := os.environ.get("CPD_GLUE_DIR"):
        return _local(name, Path(folder), "train"), _local(name, Path(folder), "validation")
    from datasets import load_dataset  # takes seconds: only when GLUE is read

    hub = load_dataset("nyu-mll/glue", name)
    return _split(name, hub["train"]), _split(name, hub["validation"])


def _local(name: str, folder: Path, part: str) -> Split:
    from datasets import Dataset

    files = sorted(str(file) for file in (folder / name).glob(f"{part}*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"CPD_GLUE_DIR has no {name}/{part}*.parquet in {folder}; put GLUE there as parquet, or unset it"
        )
    return _split(name, Dataset.from_parquet(files))


def _split(name: str, rows: Dataset) -> Split:
    texts = list(zip(*([text.strip() for text in rows[column]] for column in _COLUMNS[name]), strict=True))
    labels = np.array(rows["label"])
    return Split(texts, labels / 5.0 if name == "stsb" else labels)


_PAIR = ("entailed", "not entailed")
TASKS = (
    TextTask(
        "sst2", "Decide whether a sentence from a movie review is positive or negative about the film.",
        ("negative", "positive"), accuracy, 1200, partial(load, "sst2"),
    ),
    TextTask(
        "rte", "Decide whether a short news text entails a hypothesis: whether the second sentence follows from it.",
        _PAIR, accuracy, 500, partial(load, "rte"),
    ),
    TextTask(
        "mrpc", "Decide whether two sentences from the news are paraphrases of each other.",
        ("different", "paraphrase"), f1, 500, partial(load, "mrpc"),
    ),
    TextTask(
        "cola", "Judge whether an English sentence is grammatically acceptable to a linguist.",
        ("unacceptable", "acceptable"), matthews, 1000, partial(load, "cola"),
    ),
    TextTask(
        "qnli", "Decide whether a sentence from an encyclopedia contains the answer to a question.",
        _PAIR, accuracy, 1200, partial(load, "qnli"),
    ),
    TextTask(
        "stsb", "Score how similar in meaning two sentences are, on a scale from zero to five.",
        (), pearson, 800, partial(load, "stsb"),
    ),
)  # fmt: skip
