"""An encoder whose classification head reads the mean of all tokens.

transformers' own heads read the first token, which sentence encoders were never trained to fill: only of the mean do
texts that mean alike lie close, so only there can a head be written from what a class is called.

Source: arXiv 1908.10084 (mean pooling of Sentence-BERT); the scale, which gives an average coordinate size 1, is ours.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel
from transformers.modeling_outputs import SequenceClassifierOutput


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
