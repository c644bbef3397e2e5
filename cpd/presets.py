"""Every number that sets the size of the study, as validated data: smoke, laptop (default), full, paper, authors.

Nothing is built here and nothing is imported from the package; the numbers are unpacked by whoever needs them.

Sources: the values of ``authors`` are those of the authors' text code (arXiv 2408.01415 and its repository); the others
are ours, measured on 2 CPU cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any


def _require(choices: tuple[str, ...], **named: str) -> None:
    for name, value in named.items():
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, got {value!r}")


def _positive(**named: float) -> None:
    for name, value in named.items():
        if isinstance(value, bool) or not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value!r}")


@dataclass(frozen=True)
class Finetuning:
    """Which adapters the zoo is made of.

    Attributes:
        suite: task table, "packaged", "glue" or "styles".
        tasks: names within the suite; empty means all of them.
        base: base encoder, a name in ``cpd.tasks.encoders.ENCODERS`` or a local folder.
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
        decay: "cosine" or "linear".
        weight_decay: of AdamW.
        max_length: tokens; longer texts are cut.
        curve: points of the validation curve along a run.
        select_rows: rows of the selection split, cut from the training rows.
        report_rows: rows of the report split, which nothing but the report sees.
        init_seed: of the initialization that all runs share.
    """

    suite: str = "packaged"
    tasks: tuple[str, ...] = ()
    base: str = "minilm"
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
        _require(("packaged", "glue", "styles"), suite=self.suite)
        _require(("query_value", "attention"), targets=self.targets)
        _require(("cosine", "linear", "constant"), decay=self.decay)
        _positive(rank=self.rank, alpha=self.alpha, runs=self.runs, keep=self.keep, scale=self.scale, batch=self.batch)
        _positive(learning_rate=self.learning_rate, max_length=self.max_length, curve=self.curve)
        _positive(select_rows=self.select_rows, report_rows=self.report_rows)


@dataclass(frozen=True)
class Drawing:
    """How the small image model is trained that styles are fine-tuned on.

    Attributes:
        variants: randomly styled copies of each drawing that the autoencoder sees beside the plain one.
        ae_steps: optimizer steps of the autoencoder.
        ae_batch: pictures per step.
        ae_learning_rate: its peak.
        steps: optimizer steps of the transformer.
        batch: pictures per step.
        learning_rate: its peak.
        cond_drop: share of training rows that see the empty caption.
        ema: decay of the running average of the transformer's weights.
    """

    variants: int = 6
    ae_steps: int = 2000
    ae_batch: int = 32
    ae_learning_rate: float = 1e-3
    steps: int = 7000
    batch: int = 64
    learning_rate: float = 1e-3
    cond_drop: float = 0.1
    ema: float = 0.9995

    def __post_init__(self) -> None:
        _positive(ae_steps=self.ae_steps, ae_batch=self.ae_batch, steps=self.steps, batch=self.batch)


@dataclass(frozen=True)
class Learning:
    """How autoencoder and denoiser learn a zoo.

    Attributes:
        normalization: "none", "shared" (all tasks together) or "per_task".
        condition: "description", "examples", "images", "one_hot" or "none".
        encoder: sentence encoder of text conditions, "minilm" or any sentence-transformers name or folder.
        latent: dimensions D of the latent.
        input_noise: of the autoencoder in training, in units of normalized parameters.
        latent_noise: likewise on the latent.
        ae_steps: optimizer steps of the autoencoder.
        ae_batch: vectors per step.
        ae_learning_rate: its peak.
        width: of the denoiser's layers.
        depth: residual blocks of the denoiser.
        steps: optimizer steps of the denoiser.
        batch: latents per step.
        learning_rate: its peak.
        cond_drop: share of training rows that see the null condition.
        ema: decay of the running average of the denoiser's weights.
        prediction: "v_prediction" or "epsilon".
        timesteps: T of the noise schedule.
        betas: noise schedule, "squaredcos_cap_v2" or "linear" (1e-4 to 2e-2).
    """

    normalization: str = "shared"
    condition: str = "description"
    encoder: str = "minilm"
    latent: int = 256
    input_noise: float = 0.001
    latent_noise: float = 0.1
    ae_steps: int = 400
    ae_batch: int = 64
    ae_learning_rate: float = 2e-3
    width: int = 512
    depth: int = 4
    steps: int = 1500
    batch: int = 128
    learning_rate: float = 2e-3
    cond_drop: float = 0.1
    ema: float = 0.995
    prediction: str = "v_prediction"
    timesteps: int = 1000
    betas: str = "squaredcos_cap_v2"

    def __post_init__(self) -> None:
        _require(("none", "shared", "per_task"), normalization=self.normalization)
        _require(("description", "examples", "images", "one_hot", "none"), condition=self.condition)
        _require(("v_prediction", "epsilon"), prediction=self.prediction)
        _require(("squaredcos_cap_v2", "linear"), betas=self.betas)
        _positive(latent=self.latent, ae_steps=self.ae_steps, ae_batch=self.ae_batch, width=self.width)
        _positive(depth=self.depth, steps=self.steps, batch=self.batch, timesteps=self.timesteps)
        if not 0 <= self.cond_drop < 1:
            raise ValueError(f"cond_drop is a share in [0, 1), got {self.cond_drop!r}")


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
        _require(("ddim", "dpm", "ddpm"), sampler=self.sampler)
        _positive(generated=self.generated, controls=self.controls, wrong=self.wrong, sampler_steps=self.sampler_steps)


@dataclass(frozen=True)
class Preset:
    """One size of the whole study."""

    name: str
    finetuning: Finetuning = field(default_factory=Finetuning)
    learning: Learning = field(default_factory=Learning)
    evaluating: Evaluating = field(default_factory=Evaluating)
    drawing: Drawing = field(default_factory=Drawing)


_SMOKE = Preset(
    "smoke",
    Finetuning(runs=2, keep=4, scale=0.04, curve=1, select_rows=32, report_rows=32, max_length=32, batch=8),
    Learning(latent=16, ae_steps=20, ae_batch=16, width=64, depth=2, steps=40, batch=32),
    Evaluating(generated=2, controls=2, wrong=1, sampler_steps=5),
    Drawing(variants=0, ae_steps=4, ae_batch=8, steps=4, batch=8),
)
_FULL = Preset(
    "full", Finetuning(suite="glue", runs=2, keep=50, learning_rate=2e-3, curve=8, select_rows=500, report_rows=1000)
)
_PAPER = Preset(
    "paper",
    Finetuning(
        suite="glue",
        base="bert-base-uncased",
        targets="attention",
        rank=4,
        alpha=16,
        runs=8,
        held_out=2,
        keep=50,
        scale=4.0,
        learning_rate=2e-3,
    ),
    Learning(latent=512, ae_steps=8000, steps=20000, width=1024),
    Evaluating(generated=50, controls=50, wrong=10),
)
_AUTHORS = Preset(
    "authors",
    Finetuning(
        suite="glue", base="bert-base-uncased", targets="attention", rank=1, runs=1, keep=200, scale=4.0,
        learning_rate=1e-4, weight_decay=0.1,
    ),
    Learning(
        normalization="per_task", latent=468, ae_steps=40_000, ae_batch=256, ae_learning_rate=1e-3,
        steps=48_000, batch=256, learning_rate=1e-3, cond_drop=0.0, ema=0.0, prediction="epsilon", betas="linear",
    ),
    Evaluating(generated=10, sampler="ddpm", sampler_steps=1000),
)  # fmt: skip
_LAPTOP = Preset(
    "laptop",
    Finetuning(runs=2, curve=3, select_rows=200, report_rows=400),
    Learning(ae_steps=700, steps=2500),
    evaluating=Evaluating(controls=5, wrong=1),
)
PRESETS: dict[str, Preset] = {each.name: each for each in (_SMOKE, _LAPTOP, _FULL, _PAPER, _AUTHORS)}
PARTS = ("finetuning", "learning", "evaluating")  # whose numbers `preset` can change
AUTHORS_ALPHA = {1: 8, 2: 8, 4: 16, 16: 32}  # the authors' alpha of each rank


def preset(name: str, **changes: Any) -> Preset:
    """Return a preset, with some of its numbers changed.

    Args:
        name: one of :data:`PRESETS`.
        **changes: fields of any of its three parts, as in ``rank=4, normalization="per_task"``.

    Raises:
        ValueError: if the name or a field is unknown, a field is in two parts, or a value is out of range.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    for change in changes:
        if (
            len(owners := [part for part in PARTS if change in {f.name for f in fields(getattr(PRESETS[name], part))}])
            > 1
        ):
            raise ValueError(
                f"{change} is a setting of {' and of '.join(owners)}; change it in one of them with dataclasses.replace"
            )
    parts: dict[str, Any] = {}
    for part in PARTS:
        current = getattr(PRESETS[name], part)
        mine = {f.name: changes.pop(f.name) for f in fields(current) if f.name in changes}
        parts[part] = replace(current, **mine)
    if changes:
        known = sorted(f.name for part in (Finetuning, Learning, Evaluating) for f in fields(part))
        raise ValueError(f"no setting {next(iter(changes))!r}; there are {', '.join(known)}")
    return Preset(name, **parts, drawing=PRESETS[name].drawing)
