"""Names of tensors: which ones PEFT finds on a base model, and what it would pass over in silence.

PEFT loads ``base_model.model.MODULE.lora_A.weight`` where the config names MODULE, and leaves out what is named
otherwise without a word: an adapter of such names would do nothing. What wraps a model while it is trained is taken off
a name; what cannot be placed is refused, each kind with its cause and the way out.

Source: ``get_peft_model_state_dict`` and ``inspect_matched_modules`` of PEFT 0.21,
https://github.com/huggingface/peft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cpd.adapters.patterns import compiled

PREFIX = "base_model.model."
AROUND = ("_orig_mod", "module", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
INSIDE = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # compiled, sharded, recomputed modules
MATRIX = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
NAMED = re.compile(
    r"\.lora_(embedding_)?[AB]\.(?!weight$)(?P<adapter>\w+)(\.weight)?$|\.modules_to_save\.(?P<head>\w+)\."
)
# What PEFT adds to modules_to_save by itself.
HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}
EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "word_embeddings", "shared")


def unwrapped(name: str) -> tuple[str, tuple[str, ...]]:
    """Take off a name what wrapped the model while it was trained.

    Args:
        name: of a tensor in a file.

    Returns:
        The name without ``torch.compile``'s, DataParallel's, FSDP's and checkpointing's parts, and these parts.
    """
    before, prefix, after = name.rpartition(PREFIX)
    around = before.rstrip(".").split(".") if before else []
    if (before and not before.endswith(".")) or any(part not in AROUND for part in around):
        return name, ()
    parts = after.split(".")
    while len(parts) > 1 and parts[0] == "module":
        around.append(parts.pop(0))
    around += [part for part in parts if part in INSIDE]
    if not prefix and not around:
        return name, ()
    return prefix + ".".join(part for part in parts if part not in INSIDE), tuple(dict.fromkeys(around))


def module_of(name: str) -> str:
    """Return a name without PEFT's prefix: the name in the base model."""
    return name.removeprefix(PREFIX)


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sorting key that puts layer 2 before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def targeted(module: str, targets: Any) -> bool:
    """Tell whether a config's ``target_modules`` name a module of the base model, as PEFT reads them.

    Args:
        module: name in the base model.
        targets: list of names or endings of names, a pattern of whole names, "all-linear", or None for PEFT's own.
    """
    if targets is None or targets == "all-linear":
        return True
    if isinstance(targets, str):
        return compiled(targets).fullmatch(module) is not None
    return any(module == target or module.endswith(f".{target}") for target in targets)


def require_placed(state: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> None:
    """Check that each tensor is a LoRA matrix, or of a module that is saved whole, that PEFT would load.

    Args:
        state: tensors by name, without wrappers.
        config: fields that ``configs.kept`` returned.
        where: what errors call the adapter.

    Raises:
        ValueError: if one is empty, belongs to another method, or has a name that PEFT would pass over.
    """
    for name, tensor in state.items():
        _require_lora(name, tensor, where)
    saved = (*(config["modules_to_save"] or ()), *HEADS.get(config["task_type"] or "", ()))
    others = []
    for name in state:
        if match := MATRIX.match(name):
            _require_target(module_of(match["module"]), config["target_modules"], where)
        elif not any(parent.endswith(module) for parent in _parents(name) for module in saved):
            others.append(name)
    if others:
        _refuse(others, where)


def _require_lora(name: str, tensor: Tensor, where: str) -> None:
    if not tensor.numel():
        raise ValueError(
            f"{name} in {where} is empty: it was saved by one process of DeepSpeed ZeRO-3 or FSDP without gathering "
            "the others' parts; save it again with accelerator.get_state_dict(model) as the state_dict"
        )
    if "lora_magnitude_vector" in name or "dora_scale" in name:
        raise ValueError(f"{where} is a DoRA adapter ({name}), only plain LoRA can be learned; fine-tune without DoRA")
    if found := NAMED.search(name):
        raise ValueError(
            f"the adapter's name {found['adapter'] or found['head']!r} is inside the names of tensors in {where} "
            f"({name}): this is the model's state dict; save the adapter with PeftModel.save_pretrained"
        )
    if not name.startswith(PREFIX):
        raise ValueError(
            f"{name} in {where} begins with {name.split('.')[0]!r}, not with {PREFIX!r}: PEFT would load nothing of "
            "it; save the PeftModel itself with save_pretrained, and not a model around it or inside it"
        )
    module = module_of(name)
    first = module.split(".")[0]
    if PREFIX in module or first in ("diffusion_model", "base_model"):
        raise ValueError(
            f"{name} in {where} has {first!r} after {PREFIX!r}, which no base model has; save the adapter again from a "
            "base model that is wrapped once"
        )


def _require_target(module: str, targets: Any, where: str) -> None:
    if not targeted(module, targets):
        said = targets if isinstance(targets, str) else ", ".join(targets)
        raise ValueError(
            f"{where} holds a LoRA of {module}, which target_modules ({said[:200]}) does not name: PEFT would load "
            "nothing of it; add the module to target_modules in adapter_config.json"
        )


def _parents(name: str) -> list[str]:
    """Return the modules that a tensor lies in, the innermost first."""
    return [module_of(name).rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]


def _refuse(others: list[str], where: str) -> None:
    """Refuse tensors that are neither LoRA nor saved whole; all are named, so that one correction is enough."""
    modules = list(dict.fromkeys(_parents(name)[0].rsplit(".", 1)[-1] for name in others))
    listed = " and ".join(repr(module) for module in modules)
    if set(modules) <= set(EMBEDDINGS):
        raise ValueError(
            f"{others[0]} in {where} is of the base model's vocabulary, which PEFT saves when it was resized; where "
            f"rows were added, list {listed} in modules_to_save of adapter_config.json: they are then learned whole. "
            "Where none were, save the adapter with save_pretrained(save_embedding_layers=False)"
        )
    raise ValueError(
        f"{others[0]} in {where} is neither a LoRA matrix nor of modules_to_save; list {listed} in modules_to_save of "
        "adapter_config.json, or save the adapter without"
    )
