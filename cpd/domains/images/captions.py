"""Captions as embeddings: encoded once, kept as artifacts, so that an encoder is loaded only for what is new.

The small model reads its captions with the packaged MiniLM; a pipeline from elsewhere brings its T5.

Symbols: n captions, L tokens of E numbers. Source: arXiv 2310.00426 (T5 of PixArt); the rest is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cpd.domains.domain import model_identity
from cpd.domains.text.bases import source
from cpd.runtime import artifacts, devices, tensor_files

TOKENS = {"minilm": 16}  # of a caption of the small model; longer ones are cut
T5_TOKENS = 120
CHUNK = 64  # captions that go through an encoder at a time


@dataclass(frozen=True)
class Captions:
    """Encoded captions.

    Attributes:
        tokens: (n, L, E) embeddings.
        mask: (n, L) 1 where there is a token, 0 where there is padding.
    """

    tokens: Tensor
    mask: Tensor

    def __getitem__(self, rows: Any) -> Captions:
        return Captions(self.tokens[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> Captions:
        """Return the captions on a device."""
        return Captions(self.tokens.to(device), self.mask.to(device))


class CaptionEncoder:
    """Read captions, or find those that were read before.

    Args:
        name: "minilm", or a PixArt pipeline with ``text_encoder`` and ``tokenizer``, by name or folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: dict[tuple[str, ...], Captions] = {}

    def __call__(self, captions: Sequence[str]) -> Captions:
        """Return n encoded captions, on the CPU; each text is encoded once."""
        once = {text: i for i, text in enumerate(dict.fromkeys(captions))}
        if (key := tuple(once)) not in self._known:
            spec = {"encoder": self._identity, "captions": list(key), "device": devices.device().type}
            folder = artifacts.address("captions", spec)
            with artifacts.making(folder, spec) as partial:
                if partial:
                    encoded = self._encode(list(key))
                    tensors = {"tokens": encoded.tokens, "mask": encoded.mask}
                    tensor_files.write_tensors(partial / "captions.safetensors", tensors)
            self._known[key] = Captions(**tensor_files.read_tensors(folder / "captions.safetensors"))
        return self._known[key][[once[text] for text in captions]]

    @cached_property
    def _identity(self) -> str:
        return self.name if self.name in TOKENS else model_identity(self.name, self.name)

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer, T5EncoderModel

        if self.name in TOKENS:
            where = source(self.name)
            return AutoTokenizer.from_pretrained(where), AutoModel.from_pretrained(where).eval()
        model = T5EncoderModel.from_pretrained(self.name, subfolder="text_encoder")
        return AutoTokenizer.from_pretrained(self.name, subfolder="tokenizer"), model.eval()

    @torch.no_grad()
    def _encode(self, captions: list[str]) -> Captions:
        tokenizer, model = self._parts
        where = devices.device()
        model.to(where)
        tokens: list[Tensor] = []
        masks: list[Tensor] = []
        for start in range(0, len(captions), CHUNK):
            batch = tokenizer(
                captions[start : start + CHUNK],
                padding="max_length",
                truncation=True,
                max_length=TOKENS.get(self.name, T5_TOKENS),
                return_tensors="pt",
            )
            ids, mask = batch["input_ids"].to(where), batch["attention_mask"]
            tokens.append(model(input_ids=ids, attention_mask=mask.to(where)).last_hidden_state.cpu())
            masks.append(mask)
        return Captions(torch.cat(tokens), torch.cat(masks))
