"""LoRA files as diffusers' training scripts leave them, read as PEFT adapters.

There, one file ``pytorch_lora_weights.safetensors`` holds the matrices under names that begin with the part of the
pipeline (``transformer.``, ``unet.``) or with nothing, and the PEFT config, if at all, as text beside the tensors. What
becomes of state dict and config is ``adapters``' business.

Source: ``save_lora_weights`` and ``save_lora_adapter`` of diffusers 0.39, https://github.com/huggingface/diffusers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cpd.runtime import artifacts

WEIGHTS = "pytorch_lora_weights.safetensors"
METADATA = "lora_adapter_metadata"
PARTS = ("transformer", "unet")  # of a pipeline, that an adapter may belong to
OTHER_PARTS = ("text_encoder", "text_encoder_2", "prior")
SIDES = {"lora_A": "A", "lora_B": "B", "lora.down": "A", "lora.up": "B", "lora_down": "A", "lora_up": "B"}
MATRIX = re.compile(r"(?P<module>.+)\.(?P<side>lora_A|lora_B|lora\.down|lora\.up|lora_down|lora_up)\.weight$")


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read ``pytorch_lora_weights.safetensors`` as a PEFT state dict and the fields of a PEFT config.

    Args:
        folder: holds the file.

    Returns:
        Tensors under PEFT's names, and the config. Without a stored config every module's alpha is its ``alpha``
        tensor, or its rank, as diffusers has it.

    Raises:
        ValueError: if the file is damaged, holds a part of the pipeline that is not denoising, or a tensor that is
            neither A nor B nor alpha.
    """
    path = folder / WEIGHTS
    tensors = artifacts.read_tensors(path)
    stored = artifacts.read_metadata(path).get(METADATA)
    if others := [name for name in tensors if name.split(".")[0] in OTHER_PARTS]:
        raise ValueError(f"{path} also holds {others[0]}; save the adapter of the transformer or UNet alone")
    prefix = next((f"{part}." for part in PARTS if all(name.startswith(f"{part}.") for name in tensors)), "")
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    alphas = {name.removesuffix(".alpha"): float(named.pop(name)) for name in list(named) if name.endswith(".alpha")}
    state = {_peft_name(name, path): tensor for name, tensor in named.items()}
    return state, _stored(stored, prefix) if stored else _inferred(state, alphas)


def _peft_name(name: str, path: Path) -> str:
    if (match := MATRIX.fullmatch(name)) is None:
        raise ValueError(
            f"{path} holds {name!r}, which is neither A nor B of a LoRA under diffusers' names (lora_A, lora.down); "
            "convert the file with diffusers (load_lora_weights, then save_lora_weights)"
        )
    return f"base_model.model.{match['module']}.lora_{SIDES[match['side']]}.weight"


def _stored(text: str, prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in json.loads(text).items()}


def _inferred(state: Mapping[str, Tensor], alphas: Mapping[str, float]) -> dict[str, Any]:
    """Return the config that gives every module its own rank and alpha."""
    suffix = ".lora_A.weight"
    ranks = {
        name.removeprefix("base_model.model.").removesuffix(suffix): tensor.shape[0]
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
        "rank_pattern": {re.escape(module): own for module, own in ranks.items() if own != rank},
        "alpha_pattern": {re.escape(module): own for module, own in scales.items() if own != alpha},
    }


def _commonest(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None
