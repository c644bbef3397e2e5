"""Where this process computes, and in which precision.

Everything that is trained, drawn or scored follows ``device``; vectors come back to the CPU only to be stored. Random
numbers are drawn on the CPU, from a seed, and moved; where that would cost more than the step itself (masks of dropout)
they are drawn on the device, and a GPU's are others than a CPU's.

Source: ours.
"""

from __future__ import annotations

import os

import torch

KINDS = ("cpu", "cuda", "mps")


def device() -> torch.device:
    """Return the device that ``CPD_DEVICE`` names; where it names none CUDA, MPS or the CPU, whichever there is.

    Raises:
        ValueError: if it names no device, or one that this machine has not got.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not (named := os.environ.get("CPD_DEVICE")):
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    kind, _, number = named.partition(":")
    if kind not in KINDS or not (number.isdecimal() or ":" not in named):
        raise ValueError(f"CPD_DEVICE is {named!r}, which is no device; name cpu, cuda, cuda:1 or mps, or unset it")
    if not there[kind] or (kind == "cuda" and int(number or 0) >= torch.cuda.device_count()):
        raise ValueError(f"CPD_DEVICE is {named!r}, which this machine has not got; unset it, or name cpu")
    return torch.device(named)


def precision(where: torch.device | None = None) -> str:
    """Return what is trained in: "bf16" where a device has instructions for it, else "fp32".

    Args:
        where: the device; that of this process where it is not given. AMX or AVX-512 on a CPU, Ampere and later GPUs
            compute in bfloat16.
    """
    where = where or device()
    if where.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if where.type == "mps":
        return "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "fp32"


def autocast(chosen: str, where: torch.device) -> torch.autocast:
    """Return the context in which ``where`` computes with a precision ("fp32", "bf16" or "auto")."""
    chosen = precision(where) if chosen == "auto" else chosen
    return torch.autocast(where.type, torch.bfloat16, enabled=chosen == "bf16")


def deterministic() -> None:
    """Ask a GPU for kernels that give the same bytes each time; on the CPU all of ours do."""
    if device().type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # takes time
        torch.use_deterministic_algorithms(True, warn_only=True)


def seed(where: torch.device, number: int) -> None:
    """Seed torch's global random numbers; on a CPU its own only, since seeding a GPU that is not there takes time."""
    if where.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def generator_on(where: torch.device, given: torch.Generator) -> torch.Generator:
    """Return random numbers on a device: on the CPU the given ones, elsewhere others that follow from them."""
    if where.type == "cpu":
        return given
    seed = int(torch.randint(2**62, (1,), generator=given))
    return torch.Generator(where).manual_seed(seed)
