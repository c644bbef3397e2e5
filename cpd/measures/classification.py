"""How well classes are told apart.

Source: ours; the area under the curve is scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Scores:
    """How an adapter does on the rows of a task.

    Attributes:
        auc: area under the ROC curve; of several classes the mean over each against the others.
        accuracy: share of rows that are right.
    """

    auc: float
    accuracy: float


def judged(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Score the (rows, classes) logits of rows with so many (rows,) labels, two of them or more."""
    if logits.shape[1] == 2:
        auc = roc_auc_score(labels, logits[:, 1] - logits[:, 0])
    else:
        likely = softmax(logits, axis=1)
        auc = np.mean([roc_auc_score(labels == k, likely[:, k]) for k in np.unique(labels)])
    return Scores(float(auc), float((logits.argmax(axis=1) == labels).mean()))


def ranked(logits: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the labels of rows from the least to the most like the last class, of (rows, classes) logits."""
    return [int(label) for label in labels[np.argsort(logits[:, -1] - logits[:, 0], kind="stable")]]
