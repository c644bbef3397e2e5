"""What can be set in the study, as validated data: fine-tuning, learning, evaluating, and the small image model.

Nothing is built here and nothing is imported from the package; the numbers are unpacked by whoever needs them. Which
numbers make which size of the study is ``presets``' business.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def _require(choices: tuple[str, ...], **named: str) -> None:
    for name, value in named.items():
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, got {value!r}")


def _positive(**named: float) -> None:
    for name, value in named.items():
        if isinstance(value, bool) or not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value!r}")


def _not_negative(**named: float) -> None:
    for name, value in named.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be 0 or more, got {value!r}")


def _share(**named: float) -> None:
    for name, value in named.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is a share in [0, 1), got {value!r}")


@dataclass(frozen=True)
class Finetuning:
    """Which adapters the zoo is made of.

    Attributes:
        suite: task table, "packaged" or "glue"; of pictures "emoji", "few_emoji" (some of them), or "folder" for
            the one that ``CPD_ALBUM_DIR`` names.
        tasks: names within the suite; empty means all of them.
        base: base model, a name in ``cpd.domains.text.encoders.ENCODERS`` or a local folder; for pictures "emoji",
            or a PixArt pipeline by name or folder.
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
        _require(("packaged", "glue", "emoji", "few_emoji", "folder"), suite=self.suite)
        _require(("query_value", "attention"), targets=self.targets)
        _require(("cosine", "linear", "constant"), decay=self.decay)
        _positive(rank=self.rank, alpha=self.alpha, runs=self.runs, keep=self.keep, scale=self.scale, batch=self.batch)
        _positive(learning_rate=self.learning_rate, max_length=self.max_length, curve=self.curve)
        _positive(select_rows=self.select_rows, report_rows=self.report_rows)
        _not_negative(held_out=self.held_out, weight_decay=self.weight_decay)
        _share(dropout=self.dropout)


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
        _positive(variants=self.variants, steps=self.steps, styled_steps=self.styled_steps, batch=self.batch)


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
        cond_noise: on the conditions of a training row, in units of their standard deviation within its task; none
            where a task has one condition.
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
    cond_noise: float = 2.0
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
        _positive(ae_learning_rate=self.ae_learning_rate, learning_rate=self.learning_rate)
        _not_negative(cond_noise=self.cond_noise, input_noise=self.input_noise, latent_noise=self.latent_noise)
        _share(cond_drop=self.cond_drop, ema=self.ema)


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
