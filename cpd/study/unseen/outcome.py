"""How an adapter does on the rows of an unseen task, as it is kept.

Source: ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cpd.measures.classification import Scores, judged, ranked


@dataclass(frozen=True)
class Outcome(Scores):
    """How an adapter does on the rows of an unseen task.

    Attributes:
        ranked: labels of the rows, from the least to the most like the last class.
    """

    ranked: list[int]


def outcome(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the fields of an `Outcome`, of (rows, classes) logits and (rows,) labels."""
    return asdict(judged(logits, labels)) | {"ranked": ranked(logits, labels)}
