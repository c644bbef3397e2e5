"""Small folders of adapters, as training scripts, hubs and notebooks leave them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cpd.adapters.diffusers_files import METADATA
from cpd.adapters.diffusers_files import WEIGHTS as DIFFUSERS
from cpd.adapters.peft_files import CONFIG, WEIGHTS

TASKS = {"movies": "Is a film review positive?", "spam": "Is this message spam?"}
PREFIX = "base_model.model."
MODULES = ("layers.0.q", "layers.0.v", "layers.1.q")
FIELDS: dict[str, Any] = {
    "peft_type": "LORA",
    "base_model_name_or_path": "tiny",
    "r": 2,
    "lora_alpha": 4,
    "bias": "none",
    "inference_mode": True,
    "init_lora_weights": True,
    "target_modules": ["q", "v"],
}


def matrices(seed: int, modules: Mapping[str, int] | tuple[str, ...] = MODULES) -> dict[str, Tensor]:
    """Return random A and B of some modules, of rank 2 or as given."""
    random = torch.Generator().manual_seed(seed)
    ranks = dict.fromkeys(modules, 2) if isinstance(modules, tuple) else modules
    state = {}
    for module, rank in ranks.items():
        state[f"{module}.lora_A.weight"] = torch.randn(rank, 6, generator=random)
        state[f"{module}.lora_B.weight"] = torch.randn(6, rank, generator=random)
    return state


def peft(folder: Path, state: Mapping[str, Tensor], **fields: Any) -> Path:
    """Write a PEFT folder; names without PEFT's prefix get it."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name if PREFIX in name else PREFIX + name: x.contiguous() for name, x in state.items()}
    save_file(named, folder / WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(FIELDS | fields))
    return folder


def diffusers(folder: Path, state: Mapping[str, Tensor], prefix: str = "transformer.", about: Any = None) -> Path:
    """Write a file of diffusers, under names with a prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt"} | ({METADATA: json.dumps(about)} if about else {})
    save_file({prefix + name: x.contiguous() for name, x in state.items()}, folder / DIFFUSERS, metadata)
    return folder


def conditions(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "conditions.yaml").write_text("".join(f"{task}: {text}\n" for task, text in TASKS.items()))


def zoo(root: Path, write: Callable[[Path, int], Any] | None = None) -> Path:
    """Write two tasks of one run of checkpoints 10 and 20, each by ``write`` (of a folder and a seed)."""
    conditions(root)
    for i, task in enumerate(TASKS):
        for step in (10, 20):
            folder = root / task / "run-0" / f"checkpoint-{step}"
            (write or (lambda folder, seed: peft(folder, matrices(seed))))(folder, 100 * i + step)
    return root


def checkpoints(root: Path) -> Iterator[Path]:
    return iter(sorted(path for path in root.glob("*/run-0/checkpoint-*") if path.is_dir()))


def rename(root: Path, change: Callable[[str], str]) -> None:
    """Write all weights again under other names."""
    for path in (*root.rglob(WEIGHTS), *root.rglob(DIFFUSERS)):
        save_file({change(name): x for name, x in load_file(path).items()}, path, {"format": "pt"})


def add(root: Path, tensors: Mapping[str, Tensor]) -> None:
    for path in (*root.rglob(WEIGHTS), *root.rglob(DIFFUSERS)):
        save_file(load_file(path) | dict(tensors), path, {"format": "pt"})


def drop(root: Path, unwanted: Callable[[str], bool]) -> None:
    for path in (*root.rglob(WEIGHTS), *root.rglob(DIFFUSERS)):
        save_file({name: x for name, x in load_file(path).items() if not unwanted(name)}, path, {"format": "pt"})


def change(root: Path, **fields: Any) -> None:
    """Change fields of all configs."""
    for path in root.rglob(CONFIG):
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
