"""Texts as tokens: encoded once, cut into padded batches without the tokenizer.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Tokens:
    """Encoded texts.

    Attributes:
        arrays: name of the model's input -> (n, L) integers, padded on the right.
        padding: name of the model's input -> what it is padded with.
        lengths: (n,) tokens of each text.
    """

    arrays: dict[str, np.ndarray]
    padding: dict[str, int]
    lengths: np.ndarray

    def cut(self, name: str, rows: np.ndarray, length: int) -> np.ndarray:
        """Return one input of some texts, (b, length)."""
        own = self.arrays[name][rows, :length]
        missing = length - own.shape[1]
        return np.pad(own, ((0, 0), (0, missing)), constant_values=self.padding[name]) if missing else own


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[tuple[str, ...]], longest: int) -> Tokens:
    """Encode texts, or pairs of texts.

    Args:
        tokenizer: of the base encoder.
        texts: n tuples of one text or two.
        longest: tokens at which a text is cut.
    """
    columns = [list(column) for column in zip(*texts, strict=True)]
    found = tokenizer(*columns, truncation=True, max_length=longest)
    known = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    padding = {name: known.get(name, 0) for name in found}
    lengths = np.array([len(ids) for ids in found["input_ids"]])
    arrays = {name: np.full((len(lengths), lengths.max()), padding[name], np.int32) for name in found}
    for name, values in found.items():
        for row, value in zip(arrays[name], values, strict=True):
            row[: len(value)] = value
    return Tokens(arrays, padding, lengths)


def batch(parts: Sequence[tuple[Tokens, np.ndarray]], device: torch.device) -> dict[str, Tensor]:
    """Return the inputs of some texts of each part, part after part, as long as the longest of them all."""
    longest = max(int(tokens.lengths[rows].max()) for tokens, rows in parts)
    return {
        name: torch.from_numpy(np.concatenate([tokens.cut(name, rows, longest) for tokens, rows in parts]))
        .long()
        .to(device)
        for name in parts[0][0].arrays
    }
