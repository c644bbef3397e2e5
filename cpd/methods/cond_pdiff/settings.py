"""How autoencoder and denoiser learn a zoo, as validated data.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpd.runtime import checks


@dataclass(frozen=True)
class Learning:
    """How autoencoder and denoiser learn a zoo.

    Attributes:
        normalization: "none", "shared" (all tasks together) or "per_task".
        condition: "description", "examples", "images", "one_hot" or "none".
        encoder: sentence encoder of text conditions, "minilm" or any sentence-transformers name or folder.
        autoencoder: "linear" (principal components, found and not trained) or "convolutional".
        latent: most dimensions D of the latent; a linear autoencoder has no more than the rows allow and need.
        input_noise: that the autoencoder is made for, in units of normalized parameters.
        latent_noise: likewise on the latent, in units of its standard deviation.
        ae_steps: optimizer steps of a convolutional autoencoder.
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
    autoencoder: str = "linear"
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
        checks.one_of(("none", "shared", "per_task"), normalization=self.normalization)
        checks.one_of(("description", "examples", "images", "one_hot", "none"), condition=self.condition)
        checks.one_of(("linear", "convolutional"), autoencoder=self.autoencoder)
        checks.one_of(("v_prediction", "epsilon"), prediction=self.prediction)
        checks.one_of(("squaredcos_cap_v2", "linear"), betas=self.betas)
        checks.positive(latent=self.latent, ae_steps=self.ae_steps, ae_batch=self.ae_batch, width=self.width)
        checks.positive(depth=self.depth, steps=self.steps, batch=self.batch, timesteps=self.timesteps)
        checks.positive(ae_learning_rate=self.ae_learning_rate, learning_rate=self.learning_rate)
        checks.not_negative(cond_noise=self.cond_noise, input_noise=self.input_noise, latent_noise=self.latent_noise)
        checks.share(cond_drop=self.cond_drop, ema=self.ema)
