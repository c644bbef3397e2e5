"""Adapters that say in further tokens of every caption what the style is, beside a LoRA.

With a hypernetwork that writes no LoRA, this is one adapter for all styles that reads the condition.

Source: arXiv 2308.06721 (IP-Adapter: tokens of a picture beside those of a caption); one attention for both is ours.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cpd.adapters.layout import AdapterLayout
from cpd.domains.images.captions import Captions
from cpd.domains.images.domain import ImageDomain

TOKENS = 4  # as IP-Adapter has
NAME = "caption_tokens"


class CaptionTokens(ImageDomain):
    """Styles whose adapters are a LoRA and `TOKENS` tokens."""

    @cached_property
    def size_of_token(self) -> int:
        """Numbers of a token of a caption."""
        return self.captions(self.names[0], "train").tokens.shape[2]

    @property
    def layout(self) -> AdapterLayout:
        """Layout of the LoRA, and the tokens after it."""
        lora = super().layout
        shape = (TOKENS, self.size_of_token)
        return replace(lora, names=(*lora.names, NAME), shapes=(*lora.shapes, shape), dtypes=(*lora.dtypes, "float32"))

    def untrained(self) -> Tensor:
        """Return the (K,) vector of no update, with tokens of zeros."""
        return torch.cat([super().untrained(), torch.zeros(TOKENS * self.size_of_token)])

    def made_of(self, task: str) -> dict[str, Any]:
        """Return what a run of a style depends on, and that there are tokens."""
        return super().made_of(task) | {NAME: TOKENS}

    def heard(self, captions: Captions, vectors: Tensor) -> tuple[Captions, Tensor]:
        """Return the captions with the tokens of each adapter after them, and the LoRA of each."""
        size = TOKENS * self.size_of_token
        lora, tokens = vectors.split([vectors.shape[1] - size, size], dim=1)
        tokens = tokens.unflatten(1, (TOKENS, -1)).repeat_interleave(len(captions) // len(vectors), dim=0)
        mask = torch.ones_like(captions.mask[:, :1]).expand(-1, TOKENS)
        longer = Captions(torch.cat([captions.tokens, tokens], dim=1), torch.cat([captions.mask, mask], dim=1))
        return longer, lora
