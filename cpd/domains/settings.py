"""Which adapters a zoo is made of, as validated data; the numbers are unpacked by whoever needs them.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpd.runtime import checks

SUITES = ("packaged", "glue", "emoji", "few_emoji", "folder", "many_styles", "diagnoses")


@dataclass(frozen=True)
class Finetuning:
    """Which adapters the zoo is made of.

    Attributes:
        suite: task table, "packaged", "glue" or "diagnoses"; of pictures "emoji", "few_emoji" (some of them),
            "many_styles" (random ones), or "folder" for the one that ``CPD_ALBUM_DIR`` names.
        tasks: names within the suite; empty means all of them.
        base: base model, a name in ``cpd.domains.text.bases.ENCODERS`` or a local folder; for pictures "emoji",
            or a PixArt pipeline by name or folder.
        pooling: what a text's head reads: "first" token, or the "mean" of all.
        targets: "query_value", or "attention" for query, key, value and the attention's output.
        rank: LoRA rank r.
        alpha: LoRA alpha; the update is alpha/r B A.
        dropout: of the LoRA input, a probability.
        runs: training runs per task.
        held_out: further runs per task that nothing is ever learned from.
        keep: last checkpoints kept of each run.
        scale: times the number of steps that the task table gives each task.
        batch: rows per step.
        learning_rate: its peak; 5 % warm-up.
        decay: "cosine", "linear" or "constant".
        weight_decay: of AdamW.
        max_length: tokens of a text; longer ones are cut.
        curve: points of the validation curve along a run.
        select_rows: rows of the selection split, cut from the training rows; or pictures drawn for it.
        report_rows: rows of the report split, which nothing but the report sees; or pictures drawn for it.
        init_seed: of the initialization that all runs share.
    """

    suite: str = "packaged"
    tasks: tuple[str, ...] = ()
    base: str = "minilm"
    pooling: str = "first"
    targets: str = "query_value"
    rank: int = 1
    alpha: int = 8
    dropout: float = 0.1
    runs: int = 3
    held_out: int = 1
    keep: int = 28
    scale: float = 1.0
    batch: int = 32
    learning_rate: float = 4e-3
    decay: str = "linear"
    weight_decay: float = 0.0
    max_length: int = 128
    curve: int = 4
    select_rows: int = 300
    report_rows: int = 500
    init_seed: int = 0

    def __post_init__(self) -> None:
        checks.one_of(SUITES, suite=self.suite)
        checks.one_of(("first", "mean"), pooling=self.pooling)
        checks.one_of(("query_value", "attention"), targets=self.targets)
        checks.one_of(("cosine", "linear", "constant"), decay=self.decay)
        checks.positive(
            rank=self.rank, alpha=self.alpha, runs=self.runs, keep=self.keep, scale=self.scale, batch=self.batch
        )
        checks.positive(learning_rate=self.learning_rate, max_length=self.max_length, curve=self.curve)
        checks.positive(select_rows=self.select_rows, report_rows=self.report_rows)
        checks.not_negative(held_out=self.held_out, weight_decay=self.weight_decay)
        checks.share(dropout=self.dropout)
