"""LoRA files of diffusers, read as PEFT adapters and written again.

There, one file ``pytorch_lora_weights.safetensors`` holds the matrices under names that begin with the part of the
pipeline (``transformer.``, ``unet.``), and the PEFT config, if at all, as text beside the tensors. Names of other
trainers are refused, each with its way out: their modules are called otherwise than the base model's.

Source: ``save_lora_weights`` and ``save_lora_adapter`` of diffusers 0.39, https://github.com/huggingface/diffusers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cpd.adapters.names import MATRIX, NAMED, PREFIX, module_of
from cpd.runtime import tensor_files

WEIGHTS = "pytorch_lora_weights.safetensors"
METADATA = "lora_adapter_metadata"
PARTS = ("transformer", "unet")  # of a pipeline, that an adapter may belong to
COMPONENT = re.compile(r"(transformer|unet|text_encoder|prior|decoder|controlnet|vae)(_\d+)?\.")
FOREIGN = {  # how the names of other trainers begin
    "lora_unet_": "kohya's trainers",
    "lora_te": "kohya's trainers",
    "lora_transformer_": "kohya's trainers",
    "lora_prior_": "kohya's trainers",
    "lycoris_": "LyCORIS",
    "diffusion_model.": "ComfyUI and the model's own code",
    "model.diffusion_model.": "the model's own code",
    "cond_stage_model.": "the model's own code",
}
SIDES = {"lora_A": "A", "lora_B": "B", "lora.down": "A", "lora.up": "B", "lora_down": "A", "lora_up": "B"}
PLACED = re.compile(r"(?P<module>.+)\.(?P<side>lora_A|lora_B|lora\.down|lora\.up|lora_down|lora_up)\.weight$")
# Where the modules of diffusers' denoisers begin, for files whose names have no part.
ROOT = re.compile(
    r"((single_)?transformer_blocks|blocks|layers|(down|up)_blocks|mid_block|proj_(in|out)|conv_(in|out)|pos_embed|"
    r"(x|context)_embedder|time_text_embed|(time|add)_embedding|norm_out|adaln_single|caption_projection)\."
)
CONVERT = "convert the file with diffusers: load_lora_weights, then save_lora_weights of the transformer or UNet alone"


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read a LoRA file as a PEFT state dict and the fields of a PEFT config.

    Args:
        path: of the file.

    Returns:
        Tensors under PEFT's names; the config; and the part of the pipeline, or "" where the file names none. Without a
        stored config every module's alpha is its ``alpha`` tensor, or its rank, as diffusers has it.

    Raises:
        ValueError: if the file is damaged, is another trainer's, holds several parts or one that does not denoise, or
            a tensor that is neither A nor B nor alpha.
    """
    tensors, about = tensor_files.read_tensors(path), tensor_files.read_metadata(path)
    part = _part(list(tensors), METADATA in about, path)
    cut = f"{part}." if part else ""
    named = {name.removeprefix(cut).removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    alphas = {name.removesuffix(".alpha"): named.pop(name) for name in list(named) if name.endswith(".alpha")}
    state = {_peft_name(name, path): tensor for name, tensor in named.items()}
    if stray := alphas.keys() - {MATRIX.sub(r"\g<module>", module_of(name)) for name in state}:
        raise ValueError(f"{path} holds {min(stray)}.alpha, but no LoRA of that module; save the adapter again")
    if METADATA in about:
        return state, _stored(about[METADATA], cut, path), part
    return state, _inferred(state, {module: _alpha(module, x, path) for module, x in alphas.items()}), part


def write(path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any], part: str) -> Path:
    """Write a LoRA file that ``load_lora_weights`` and `read` read as this adapter.

    Args:
        path: of the file.
        state: tensors by PEFT's names.
        config: fields of a PEFT config.
        part: of the pipeline.

    Returns:
        ``path``.

    Raises:
        ValueError: if the adapter has more than LoRA matrices, which such a file does not hold.
    """
    if others := [name for name in state if not MATRIX.match(name)]:
        raise ValueError(f"{others[0]} is no LoRA matrix, and diffusers' files hold nothing else; write PEFT's format")
    cut = f"{part}." if part else ""
    about = json.dumps({f"{cut}{key}": value for key, value in config.items()}, indent=2, sort_keys=True)
    tensors = {cut + module_of(name): tensor for name, tensor in state.items()}
    return tensor_files.write_tensors(path, tensors, {"format": "pt", METADATA: about})


def _part(names: list[str], described: bool, path: Path) -> str:
    for name in names:
        if trainer := next((who for start, who in FOREIGN.items() if name.startswith(start)), None):
            raise ValueError(f"{path} holds {name!r}, a name of {trainer} and of no module of diffusers; {CONVERT}")
    found = list(dict.fromkeys(match[0][:-1] if (match := COMPONENT.match(name)) else "" for name in names))
    if others := [part for part in found if part not in (*PARTS, "")]:
        raise ValueError(
            f"{path} also holds {_first(names, others[0])}; save the adapter of the transformer or UNet alone"
        )
    if len(found) > 1:
        which = " and ".join(part or _first(names, "").split(".")[0] for part in found)
        raise ValueError(f"{path} holds {which}: two parts of a pipeline; save the adapter of one part alone")
    if (part := found[0] if found else "") or described:
        return part
    strange = [name for name in names if not name.startswith(PREFIX) and not ROOT.match(name)]
    if strange:
        raise ValueError(
            f"{path} holds {strange[0]!r}: {strange[0].split('.')[0]!r} is no part of a pipeline and no module of "
            f"diffusers' denoisers; {CONVERT}, or put 'transformer.' or 'unet.' before each name"
        )
    return part


def _first(names: list[str], part: str) -> str:
    return next(name for name in names if (name.startswith(f"{part}.") if part else not COMPONENT.match(name)))


def _peft_name(name: str, path: Path) -> str:
    if "lora_magnitude_vector" in name or name.endswith(".dora_scale"):
        raise ValueError(f"{path} is a DoRA adapter ({name}), only plain LoRA can be learned; fine-tune without DoRA")
    if found := NAMED.search(PREFIX + name):
        raise ValueError(
            f"the adapter's name {found['adapter'] or found['head']!r} is inside the names of tensors in {path} "
            f"({name}); save the adapter with diffusers' save_lora_weights"
        )
    if (match := PLACED.fullmatch(name)) is None:
        raise ValueError(
            f"{path} holds {name!r}, which is neither A nor B of a LoRA under diffusers' names (lora_A, lora.down); "
            + CONVERT
        )
    return f"{PREFIX}{match['module']}.lora_{SIDES[match['side']]}.weight"


def _alpha(module: str, tensor: Tensor, path: Path) -> float:
    if tensor.numel() != 1 or not bool(torch.isfinite(tensor.float()).all()):
        raise ValueError(f"{path} holds {module}.alpha of shape {tuple(tensor.shape)}, expected one finite number")
    return float(tensor)


def _stored(text: str, cut: str, path: Path) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} stores a config that is not readable JSON ({error}); save the adapter again"
        ) from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} stores a config that is {type(config).__name__}; save the adapter again")
    return {"peft_type": "LORA"} | {key.removeprefix(cut): value for key, value in config.items()}


def _inferred(state: Mapping[str, Tensor], alphas: Mapping[str, float]) -> dict[str, Any]:
    """Return the config that gives every module its own rank and alpha, and no module that of another's ending."""
    suffix = ".lora_A.weight"
    ranks = {
        module_of(name).removesuffix(suffix): tensor.shape[0] if tensor.dim() else 0
        for name, tensor in state.items()
        if name.endswith(suffix)
    }
    scales = {module: alphas.get(module, float(rank)) for module, rank in ranks.items()}
    rank, alpha = (_commonest([*each.values()]) for each in (ranks, scales))
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(ranks),
        "rank_pattern": {f"^{re.escape(module)}": own for module, own in ranks.items() if own != rank},
        "alpha_pattern": {f"^{re.escape(module)}": own for module, own in scales.items() if own != alpha},
    }


def _commonest(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None
