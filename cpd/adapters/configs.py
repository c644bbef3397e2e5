"""Which PEFT configs describe a plain LoRA adapter, and what of them an adapter needs.

Fields that only say how the adapter was trained, on which machine or with which software are dropped; whatever would
make the adapter more than scaling * B @ A is refused by name. Tensors are the business of ``adapters``.

Source: the fields and their defaults are those of ``peft.LoraConfig`` 0.21, https://github.com/huggingface/peft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

import re2

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
MATRIX = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
PATTERN_MEMORY = 1 << 16  # bytes of a compiled pattern, enough for a hundred names; a match then takes milliseconds
# What PEFT adds to modules_to_save by itself.
HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}


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
    if (initialization := config.get("init_lora_weights", True)) not in HARMLESS_INITIALIZATIONS:
        raise ValueError(
            f"{where} was initialized with init_lora_weights={initialization!r}, which changed the base model; convert "
            "it to plain LoRA with save_pretrained(path_initial_model_for_weight_conversion=...)"
        )
    for key in sorted(config):
        if (config[key] and key not in KEPT and key not in IGNORED) or (key == "bias" and config[key] != "none"):
            raise ValueError(
                f"{where} uses {key}={config[key]!r}, only plain LoRA can be learned; fine-tune without {key}"
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


def resolve(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """Look a module up in ``rank_pattern`` or ``alpha_pattern``.

    Args:
        patterns: regular expression -> value; the first that matches the end of the name, from a dot on, wins.
        module: name in the base model.
        default: value of a module that no pattern matches.

    Raises:
        ValueError: if a pattern is no regular expression, or one whose time has no bound.

    Source: ``peft.utils.other.get_pattern_key``; the patterns are a stranger's, so RE2 matches them, in linear time.
    """
    return next((value for key, value in patterns.items() if _pattern(key).match(module)), default)


@cache
def _pattern(key: str) -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = PATTERN_MEMORY, False
    try:
        return re2.compile(rf"(.*\.)?({key})$", options)
    except re2.error as error:
        raise ValueError(
            f"{key[:80]!r} in rank_pattern or alpha_pattern cannot be matched in bounded time "
            f"({error.args[0].decode()}); write it shorter, without look-around and back-references"
        ) from None


def require_known(name: str, config: Mapping[str, Any], where: str) -> None:
    """Check that a tensor is a LoRA matrix or of a module that is saved whole.

    Args:
        name: of the tensor in ``adapter_model.safetensors``.
        config: fields that :func:`kept` returned.
        where: what errors call the adapter.

    Raises:
        ValueError: if it is neither.
    """
    saved = (*(config["modules_to_save"] or ()), *HEADS.get(config["task_type"] or "", ()))
    parents = [module_of(name).rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
    if not MATRIX.match(name) and not any(parent.endswith(module) for parent in parents for module in saved):
        raise ValueError(
            f"{name} in {where} is neither a LoRA matrix nor of modules_to_save; save the adapter without it "
            "(an embedding: save_pretrained(save_embedding_layers=False))"
        )


def module_of(name: str) -> str:
    """Return a name without PEFT's prefix: the name in the base model."""
    return name.removeprefix("base_model.model.")


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sorting key that puts layer 2 before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _plain(value: Any) -> Any:
    # Sets of names have no order and lists of names may repeat: PEFT appends the head each time it loads an adapter.
    if isinstance(value, set | list | tuple):
        return sorted(set(value))
    return value.value if isinstance(value, Enum) else dict(value) if isinstance(value, dict) else value
