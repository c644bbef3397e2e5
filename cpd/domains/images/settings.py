"""How the small image model is trained, as validated data.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpd.runtime import checks


@dataclass(frozen=True)
class Drawing:
    """How the small image model is trained that styles are fine-tuned on.

    Attributes:
        variants: randomly styled copies of each drawing.
        steps: optimizer steps of the transformer on plain drawings.
        styled_steps: further ones, on plain and styled drawings.
        styled: share of styled drawings in these.
        batch: pictures per step.
        learning_rate: its peak, in either part.
        cond_drop: share of training rows that see the empty caption.
        ema: decay of the running average of the transformer's weights.
    """

    variants: int = 6
    steps: int = 7000
    styled_steps: int = 9000
    styled: float = 0.7
    batch: int = 64
    learning_rate: float = 1e-3
    cond_drop: float = 0.1
    ema: float = 0.9995

    def __post_init__(self) -> None:
        checks.positive(variants=self.variants, steps=self.steps, styled_steps=self.styled_steps, batch=self.batch)
