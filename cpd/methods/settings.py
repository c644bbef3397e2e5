"""How much is asked of every method, and how those that sample do it.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpd.runtime import checks


@dataclass(frozen=True)
class Evaluating:
    """How much is generated and scored.

    Attributes:
        generated: adapters per task.
        controls: adapters per task of each random control (Gaussian, soup plus noise).
        wrong: adapters per pair of tasks in "generated for task i, scored on task j".
        sampler: "ddim", "dpm" (DPM-Solver++) or "ddpm" (ancestral).
        sampler_steps: steps of the sampler.
        guidance: scale; 1 means off.
    """

    generated: int = 10
    controls: int = 10
    wrong: int = 3
    sampler: str = "ddim"
    sampler_steps: int = 50
    guidance: float = 1.0

    def __post_init__(self) -> None:
        checks.one_of(("ddim", "dpm", "ddpm"), sampler=self.sampler)
        checks.positive(
            generated=self.generated, controls=self.controls, wrong=self.wrong, sampler_steps=self.sampler_steps
        )
