"""A PixArt model: captions to pictures, by a diffusion transformer over the latents of an autoencoder.

The parts are ``diffusers``' own classes, in its folder layout; noise levels and sampling are ``diffusion``'s. What is
drawn, and how adapters come in, is not known here.

Symbols: n pictures, s pixels, latents (n, c, h, w), L caption tokens of E numbers.
Source: arXiv 2310.00426 (PixArt-alpha); arXiv 2112.10752 (latent diffusion); the small model's sizes are ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cpd.diffusion import Scheduler, diffusion_loss, guided, noise_generator, noised, sample, schedule
from cpd.domains.images.captions import CaptionEncoder, Captions
from cpd.runtime import artifacts, devices, tensor_files

SIZE = 32  # pixels of the small model's pictures
CHUNK = 64  # pictures that go through a network at a time


@dataclass(frozen=True)
class PixArt:
    """The parts of a text-to-image model.

    Attributes:
        transformer: diffusers' PixArtTransformer2DModel; predicts noise or velocity; LoRA goes here.
        autoencoder: diffusers' AutoencoderKL, or `PatchAutoencoder`; pictures <-> latents; never tuned.
        encode: captions -> embeddings; never tuned.
        prediction: "v_prediction" or "epsilon".
        betas: noise schedule, as in `denoiser.schedule`.
    """

    transformer: Any
    autoencoder: Any
    encode: CaptionEncoder
    prediction: str
    betas: str

    @property
    def null(self) -> Captions:
        """(1, L, E) the empty caption, for guidance."""
        return self.encode([""])

    @property
    def scheduler(self) -> Scheduler:
        """The noise levels that the transformer was trained on."""
        return schedule("ddpm", self.prediction, 1000, self.betas)

    @property
    def size(self) -> int:
        """Height and width of a picture, pixels."""
        stages = len(self.autoencoder.config.block_out_channels)
        return int(self.transformer.config.sample_size * 2 ** (stages - 1))

    @torch.no_grad()
    def latents(self, pictures: np.ndarray) -> Tensor:
        """Return (n, c, h, w) latents of (n, s, s, 3) uint8 pictures, in units in which they have variance 1."""
        vae = self.autoencoder.to(devices.device())
        chunks = torch.from_numpy(np.ascontiguousarray(pictures)).split(CHUNK)
        encoded = [vae.encode(as_signal(chunk).to(vae.device)).latent_dist.mode().cpu() for chunk in chunks]
        return torch.cat(encoded) * vae.config.scaling_factor

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> np.ndarray:
        """Return (n, s, s, 3) uint8 pictures of (n, c, h, w) latents."""
        vae = self.autoencoder.to(devices.device())
        chunks = (latents.to(vae.device) / vae.config.scaling_factor).split(CHUNK)
        decoded = torch.cat([vae.decode(chunk).sample for chunk in chunks])
        return ((decoded.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def loss(self, transformer: nn.Module, z: Tensor, captions: Captions, drop: float, g: torch.Generator) -> Tensor:
        """Return the denoising error of (n, c, h, w) latents under their captions, some of them replaced by the null.

        Args:
            transformer: the one of this model.
            z: latents.
            captions: n of them.
            drop: share of captions that are replaced.
            g: of timesteps, noise and dropped captions.
        """
        return diffusion_loss(partial(self._denoise, transformer), self.scheduler, z, captions, drop, g)

    def errors(
        self, transformer: nn.Module, z: Tensor, captions: Captions, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Return the denoising error of every group of latents under their captions.

        Args:
            transformer: one that carries an adapter for each group.
            z: (G, b, c, h, w) latents.
            captions: G b of them.
            generators: G, of timesteps and noise.

        Returns:
            (G,) means.
        """
        parts = [noised(self.scheduler, own, 0.0, each)[:3] for own, each in zip(z, generators, strict=True)]
        noisy, t, target = (torch.cat(each) for each in zip(*parts, strict=True))
        predicted = self._denoise(transformer, noisy, t, captions)
        return (predicted.float() - target).square().unflatten(0, (len(z), -1)).flatten(1).mean(dim=1)

    def draw(
        self,
        transformer: nn.Module,
        captions: Captions,
        seed: int,
        steps: int = 20,
        guidance: float = 1.0,
        numbers: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Draw one picture per caption, in float32; number i has the same noise whatever else is drawn beside it.

        Args:
            transformer: the one of this model, or a copy with adapters.
            captions: n of them.
            seed: of the noise.
            steps: calls of the transformer (DPM-Solver++).
            guidance: scale; 1 means off.
            numbers: of the pictures, n of them; 0, 1, ... where not given.

        Returns:
            (n, s, s, 3) uint8.
        """
        chosen, parts = numbers or range(len(captions)), range(0, len(captions), CHUNK)
        draw = partial(self.paint, transformer, seed=seed, steps=steps, guidance=guidance)
        return np.concatenate([draw(captions[i : i + CHUNK], numbers=chosen[i : i + CHUNK]) for i in parts])

    @torch.no_grad()
    def paint(
        self,
        transformer: nn.Module,
        captions: Captions,
        seed: int,
        steps: int,
        guidance: float = 1.0,
        *,
        numbers: Sequence[int],
    ) -> np.ndarray:
        """Draw as `draw` does, all pictures at once: what a transformer that carries adapters needs."""
        config, where = self.transformer.config, next(transformer.parameters()).device
        shape = (config.in_channels, config.sample_size, config.sample_size)
        noise = [noise_generator(seed, i) for i in numbers]
        denoise = guided(partial(self._denoise, transformer), guidance)
        scheduler = schedule("dpm", self.prediction, 1000, self.betas)
        return self.pictures(sample(denoise, scheduler, steps, captions.to(where), shape, noise, where))

    def _denoise(
        self, transformer: nn.Module, z: Tensor, t: Tensor, captions: Captions | None, dropped: Tensor | None = None
    ) -> Tensor:
        if captions is None:
            captions = self.null[[0] * len(z)]
        elif dropped is not None:
            null, keep = self.null.to(captions.mask.device), ~dropped.to(captions.mask.device)
            tokens = torch.where(keep[:, None, None], captions.tokens, null.tokens)
            captions = Captions(tokens, torch.where(keep[:, None], captions.mask, null.mask))
        told = captions.to(z.device)
        predicted: Tensor = transformer(
            z,
            encoder_hidden_states=told.tokens.to(z.dtype),
            encoder_attention_mask=told.mask.to(z.dtype),
            timestep=t,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return predicted[:, : z.shape[1]].to(z)  # a model that also predicts a variance puts it behind

    def save_pretrained(self, folder: Path) -> None:
        """Write transformer, autoencoder and noise schedule in the layout of a diffusers pipeline, in float16."""
        for name, network in (("transformer", self.transformer), ("vae", self.autoencoder)):
            config = json.loads(network.to_json_string())
            config.pop("_name_or_path", None)  # where it was loaded from, on this machine
            artifacts.write_json(folder / name / "config.json", config)
            half = {key: value.half() for key, value in network.state_dict().items()}
            tensor_files.write_tensors(folder / name / "diffusion_pytorch_model.safetensors", half)
        levels = {"prediction_type": self.prediction, "beta_schedule": self.betas, "num_train_timesteps": 1000}
        artifacts.write_json(folder / "scheduler" / "scheduler_config.json", levels)


def small(seed: int) -> PixArt:
    """Return an untrained small model: 32 px pictures, latents of 24 x 8 x 8, 2 million parameters."""
    from diffusers import PixArtTransformer2DModel  # takes seconds: only when pictures are made

    from cpd.domains.images.patches import PatchAutoencoder

    autoencoder = PatchAutoencoder()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = PixArtTransformer2DModel(
            num_attention_heads=4,
            attention_head_dim=32,
            in_channels=autoencoder.config.latent_channels,
            out_channels=autoencoder.config.latent_channels,
            num_layers=6,
            cross_attention_dim=128,
            sample_size=SIZE // autoencoder.encoder.stride[0],
            patch_size=1,
            caption_channels=384,
            use_additional_conditions=False,
        )
    _write_out_short_attention(transformer)
    return PixArt(transformer, autoencoder, CaptionEncoder("minilm"), "v_prediction", "squaredcos_cap_v2")


def from_pretrained(name: str) -> PixArt:
    """Load a PixArt model from a folder or, by name, from the hub.

    Args:
        name: what `PixArt.save_pretrained` wrote, or a PixArt pipeline of diffusers.

    Returns:
        The model; captions are read by the pipeline's own T5 where it has one, else by MiniLM.
    """
    from diffusers import AutoencoderKL, DDPMScheduler

    from cpd.domains.images.patches import PatchAutoencoder

    patches = AutoencoderKL.load_config(name, subfolder="vae")["_class_name"] == PatchAutoencoder.__name__
    kind = PatchAutoencoder if patches else AutoencoderKL
    autoencoder = kind.from_pretrained(name, subfolder="vae", torch_dtype=torch.float32)
    levels = DDPMScheduler.load_config(name, subfolder="scheduler")
    small_one = Path(name).is_dir() and not (Path(name) / "text_encoder").is_dir()
    encode = CaptionEncoder("minilm" if small_one else name)
    prediction = levels.get("prediction_type", "epsilon")
    return PixArt(transformer(name), autoencoder.eval(), encode, prediction, levels["beta_schedule"])


def transformer(name: str) -> Any:
    """Load the transformer alone of a PixArt model."""
    from diffusers import PixArtTransformer2DModel

    model = PixArtTransformer2DModel.from_pretrained(name, subfolder="transformer", torch_dtype=torch.float32)
    _write_out_short_attention(model)
    return model.eval()


def as_signal(pictures: Tensor) -> Tensor:
    """Return (n, 3, s, s) numbers in [-1, 1] of (n, s, s, 3) uint8 pictures."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def _write_out_short_attention(transformer: Any) -> None:
    """Use plain matrix products where they fit in memory: a fused kernel's backward pass is slow on a CPU."""
    from diffusers.models.attention_processor import AttnProcessor

    if transformer.config.sample_size // transformer.config.patch_size <= 16:
        transformer.set_attn_processor(AttnProcessor())
