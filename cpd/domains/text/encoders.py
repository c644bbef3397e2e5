"""The base models that get adapters: a table of encoders, and the one way a LoRA model is made from them.

All runs of a base model begin at one seeded initialization, so that their vectors are comparable. Of a head with
several layers only the last linear layer is trained; what is left of it keeps the seeded initialization.

Source: peft (LoRA, arXiv 2106.09685); target modules of "attention" as in the authors' text code.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from cpd.domains.domain import model_name
from cpd.domains.settings import Finetuning
from cpd.domains.text.bases import MINILM, source
from cpd.domains.text.pooled import MeanPooled
from cpd.runtime import devices

FRESH = ("classifier", "pooler")  # modules that a pretrained encoder may lack; they get the seeded initialization


@dataclass(frozen=True)
class Architecture:
    """Where LoRA goes in one family of encoders.

    Attributes:
        query_value: modules of the choice "query_value".
        attention: modules of the choice "attention".
        head: the last linear layer of the classification head.
        bf16: whether its forward pass can be computed in bfloat16.
        fused: whether transformers has a fused kernel for its attention.
    """

    query_value: tuple[str, ...]
    attention: tuple[str, ...]
    head: str
    bf16: bool = True
    fused: bool = True


_BERT = ("query", "key", "value", "attention.output.dense")
ARCHITECTURES = {
    "bert": Architecture(("query", "value"), _BERT, "classifier"),
    "roberta": Architecture(("query", "value"), _BERT, "classifier.out_proj"),
    "deberta": Architecture(
        ("in_proj",),
        ("in_proj", "pos_proj", "pos_q_proj", "attention.output.dense"),
        "classifier",
        fused=False,
        bf16=False,  # its attention mask is the smallest float32, which bfloat16 cannot hold
    ),
}


@cache
def architecture(base: str) -> Architecture:
    """Return where LoRA goes in a base encoder.

    Raises:
        ValueError: if the encoder is unknown, or its architecture is not in :data:`ARCHITECTURES`.
    """
    kind = AutoConfig.from_pretrained(source(base)).model_type
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"{base} is a {kind} model; LoRA targets are known for {known}")
    return ARCHITECTURES[kind]


def tokenizer(base: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a base encoder."""
    return AutoTokenizer.from_pretrained(source(base))


def lora_model(spec: Finetuning, outputs: int, training: bool) -> PeftModel:
    """Make a base encoder with a fresh adapter: the same one for every call with equal arguments.

    Args:
        spec: base, targets, rank, alpha, dropout and the seed of the initialization.
        outputs: logits of the head.
        training: whether gradients will be asked of it.

    Returns:
        A PEFT model whose trainable parameters are LoRA's A and B and the head's last linear layer. The base model's
        own dropout is off (ours: a third of the time of a step on a CPU); LoRA's is ``spec.dropout``.

    Raises:
        ValueError: if the encoder is unknown or incomplete, or its architecture is not in :data:`ARCHITECTURES`.
    """
    where, place = source(spec.base), architecture(spec.base)
    if spec.pooling == "mean":
        return _mean_pooled(spec, outputs, training)
    config = AutoConfig.from_pretrained(where, num_labels=outputs)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "classifier_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(spec.init_seed)
        base, about = AutoModelForSequenceClassification.from_pretrained(
            where, config=config, attn_implementation=_attention(place, training), output_loading_info=True
        )
        base.name_or_path = public_name(spec.base)
        model = get_peft_model(base, _lora_config(spec, place, _fresh(base, about["missing_keys"], spec.base)))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or (".modules_to_save." in name and _is_head(name, place))
    return model


def _mean_pooled(spec: Finetuning, outputs: int, training: bool) -> PeftModel:
    place = architecture(spec.base)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(spec.init_seed)
        base = MeanPooled(source(spec.base), outputs, _attention(place, training))
        base.config.name_or_path = base.name_or_path = public_name(spec.base)
        return get_peft_model(base, _lora_config(spec, place, ["classifier"]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what transformers says of missing weights (`_fresh` refuses what may not be missing), and its bars."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _attention(place: Architecture, training: bool) -> str:
    slow = training and devices.device().type == "cpu"  # there a fused backward pass takes half of a step's time
    return "sdpa" if place.fused and not slow else "eager"


def _fresh(base: PreTrainedModel, missing: Iterable[str], name: str) -> list[str]:
    """Return the modules that the base encoder's files do not hold: an adapter has to carry them to be complete."""
    fresh = {key.removeprefix(f"{base.base_model_prefix}.").split(".")[0] for key in missing}
    if strangers := sorted(fresh - set(FRESH)):
        raise ValueError(f"{name} holds no weights of {strangers[0]}; save the whole encoder with save_pretrained")
    return sorted(fresh | {"classifier"})


def _lora_config(spec: Finetuning, architecture: Architecture, fresh: list[str]) -> LoraConfig:
    return LoraConfig(
        task_type=TaskType.SEQ_CLS,
        base_model_name_or_path=public_name(spec.base),
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(getattr(architecture, spec.targets)),
        modules_to_save=fresh,
    )


def _is_head(name: str, architecture: Architecture) -> bool:
    last = architecture.head.removeprefix("classifier").strip(".")
    return name.split(".modules_to_save.default.")[1].startswith(f"{last}." if last else ("weight", "bias"))


def public_name(base: str) -> str:
    """Return the name under which others find a base encoder: never a path on this machine."""
    return MINILM if base == "minilm" else model_name(base)
