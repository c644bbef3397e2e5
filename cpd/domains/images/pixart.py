"""A PixArt model: captions to pictures, by a diffusion transformer over the latents of an autoencoder.

The parts are ``diffusers``' own classes, in its folder layout; noise levels and sampling are ``denoiser``'s. The small
model made here reads its captions with the packaged MiniLM; a pipeline from elsewhere brings its T5. What is drawn, and
how adapters come in, is not known here.

Symbols: n pictures, s pixels, latents (n, c, h, w), L caption tokens of E numbers.
Source: arXiv 2310.00426 (PixArt-alpha); arXiv 2112.10752 (latent diffusion); the small model's sizes are ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cpd.diffusion import diffusion_loss, guided, noise_generator, sample, schedule
from cpd.domains.text.encoders import source
from cpd.runtime import artifacts
from cpd.runtime.training import autocast

TOKENS = 16  # of a caption of the small model; longer ones are cut
SIZE = 32  # pixels of the small model's pictures
CHUNK = 64  # pictures that go through a network at a time


@dataclass(frozen=True)
class Captions:
    """Encoded captions.

    Attributes:
        tokens: (n, L, E) embeddings.
        mask: (n, L) 1 where there is a token, 0 where there is padding.
    """

    tokens: Tensor
    mask: Tensor

    def __getitem__(self, rows: Any) -> Captions:
        return Captions(self.tokens[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.tokens)


class CaptionEncoder(Protocol):
    def __call__(self, captions: Sequence[str]) -> Captions: ...


@dataclass(frozen=True)
class PixArt:
    """The parts of a text-to-image model.

    Attributes:
        transformer: diffusers' PixArtTransformer2DModel; predicts noise or velocity; LoRA goes here.
        autoencoder: diffusers' AutoencoderKL, or `PatchAutoencoder`; pictures <-> latents; never tuned.
        encode: captions -> embeddings; never tuned.
        prediction: "v_prediction" or "epsilon".
        betas: noise schedule, as in `denoiser.schedule`.
        null: (1, L, E) the empty caption, for guidance.
    """

    transformer: Any
    autoencoder: Any
    encode: CaptionEncoder
    prediction: str
    betas: str
    null: Captions

    @property
    def size(self) -> int:
        """Height and width of a picture, pixels."""
        stages = len(self.autoencoder.config.block_out_channels)
        return int(self.transformer.config.sample_size * 2 ** (stages - 1))

    @torch.no_grad()
    def latents(self, pictures: np.ndarray) -> Tensor:
        """Return (n, c, h, w) latents of (n, s, s, 3) uint8 pictures, in units in which they have variance 1."""
        chunks = torch.from_numpy(np.ascontiguousarray(pictures)).split(CHUNK)
        encoded = [self.autoencoder.encode(as_signal(chunk)).latent_dist.mode() for chunk in chunks]
        return torch.cat(encoded) * self.autoencoder.config.scaling_factor

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> np.ndarray:
        """Return (n, s, s, 3) uint8 pictures of (n, c, h, w) latents."""
        chunks = (latents / self.autoencoder.config.scaling_factor).split(CHUNK)
        decoded = torch.cat([self.autoencoder.decode(chunk).sample for chunk in chunks])
        return ((decoded.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def loss(self, transformer: nn.Module, z: Tensor, captions: Captions, drop: float, g: torch.Generator) -> Tensor:
        """Return the denoising error of (n, c, h, w) latents under their captions, some of them replaced by the null.

        Args:
            transformer: the one of this model, or a copy with adapters.
            z: latents.
            captions: n of them.
            drop: share of captions that are replaced.
            g: of timesteps, noise and dropped captions.
        """
        scheduler = schedule("ddpm", self.prediction, 1000, self.betas)
        return diffusion_loss(partial(self._denoise, transformer), scheduler, z, captions, drop, g)

    def draw(
        self,
        transformer: nn.Module,
        captions: Captions,
        seed: int,
        steps: int = 20,
        guidance: float = 1.0,
        numbers: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Draw one picture per caption; number i starts from the same noise whatever else is drawn beside it.

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
        config = self.transformer.config
        shape = (config.in_channels, config.sample_size, config.sample_size)
        noise, drawn = [noise_generator(seed, i) for i in numbers or range(len(captions))], []
        for start in range(0, len(captions), CHUNK):
            here = slice(start, start + CHUNK)
            denoise = guided(partial(self._denoise, transformer), guidance)
            scheduler = schedule("dpm", self.prediction, 1000, self.betas)
            with autocast("auto", next(transformer.parameters()).device):
                z = sample(denoise, scheduler, steps, captions[here], shape, noise[here])
            drawn.append(self.pictures(z))
        return np.concatenate(drawn)

    def _denoise(
        self, transformer: nn.Module, z: Tensor, t: Tensor, captions: Captions | None, dropped: Tensor | None = None
    ) -> Tensor:
        if captions is None:
            captions = self.null[[0] * len(z)]
        elif dropped is not None:
            keep = ~dropped.to(captions.mask.device)
            tokens = torch.where(keep[:, None, None], captions.tokens, self.null.tokens)
            captions = Captions(tokens, torch.where(keep[:, None], captions.mask, self.null.mask))
        device = next(transformer.parameters()).device
        predicted: Tensor = transformer(
            z.to(device),
            encoder_hidden_states=captions.tokens.to(device, z.dtype),
            encoder_attention_mask=captions.mask.to(device, z.dtype),
            timestep=t.to(device),
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
            artifacts.write_tensors(folder / name / "diffusion_pytorch_model.safetensors", half)
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
    encode = _minilm()
    _write_out_short_attention(transformer)
    return PixArt(transformer, autoencoder, encode, "v_prediction", "squaredcos_cap_v2", encode([""]))


def from_pretrained(name: str) -> PixArt:
    """Load a PixArt model from a folder or, by name, from the hub.

    Args:
        name: what `PixArt.save_pretrained` wrote, or a PixArt pipeline of diffusers.

    Returns:
        The model; captions are read by the pipeline's own T5 where it has one, else by MiniLM.
    """
    from diffusers import AutoencoderKL, DDPMScheduler, PixArtTransformer2DModel

    from cpd.domains.images.patches import PatchAutoencoder

    transformer = PixArtTransformer2DModel.from_pretrained(name, subfolder="transformer", torch_dtype=torch.float32)
    _write_out_short_attention(transformer)
    patches = AutoencoderKL.load_config(name, subfolder="vae")["_class_name"] == PatchAutoencoder.__name__
    kind = PatchAutoencoder if patches else AutoencoderKL
    autoencoder = kind.from_pretrained(name, subfolder="vae", torch_dtype=torch.float32)
    levels = DDPMScheduler.load_config(name, subfolder="scheduler")
    encode = _minilm() if Path(name).is_dir() and not (Path(name) / "text_encoder").is_dir() else _t5(name)
    prediction = levels.get("prediction_type", "epsilon")
    return PixArt(transformer.eval(), autoencoder.eval(), encode, prediction, levels["beta_schedule"], encode([""]))


def as_signal(pictures: Tensor) -> Tensor:
    """Return (n, 3, s, s) numbers in [-1, 1] of (n, s, s, 3) uint8 pictures."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def _write_out_short_attention(transformer: Any) -> None:
    """Use plain matrix products where they fit in memory: a fused kernel's backward pass is slow on a CPU."""
    from diffusers.models.attention_processor import AttnProcessor

    if transformer.config.sample_size // transformer.config.patch_size <= 16:
        transformer.set_attn_processor(AttnProcessor())


def _minilm() -> CaptionEncoder:
    from transformers import AutoModel, AutoTokenizer

    where = source("minilm")
    return partial(_encode, AutoTokenizer.from_pretrained(where), AutoModel.from_pretrained(where).eval(), TOKENS)


def _t5(name: str) -> CaptionEncoder:
    from transformers import AutoTokenizer, T5EncoderModel

    model = T5EncoderModel.from_pretrained(name, subfolder="text_encoder").eval()
    return partial(_encode, AutoTokenizer.from_pretrained(name, subfolder="tokenizer"), model, 120)


@torch.no_grad()
def _encode(tokenizer: Callable[..., Any], model: nn.Module, length: int, captions: Sequence[str]) -> Captions:
    tokens: list[Tensor] = []
    masks: list[Tensor] = []
    for start in range(0, len(captions), CHUNK):
        batch = tokenizer(
            list(captions[start : start + CHUNK]),
            padding="max_length",
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        tokens.append(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state)
        masks.append(batch["attention_mask"])
    return Captions(torch.cat(tokens), torch.cat(masks))
