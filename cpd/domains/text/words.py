"""Texts in which words and codes are looked up by patterns, alternatives between bars:

- ``first degree``: these words occur in a row; ``tubercul*``, ``*lymphoma``: words that begin or end so;
- ``@V0``: a code of the text begins so. Where a pattern has codes and words, the text needs one of each;
- ``!wrist and hand``: these words leave it open, as do the right words under another code: then neither yes nor no.

Case and punctuation do not count.

Source: ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np


class Words:
    """Texts in which words are looked up.

    Args:
        texts: (n,) texts.
        codes: (n,) codes of each.
    """

    def __init__(self, texts: Sequence[str], codes: Sequence[tuple[str, ...]]) -> None:
        lines = [f" {plain(text)} " for text in texts]
        self._joined = "\n".join(lines)
        self._starts = np.cumsum([0] + [len(line) + 1 for line in lines])
        pairs = sorted((code, i) for i, own in enumerate(codes) for code in own)
        self._codes = np.array([code for code, _ in pairs])
        self._owners = np.array([owner for _, owner in pairs], int)

    def match(self, pattern: str) -> tuple[np.ndarray, np.ndarray]:
        """Say which texts have what a pattern says.

        Args:
            pattern: as the module says.

        Returns:
            (n,) True where a text has it; (n,) True where it has it or may have it: it has the words, or the codes of
            a pattern without words.
        """
        parts = pattern.split("|")
        words = [self._having(part) for part in parts if part[0] not in "!@"]
        codes = [self._coded(part[1:]) for part in parts if part[0] == "@"]
        against = [self._having(part[1:]) for part in parts if part[0] == "!"]
        maybe = np.any(words or codes, axis=0)
        found = maybe & np.any(codes, axis=0) if codes else maybe.copy()
        for own in against:
            found &= ~own
        return found, maybe

    def _having(self, phrase: str) -> np.ndarray:
        before, after = "" if phrase[0] == "*" else " ", "" if phrase[-1] == "*" else " "
        sought = before + phrase.strip("*") + after
        places, place = [], self._joined.find(sought)
        while place >= 0:
            places.append(place)
            place = self._joined.find(sought, place + 1)
        return self._mask(np.searchsorted(self._starts, np.array(places, int), side="right") - 1)

    def _coded(self, start: str) -> np.ndarray:
        return self._mask(self._owners[slice(*np.searchsorted(self._codes, [start, start + "~"]))])

    def _mask(self, index: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(self._starts) - 1, bool)
        mask[index] = True
        return mask


def plain(text: str) -> str:
    """Return the words of a text in small letters, a space between them."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
