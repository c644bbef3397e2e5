"""The proof that a written adapter is loaded: PEFT reads it back onto an empty model of the written names and shapes.

PEFT passes over in silence what it cannot place. So nothing is taken on trust: what it placed is compared with what was
written, tensor by tensor.

Source: ours; ``PeftModel.from_pretrained`` of PEFT 0.21.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cpd.adapters.layout import AdapterLayout
from cpd.adapters.names import MATRIX, module_of
from cpd.adapters.peft_files import write_adapter

CONVOLUTIONS: dict[int, Any] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}  # by the number of dimensions of A


def require_loadable(layout: AdapterLayout, vector: Tensor) -> None:
    """Write an adapter, and check that PEFT loads every one of its tensors.

    Args:
        layout: names, shapes and config.
        vector: (K,) parameters.

    Raises:
        ValueError: if PEFT loads it otherwise, or not at all.
    """
    from peft import PeftModel, get_peft_model_state_dict

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty model
        written = write_adapter(Path(folder) / "adapter", layout, vector)
        try:
            loaded = PeftModel.from_pretrained(_empty(layout), str(written))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ValueError(f"PEFT does not load an adapter of this layout: {error}") from error
        found = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    for name, tensor in layout.unflatten(vector).items():
        if name not in found or not torch.equal(found[name].to(tensor), tensor):
            raise ValueError(
                f"PEFT would not load {name} of an adapter of this layout; check target_modules and modules_to_save of "
                "the adapters that it was learned from"
            )


class _Model(nn.Module):
    """A base model of which nothing is known but names of modules."""

    config: dict[str, Any] = {}
    is_gradient_checkpointing = is_activation_checkpointing = False
    prepare_inputs_for_generation = _prepare_encoder_decoder_kwargs_for_generation = None


def _empty(layout: AdapterLayout) -> nn.Module:
    """Return a model with the modules that the adapters enter or stand for, whose own weights take no memory."""
    shapes, model = dict(zip(layout.names, layout.shapes, strict=True)), _Model()
    for module, (a, b) in layout.pairs.items():
        _put(model, module, _layer(shapes[a], shapes[b], "lora_embedding_" in a))
    for name in layout.names:
        if not MATRIX.match(name):
            module, _, kind = module_of(name).rpartition(".")
            _put(model, module, nn.Module()).register_parameter(kind, _weight(shapes[name]))
    return model


def _layer(a: tuple[int, ...], b: tuple[int, ...], embedding: bool) -> nn.Module:
    layer: Any
    if embedding:
        layer = nn.Embedding(a[1], b[0], device="meta")
    elif len(a) in CONVOLUTIONS:
        layer = CONVOLUTIONS[len(a)](a[1], b[0], a[2:], bias=False, device="meta")
    else:
        layer = nn.Linear(a[1], b[0], bias=False, device="meta")
    layer.weight = _weight(tuple(layer.weight.shape))
    return layer


def _weight(shape: tuple[int, ...]) -> nn.Parameter:
    return nn.Parameter(torch.zeros(()).expand(shape), requires_grad=False)


def _put(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Put a layer where its name says, unless one is there, and return what is there."""
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in dict(model.named_children()):
            model.add_module(parent, nn.Module())
        model = model.get_submodule(parent)
    if last not in dict(model.named_children()):
        model.add_module(last, layer)
    return model.get_submodule(last)
