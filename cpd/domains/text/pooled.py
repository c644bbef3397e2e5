"""An encoder whose classification head reads the mean of all tokens.

transformers' own heads read the first token, which sentence encoders were never trained to fill: only of the mean do
texts that mean alike lie close, so only there can a head be written from what a class is called.

Source: arXiv 1908.10084 (mean pooling of Sentence-BERT); the scale, which gives an average coordinate size 1, is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel
from transformers.modeling_outputs import SequenceClassifierOutput

from cpd.adapters.layout import AdapterLayout
from cpd.adapters.peft_files import read_adapter
from cpd.domains.text.bases import source


class MeanPooled(nn.Module):
    """An encoder, and one linear layer on the mean of its last layer: what a PEFT adapter of pooling "mean" is put on.

    Args:
        where: name or folder of the encoder.
        labels: logits of the head.
        attention: transformers' name of the kernel of the attention; None leaves the choice to it.

    Raises:
        ValueError: if the encoder's files are not whole.
    """

    def __init__(self, where: str, labels: int, attention: str | None = None) -> None:
        super().__init__()
        self.name_or_path = where
        self.config = AutoConfig.from_pretrained(where, num_labels=labels)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            setattr(self.config, name, 0.0)
        self.encoder, about = AutoModel.from_pretrained(
            where, config=self.config, attn_implementation=attention, output_loading_info=True
        )
        if strangers := sorted(name for name in about["missing_keys"] if not name.startswith("pooler.")):
            raise ValueError(f"{where} holds no weights of {strangers[0]}; save the whole encoder with save_pretrained")
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        self.classifier = nn.Linear(self.config.hidden_size, labels)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Any) -> SequenceClassifierOutput:
        """Return (b, labels) logits of (b, L) tokens."""
        others = {name: x for name, x in others.items() if name == "token_type_ids"}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **others).last_hidden_state
        mask = attention_mask[..., None].to(hidden)
        mean = functional.normalize((hidden * mask).sum(dim=1).float(), dim=1)  # of any length, so no division
        return SequenceClassifierOutput(logits=self.classifier((mean * mean.shape[1] ** 0.5).to(hidden)))


def load(base: Path | str, adapter: Path | str) -> PeftModel:
    """Load a base encoder with an adapter of pooling "mean", ready to use.

    Its tokenizer is ``AutoTokenizer.from_pretrained(model.base_model.model.name_or_path)``.

    Args:
        base: name of the encoder that the adapter was written for, or its folder.
        adapter: folder of the adapter.

    Returns:
        The PEFT model, without dropout; called with tokens it returns ``logits``.

    Raises:
        FileNotFoundError: if a file of the adapter is missing.
        ValueError: if there is no such encoder, or the adapter is for another one or another pooling.
    """
    layout, _ = read_adapter(Path(adapter))
    model = MeanPooled(source(str(base)), _labels(layout, adapter))
    try:
        return PeftModel.from_pretrained(model, str(adapter)).eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{adapter} does not fit {base}; load it onto {layout.config['base_model_name_or_path']}, for which it was "
            f"written ({' '.join(str(error).split())[:200]})"
        ) from error


def _labels(layout: AdapterLayout, adapter: Path | str) -> int:
    """Return how many logits an adapter's head has."""
    shapes = {name.rpartition("classifier.")[2]: shape for name, shape in zip(layout.names, layout.shapes, strict=True)}
    if "weight" not in shapes:
        raise ValueError(
            f"{adapter} has no head of one linear layer named classifier, as adapters of pooling 'mean' have; load it "
            "with PeftModel.from_pretrained onto the model that it was trained with"
        )
    return shapes["weight"][0]
