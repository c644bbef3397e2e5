"""How a hypernetwork learns, as validated data.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpd.runtime import checks

WRITES = ("all", "b", "core", "head")


@dataclass(frozen=True)
class Writing:
    """How a hypernetwork learns to write adapters.

    Attributes:
        writes: what of an adapter depends on the condition: "all" of A and B; "b", B only; "core", an r x r matrix
            between a shared A and a shared B; "head", no LoRA at all. The rest is learned too, one for all conditions.
        width: of its layers.
        depth: residual blocks.
        steps: optimizer steps.
        tasks: adapters that are written in a step, each for a task drawn anew.
        rows: of each of these tasks in a step.
        learning_rate: its peak.
        reach: how far the last layer moves a weight, times that of the other layers.
        cond_noise: on the embeddings of a condition, in units of the length of one.
        ema: decay of the running average of the weights.
    """

    writes: str = "b"
    width: int = 512
    depth: int = 2
    steps: int = 2000
    tasks: int = 32
    rows: int = 16
    learning_rate: float = 1e-3
    reach: float = 0.2
    cond_noise: float = 0.3
    ema: float = 0.99

    def __post_init__(self) -> None:
        checks.one_of(WRITES, writes=self.writes)
        checks.positive(width=self.width, depth=self.depth, steps=self.steps, tasks=self.tasks, rows=self.rows)
        checks.positive(learning_rate=self.learning_rate, reach=self.reach)
        checks.not_negative(cond_noise=self.cond_noise)
        checks.share(ema=self.ema)
