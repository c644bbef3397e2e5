"""Adapters as files: PEFT folders, read and written whole.

Source: the format is PEFT's (https://github.com/huggingface/peft, 0.21).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from torch import Tensor

from cpd.adapters import diffusers_files
from cpd.adapters.layout import AdapterLayout, require_finite
from cpd.runtime import artifacts

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def read_adapter(folder: Path) -> tuple[AdapterLayout, Tensor]:
    """Read a PEFT folder, or one that diffusers' training scripts left.

    Args:
        folder: holds ``adapter_config.json`` and ``adapter_model.safetensors``, or diffusers'
            ``pytorch_lora_weights.safetensors`` alone.

    Returns:
        The layout, and the (K,) float32 vector.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or a pickle, the adapter is no plain LoRA, or a weight is NaN or infinite.
    """
    folder = Path(folder)
    weights = folder / WEIGHTS
    if not os.path.lexists(weights) and (pickled := sorted(folder.glob("adapter_model.*"))):
        raise ValueError(f"{pickled[0]} may be a pickle and is never opened; save the adapter again as {WEIGHTS}")
    if not os.path.lexists(weights) and (folder / diffusers_files.WEIGHTS).exists():
        weights = folder / diffusers_files.WEIGHTS
        state, config = diffusers_files.read(folder)
    else:
        state, config = artifacts.read_tensors(weights), artifacts.read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise ValueError(
            f"{folder / CONFIG} holds {type(config).__name__}, not the fields of a PEFT config; save it again"
        )
    layout = AdapterLayout.of(state, config, str(folder))
    for name in layout.names:
        require_finite(name, state[name], str(weights))
    return layout, layout.flatten(state)


def write_adapter(folder: Path, layout: AdapterLayout, vector: Tensor) -> Path:
    """Write a PEFT folder that ``PeftModel.from_pretrained`` loads, whole or not at all.

    Args:
        folder: to create; one that holds nothing but an adapter is replaced.
        layout: names, shapes, dtypes and config.
        vector: (K,) parameters.

    Returns:
        ``folder``. Equal arguments give equal bytes.

    Raises:
        ValueError: if the vector does not fit the layout.
        FileExistsError: if ``folder`` holds anything else.
    """
    folder = Path(folder)
    state = layout.unflatten(vector)
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {CONFIG, WEIGHTS}):
        raise FileExistsError(f"{folder} exists and is no adapter; choose another folder or delete it first")
    config = {"peft_type": "LORA", "inference_mode": True, **layout.config}
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        artifacts.write_bytes(partial / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
        artifacts.write_tensors(partial / WEIGHTS, state, {"format": "pt"})
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
