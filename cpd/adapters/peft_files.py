"""Adapters as files: PEFT folders, read and written whole; and those of diffusers.

Source: the format is PEFT's (https://github.com/huggingface/peft, 0.21).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cpd.adapters import diffusers_files
from cpd.adapters.layout import AdapterLayout, require_finite
from cpd.adapters.names import MATRIX, unwrapped
from cpd.runtime import artifacts, tensor_files

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
POINTER = b"version https://git-lfs"
Say = Callable[[str], Any]


def silent(_: str) -> None:
    """Say nothing."""


def read_adapter(folder: Path, say: Say = silent) -> tuple[AdapterLayout, Tensor]:
    """Read a PEFT folder, or one that diffusers' training scripts left.

    Args:
        folder: holds ``adapter_config.json`` and ``adapter_model.safetensors``, or diffusers'
            ``pytorch_lora_weights.safetensors`` alone.
        say: is told what was changed or left out, in a sentence that names no folder.

    Returns:
        The layout, and the (K,) float32 vector.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or a pickle, the adapter is no plain LoRA or has names that PEFT would not
            load, or a weight is NaN or infinite.
    """
    folder = Path(folder)
    weights, state, config, part = _stored(folder, say)
    layout = AdapterLayout.of(state, config, str(folder), part)
    for name in layout.names:
        require_finite(name, state[name], str(weights))
    return layout, layout.flatten(state)


def is_adapter(names: list[str]) -> bool:
    """Tell whether files of these names are an adapter, in whatever state."""
    kept = (name for name in names if not name.endswith((".lock", ".metadata", ".incomplete")))
    return any(name.startswith((CONFIG, "adapter_model", "pytorch_lora_weights")) for name in kept)


def of_peft(folder: Path) -> bool:
    """Tell whether an adapter is in PEFT's format, and not in that of diffusers alone."""
    return os.path.lexists(folder / WEIGHTS) or not (folder / diffusers_files.WEIGHTS).exists()


def same_matrices(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same A and B, whatever their formats say of alpha."""
    first, second = (
        {name: x for name, x in _stored(folder, silent)[1].items() if MATRIX.match(name)} for folder in (one, other)
    )
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


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
    state = layout.unflatten(vector)
    with _replacing(folder) as partial:
        artifacts.write_bytes(partial / CONFIG, (json.dumps(_config(layout), indent=2) + "\n").encode())
        tensor_files.write_tensors(partial / WEIGHTS, state, {"format": "pt"})
    return Path(folder)


def write_diffusers(folder: Path, layout: AdapterLayout, vector: Tensor) -> Path:
    """Write a folder whose one file diffusers' ``load_lora_weights`` reads, with the adapter's own alpha.

    Args:
        folder: to create; one that holds nothing but an adapter is replaced.
        layout: of adapters that were read from such files.
        vector: (K,) parameters.

    Returns:
        ``folder``. Equal arguments give equal bytes.

    Raises:
        ValueError: if the vector does not fit the layout, or it is of no part of a pipeline or more than LoRA.
        FileExistsError: if ``folder`` holds anything else.
    """
    if not layout.part:
        raise ValueError(
            "these adapters were not read from diffusers' files, so that no part of a pipeline is known to which they "
            "belong; write PEFT's format"
        )
    state = layout.unflatten(vector)
    with _replacing(folder) as partial:
        diffusers_files.write(partial / diffusers_files.WEIGHTS, state, _config(layout), layout.part)
    return Path(folder)


def _config(layout: AdapterLayout) -> dict[str, Any]:
    return {"peft_type": "LORA", "inference_mode": True, **layout.config}


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of an adapter's when the block succeeds, else vanishes."""
    folder = Path(folder)
    own = {CONFIG, WEIGHTS, diffusers_files.WEIGHTS}
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - own):
        raise FileExistsError(f"{folder} exists and is no adapter; choose another folder or delete it first")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _stored(folder: Path, say: Say) -> tuple[Path, dict[str, Tensor], dict[str, Any], str]:
    """Return the file of weights; its tensors under PEFT's names; the config; and the part of a pipeline."""
    weights, other = folder / WEIGHTS, folder / diffusers_files.WEIGHTS
    if not os.path.lexists(weights):
        _refuse_other_files(folder)
        if other.exists():
            _require_fetched(other)
            if (folder / CONFIG).exists():
                say(f"left {CONFIG} alone beside {other.name}, which has rank and alpha of its own")
            return other, *diffusers_files.read(other)
    for path in (weights, folder / CONFIG):
        _require_fetched(path)
    tensors, config = tensor_files.read_tensors(weights), artifacts.read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise ValueError(
            f"{folder / CONFIG} holds {type(config).__name__}, not the fields of a PEFT config; save it again"
        )
    state, config = _unwrapped(tensors, config, weights, say)
    if other.exists():
        beside = diffusers_files.read(other)[0]
        if beside.keys() != state.keys() or not all(torch.equal(state[name], x) for name, x in beside.items()):
            raise ValueError(f"{folder} holds two adapters, {WEIGHTS} and {other.name}; keep the one that is meant")
        say(f"left out {other.name}: the same adapter as {WEIGHTS} beside it")
    return weights, state, config, ""


def _unwrapped(
    tensors: Mapping[str, Tensor], config: dict[str, Any], weights: Path, say: Say
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take off names what wrapped the model while it was trained."""
    state: dict[str, Tensor] = {}
    wrappers: dict[str, None] = {}
    for name, tensor in tensors.items():
        short, around = unwrapped(name)
        if short in state:
            raise ValueError(f"{weights} holds {short} twice, with and without {around}; save the adapter again")
        state[short] = tensor
        wrappers |= dict.fromkeys(around)
    if wrappers:
        say(f"took {' and '.join(wrappers)} off the names of tensors, which wrapped the model while it was trained")
        if isinstance(targets := config.get("target_modules"), list):
            config = config | {"target_modules": [unwrapped(str(target))[0] for target in targets]}
    return state, config


def _refuse_other_files(folder: Path) -> None:
    """Refuse weights that are there in another form than one safetensors file."""
    for path in sorted(folder.glob("adapter_model*")) + sorted(folder.glob("pytorch_lora_weights*")):
        if path.name.endswith(PICKLES):
            raise ValueError(f"{path} may be a pickle and is never opened; save the adapter again as {WEIGHTS}")
        if path.name.endswith(".index.json") or "-of-" in path.name:
            raise ValueError(
                f"{path} is of an adapter in several files; load them all and save their tensors as one {WEIGHTS}"
            )


def _require_fetched(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise ValueError(f"{path} is a git-lfs pointer and not the file itself; fetch it with `git lfs pull`")
