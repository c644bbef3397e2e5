"""Which PEFT configs describe a plain LoRA adapter, and what of them an adapter needs.

Fields that only say how the adapter was trained, on which machine or with which software are dropped; whatever would
make the adapter more than scaling * B @ A is refused by name. Tensors are the business of ``adapters``.

Source: the fields and their defaults are those of ``peft.LoraConfig`` 0.21, https://github.com/huggingface/peft.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any

# Fields of adapter_config.json that a finished adapter needs, with PEFT's defaults, in the order in which two layouts
# are compared. Everything else must be absent, empty or in IGNORED.
KEPT: dict[str, Any] = {
    "base_model_name_or_path": None,
    "revision": None,
    "task_type": None,
    "r": 8,
    "lora_alpha": 8,
    "use_rslora": False,
    "target_modules": None,
    "exclude_modules": None,
    "modules_to_save": None,
    "layers_to_transform": None,
    "layers_pattern": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "fan_in_fan_out": False,
    "auto_mapping": None,
}
# Fields that matter only while training, or say which software wrote the file.
IGNORED = {"inference_mode", "lora_dropout", "init_lora_weights", "peft_version", "peft_type", "bias", "megatron_core"}
IGNORED |= {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config"}
# Initializations that leave the base model as it was; the others (pissa, olora, corda, loftq, lora_ga, mica) change it.
HARMLESS_INITIALIZATIONS = (True, False, None, "gaussian", "eva", "orthogonal")
CONVERTIBLE = ("pissa", "olora", "corda")  # of the others, those that PEFT turns into plain LoRA


def _name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple | set) and all(_name(each) for each in value)


def _rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _layers(value: Any) -> bool:
    return all(isinstance(each, int) for each in (value if isinstance(value, list) else [value]))


def _mapping(of: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, Mapping) and all(_name(key) and of(each) for key, each in value.items())


FITS: dict[str, Callable[[Any], bool]] = {
    "base_model_name_or_path": lambda value: isinstance(value, str),
    "revision": lambda value: isinstance(value, str),
    "task_type": lambda value: isinstance(value, str),
    "r": _rank,
    "lora_alpha": _number,
    "use_rslora": lambda value: isinstance(value, bool),
    "target_modules": lambda value: _name(value) or _names(value),
    "exclude_modules": lambda value: _name(value) or _names(value),
    "modules_to_save": _names,
    "layers_to_transform": _layers,
    "layers_pattern": lambda value: isinstance(value, str) or _names(value),
    "rank_pattern": partial(_mapping, _rank),
    "alpha_pattern": partial(_mapping, _number),
    "fan_in_fan_out": lambda value: isinstance(value, bool),
    "auto_mapping": lambda value: isinstance(value, dict),
}


def kept(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a PEFT config that a finished adapter needs.

    Args:
        config: fields of ``adapter_config.json``, or of ``LoraConfig.to_dict()``.
        where: what errors call the adapter.

    Returns:
        Every field of ``KEPT`` as a JSON value; lists of names sorted, the base model as a public name.

    Raises:
        ValueError: if this is no plain LoRA adapter; names the field.
    """
    kind = getattr(config.get("peft_type"), "value", config.get("peft_type"))
    if kind != "LORA":
        raise ValueError(
            f"{where} has peft_type {kind}, only LORA adapters can be learned; fine-tune with peft.LoraConfig"
        )
    if config.get("use_dora"):
        raise ValueError(
            f"{where} is a DoRA adapter (use_dora), only plain LoRA can be learned; fine-tune without DoRA"
        )
    if (initialization := config.get("init_lora_weights", True)) not in HARMLESS_INITIALIZATIONS:
        way = (
            "convert it to plain LoRA with save_pretrained(path_initial_model_for_weight_conversion=...)"
            if str(initialization).startswith(CONVERTIBLE)
            else "PEFT has no conversion to plain LoRA: fine-tune again with init_lora_weights=True"
        )
        raise ValueError(
            f"{where} was initialized with init_lora_weights={initialization!r}, which changed the base model; {way}"
        )
    for key in sorted(config):
        if (config[key] and key not in KEPT and key not in IGNORED) or (key == "bias" and config[key] != "none"):
            raise ValueError(
                f"{where} uses {key}={config[key]!r}, only plain LoRA can be learned; fine-tune without {key}"
            )
    for key in KEPT:
        if config.get(key) is not None and not FITS[key](config[key]):
            raise ValueError(
                f"{where} has {key}={str(config[key])[:80]!r} in its config, which PEFT never writes; save the "
                "adapter again with save_pretrained"
            )
    fields = {key: _plain(default if config.get(key) is None else config[key]) for key, default in KEPT.items()}
    return fields | {"base_model_name_or_path": public_name(fields["base_model_name_or_path"])}


def public_name(base: str | None) -> str | None:
    """Turn a base model's name or path into a name that says nothing about a machine.

    Args:
        base: ``name`` and ``organization/name`` stay; of a Hugging Face cache path the repository stays, of another
            path the last component.
    """
    if not base:
        return None
    if cached := re.search(r"models--([^/\\]+)[/\\]snapshots[/\\]", base):
        return cached[1].replace("--", "/")
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", base):
        return base
    parts = [part for part in re.split(r"[/\\]", base) if part not in ("", ".", "..", "~")]
    return parts[-1] if parts else None


def same_base(one: str | None, other: str | None) -> bool:
    """Tell whether two public names may be one base model: they are equal, or one lacks the part before the slash."""
    short = [name.split("/")[-1] for name in (one or "", other or "")]
    return one == other or (short[0] == short[1] and (one in short or other in short))


def _plain(value: Any) -> Any:
    # Sets of names have no order and lists of names may repeat: PEFT appends the head each time it loads an adapter.
    if isinstance(value, set | list | tuple):
        return sorted(set(value))
    return value.value if isinstance(value, Enum) else dict(value) if isinstance(value, dict) else value
