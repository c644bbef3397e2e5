"""What a text task is: its name, its texts and labels, its metric. No models, no downloads.

Source: ours; the metrics are those of GLUE (arXiv 1804.07461).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


@dataclass(frozen=True)
class Split:
    """Labelled texts.

    Attributes:
        texts: one tuple per row: one text, or two for a task on pairs.
        labels: (rows,) class index, or a number in [0, 1] where the task is a regression.
        documents: (rows,) name of the document that a row is from, and with which it is in one split; None where each
            row is a document of its own.
    """

    texts: list[tuple[str, ...]]
    labels: np.ndarray
    documents: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, index: np.ndarray) -> Split:
        """Return the rows that ``index`` names, in its order."""
        documents = None if self.documents is None else self.documents[index]
        return Split([self.texts[i] for i in index], self.labels[index], documents)


Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows that are right."""
    return float(accuracy_score(labels, predicted))


def f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall of class 1."""
    return float(f1_score(labels, predicted, zero_division=0.0))


def matthews(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the Matthews correlation; 0 where all predictions are of one class."""
    return float(matthews_corrcoef(labels, predicted))


def pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the Pearson correlation; 0 where the predictions (or labels) are constant."""
    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(pearsonr(predicted, labels).statistic)


TIERS = ("training", "validation", "test", "apart")  # learned; choices; never seen; nor anything like them
YES_NO = ("no", "yes")  # classes of a task that one sentence says


@dataclass(frozen=True)
class TextTask:
    """One row of a task table.

    Attributes:
        name: as used in folders and tables.
        description: one sentence that says what the task is; the default condition.
        classes: words for the classes, in label order; empty for a regression.
        metric: of (predicted, labels); predicted are class indices, or numbers for a regression.
        steps: fine-tuning steps at scale 1.
        load: reads the labelled rows: (training rows, report rows or None if the suite has no fixed report split).
        phrasings: other sentences that say the same; where there are any, a method learns with these, and the
            description is only asked with.
        kind: of question, a name that several tasks share.
        tier: whether anything may be learned from the task, one of :data:`TIERS`.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    metric: Metric
    steps: int
    load: Callable[[], tuple[Split, Split | None]]
    phrasings: tuple[str, ...] = ()
    kind: str = ""
    tier: str = "training"

    @property
    def outputs(self) -> int:
        """Number of logits the task uses."""
        return max(1, len(self.classes))

    @property
    def learned_with(self) -> tuple[str, ...]:
        """The sentences that a method learns the task with."""
        return self.phrasings or (self.description,)


@dataclass(frozen=True)
class Splits:
    """A task's rows: training, selection and report share no text and no document.

    Attributes:
        train: fine-tuned on.
        select: chooses.
        report: reports.
        cut: the report rows are cut from the training rows, so that their number decides which those are.
    """

    train: Split
    select: Split
    report: Split
    cut: bool


def splits(task: TextTask, select_rows: int, report_rows: int) -> Splits:
    """Cut a task's rows into three parts, the same ones on every call.

    A suite's own report split is kept (its first ``report_rows`` in a fixed random order); training rows whose text
    occurs in it, and repeated texts, are dropped, and so is what is left of a document where a part is full.

    Args:
        task: whose rows.
        select_rows: most rows of the selection split, at most a tenth of the training rows.
        report_rows: most rows of the report split, at most a fifth of the rows where the suite has none of its own.

    Returns:
        The three parts.
    """
    rows, report = task.load()
    seen = set(report.texts) if report else set()
    order = np.random.default_rng(0).permutation(_unique(rows))
    if cut := report is None:
        chosen, order = _cut(order, rows.documents, min(report_rows, len(order) // 5))
        report = rows.rows(chosen)
    else:
        report = report.rows(np.random.default_rng(0).permutation(len(report))[:report_rows])
    order = np.array([i for i in order if rows.texts[i] not in seen])
    chosen, order = _cut(order, rows.documents, min(select_rows, len(order) // 10))
    return Splits(rows.rows(order), rows.rows(chosen), report, cut)


def _cut(order: np.ndarray, documents: np.ndarray | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Take rows document by document until there are ``count``; return them, and the rows of the other documents."""
    if documents is None:
        return order[:count], order[count:]
    _, first, group = np.unique(documents[order], return_index=True, return_inverse=True)
    chosen = order[np.argsort(first[group], kind="stable")][:count]
    return order[np.isin(order, chosen)], order[~np.isin(documents[order], documents[chosen])]


def _unique(rows: Split) -> np.ndarray:
    first: dict[tuple[str, ...], int] = {}
    for i, text in enumerate(rows.texts):
        first.setdefault(text, i)
    return np.array(list(first.values()))
