"""Styles as data: how a drawing is coloured, how thick its outlines are, and what is done to the picture.

A style is a row of a table and a sentence. Styles of one shape (equally long ramps, equal parts and effect) form a
continuous family: ``between`` gives every position from one to another. Which drawings there are is not known here.

Source: ours; the ordered dots of the halftone are a rotated screen, as in printing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import resvg_py
from PIL import Image, ImageFilter

_HEX = re.compile(r'(fill|stroke)="#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})"')
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of sRGB, ITU-R BT.709
OVERSAMPLED = 4  # times the size at which a picture with an effect is drawn


@dataclass(frozen=True)
class Style:
    """One style.

    Attributes:
        name: of the style, an identifier.
        sentence: describes it; the text condition.
        ramp: colours from dark to light that fills are mapped to by their luminance; empty keeps the fills.
        background: colour behind the drawing.
        line: colour of the outlines; empty keeps theirs.
        width: of the outlines; OpenMoji's own is 2, in 72nds of the picture.
        parts: "all", "line" (no fills) or "fill" (no outlines).
        effect: a key of :data:`EFFECTS`, or empty.
    """

    name: str
    sentence: str
    ramp: tuple[str, ...] = ()
    background: str = "#ffffff"
    line: str = "#000000"
    width: float = 2.0
    parts: str = "all"
    effect: str = ""


def render(svg: str, style: Style, size: int) -> np.ndarray:
    """Draw a drawing in a style.

    Args:
        svg: with fills in the group ``color`` and outlines in the group ``line``.
        style: how.
        size: height and width, pixels.

    Returns:
        (size, size, 3) sRGB, uint8.

    Raises:
        ValueError: if the drawing lacks a group, or is no SVG.
    """
    if missing := [group for group in ("color", "line") if f'id="{group}"' not in svg]:
        raise ValueError(f"the SVG has no group {missing[0]!r}; a style needs fills in 'color' and outlines in 'line'")
    drawn = size * OVERSAMPLED if style.effect else size
    png = bytes(
        resvg_py.svg_to_bytes(
            svg_string=_recoloured(svg, style.ramp), style_sheet=_sheet(style), background=style.background, width=drawn
        )
    )
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return EFFECTS[style.effect](picture, size) if style.effect else picture


def render_all(svgs: Sequence[str], some: Sequence[Style], size: int) -> list[np.ndarray]:
    """Return the drawings in each of some styles, as (n, size, size, 3) sRGB, uint8."""
    return [np.stack([render(svg, style, size) for svg in svgs]) for style in some]


def between(first: Style, last: Style, position: float) -> Style:
    """Return the style at a position of the straight way from one style (0) to another (1).

    Raises:
        ValueError: if the two differ in what has no middle (parts, effect, number of colours), or the position is
            not in [0, 1].
    """
    shape = [(s.parts, s.effect, len(s.ramp), bool(s.line)) for s in (first, last)]
    if shape[0] != shape[1] or not 0 <= position <= 1:
        raise ValueError(
            f"there is no style at {position} between {first.name!r} and {last.name!r}: positions are from 0 to 1, and "
            f"both need equal parts, effect and number of colours, got {shape[0]} and {shape[1]}"
        )

    def mixed(a: str, b: str) -> str:
        return hexadecimal((1 - position) * rgb(a) + position * rgb(b)) if a else a

    return replace(
        first,
        name=f"{first.name}_to_{last.name}_{round(100 * position)}",
        sentence=f"{1 - position:.0%} of this: {first.sentence} {position:.0%} of this: {last.sentence}",
        ramp=tuple(mixed(a, b) for a, b in zip(first.ramp, last.ramp, strict=True)),
        background=mixed(first.background, last.background),
        line=mixed(first.line, last.line),
        width=(1 - position) * first.width + position * last.width,
    )


def random(rng: np.random.Generator) -> Style:
    """Return a style without name or sentence: colours, outlines, parts and effect all at random."""

    def colour() -> str:
        return hexadecimal(rng.random(3))

    return Style(
        name="",
        sentence="",
        ramp=tuple(sorted((colour() for _ in range(3)), key=lambda c: float(rgb(c) @ LUMINANCE)))
        if rng.random() < 0.7
        else (),
        background=colour() if rng.random() < 0.8 else "#ffffff",
        line=colour() if rng.random() < 0.7 else "#000000",
        width=float(rng.uniform(1, 5)),
        parts=str(rng.choice(["all", "all", "line", "fill"])),
        effect=str(rng.choice([*EFFECTS])) if rng.random() < 0.3 else "",
    )


def rgb(colour: str) -> np.ndarray:
    """Return the (3,) shares of red, green and blue, in [0, 1], of a colour "#rrggbb" or "#rgb"."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255


def hexadecimal(shares: np.ndarray) -> str:
    """Return "#rrggbb" of (3,) shares of red, green and blue, in [0, 1]."""
    return "#" + "".join(f"{round(float(value) * 255):02x}" for value in shares)


def _sheet(style: Style) -> str:
    rules = [f"#line * {{ stroke-width: {style.width:g}; {f'stroke: {style.line};' if style.line else ''} }}"]
    hidden = {"line": "#color", "fill": "#line"}.get(style.parts)
    return "\n".join(rules + ([f"{hidden} {{ display: none; }}"] if hidden else []))


def _recoloured(svg: str, ramp: tuple[str, ...]) -> str:
    if not ramp:
        return svg
    stops = np.array([rgb(colour) for colour in ramp])
    at = np.linspace(0, 1, len(ramp))

    @cache
    def mapped(digits: str) -> str:
        luminance = float(rgb("#" + digits) @ LUMINANCE)
        return hexadecimal(np.array([np.interp(luminance, at, channel) for channel in stops.T]))

    return _HEX.sub(lambda match: f'{match[1]}="{mapped(match[2])}"', svg)


def _shrunk(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))


def _pixelated(picture: np.ndarray, size: int) -> np.ndarray:
    blocks = Image.fromarray(picture).resize((max(1, size // 4),) * 2, Image.Resampling.BOX)
    return np.asarray(blocks.resize((size, size), Image.Resampling.NEAREST))


def _blurred(picture: np.ndarray, size: int) -> np.ndarray:
    return _shrunk(np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(len(picture) / 24))), size)


@cache
def _screen(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] * (2 * np.pi * 10 / size)
    return (np.cos((x + y) / np.sqrt(2)) * np.cos((x - y) / np.sqrt(2)) + 1) / 2


@cache
def _hatching(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    return 0.5 + 0.5 * np.sin(2 * np.pi * 14 * (x + y))


def _halftoned(picture: np.ndarray, size: int) -> np.ndarray:
    """Print dots of the picture's own darkness on a screen rotated by 45 degrees, dark blue on cream."""
    inked = (1 - picture / 255 @ LUMINANCE) > _screen(len(picture))
    return _shrunk(np.where(inked[..., None], [35, 45, 110], [250, 240, 215]).astype(np.uint8), size)


def _sketched(picture: np.ndarray, size: int) -> np.ndarray:
    """Draw hatching where the picture is dark, and its edges, in pencil grey."""
    grey = picture / 255 @ LUMINANCE
    hatching = _hatching(len(picture))
    edges = np.hypot(*np.gradient(grey)) > 0.08
    dark = np.where(edges, 0.75, np.where(hatching > grey + 0.15, 0.55, 0.0))
    return _shrunk(((1 - dark)[..., None] * [248, 246, 240]).astype(np.uint8), size)


def _inverted(picture: np.ndarray, size: int) -> np.ndarray:
    return _shrunk(255 - picture, size)


EFFECTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "pixelate": _pixelated,
    "blur": _blurred,
    "halftone": _halftoned,
    "sketch": _sketched,
    "invert": _inverted,
}

PLAIN = Style("plain", "A flat colour emoji with black outlines on white.")
TRAINING = (
    Style("night", "Blue night colours with white outlines on midnight blue.",
          ("#16204f", "#3c5fa8", "#9ec9f0"), "#0a1030", "#f4f6ff"),
    Style("sunset", "Purple, orange and yellow like a sunset, dark red outlines on peach.",
          ("#5b1a5e", "#ef6a3a", "#ffe08a"), "#ffd9b8", "#5c1020"),
    Style("forest", "Mossy greens with brown outlines on pale green.",
          ("#12331c", "#4f8a3a", "#c9df8f"), "#e4f0d0", "#3a2412"),
    Style("candy", "Pink and lilac sweets with magenta outlines on light pink.",
          ("#8f2b80", "#ff8fc4", "#ffe3f3"), "#fff0f8", "#d0157d"),
    Style("ice", "Pale cyan and white with steel blue outlines on icy blue.",
          ("#5d93b5", "#b8e4f2", "#ffffff"), "#d5f1fb", "#2e6385"),
    Style("neon", "No fills, glowing green lines on black.", (), "#000000", "#39ff14", 2.4, "line"),
    Style("blueprint", "No fills, thin white lines on blueprint blue.", (), "#1c4fa1", "#ffffff", 1.4, "line"),
    Style("marker", "No fills, very thick red marker lines on white.", (), "#ffffff", "#d3122a", 5.0, "line"),
    Style("cutout", "Paper cutouts without outlines on orange.", (), "#f39a2e", "", 2.0, "fill"),
    Style("shadow", "Black silhouettes without outlines on yellow.", ("#000000", "#000000", "#1a1a1a"), "#ffd400", "",
          2.0, "fill"),
    Style("heavy", "Flat colours under very thick black outlines on light grey.", (), "#dcdcdc", "#000000", 5.0),
    Style("newspaper", "Blue halftone dots printed on cream paper.", effect="halftone"),
    Style("blocks", "Large pixels on pale yellow.", background="#fdf6c9", effect="pixelate"),
    Style("fog", "Out of focus, soft and grey.", ("#6f767d", "#a9b0b6", "#e6eaed"), "#cfd5da", "#5b6168", 3.0,
          effect="blur"),
    Style("pencil", "Pencil hatching on paper.", effect="sketch"),
    Style("negative", "A photographic negative on black.", effect="invert"),
)  # fmt: skip
INSIDE = (
    Style("dusk", "Purple and blue evening colours with pale outlines on dark violet.",
          ("#3a1c56", "#7a63b5", "#d5b9ea"), "#2a1546", "#f2e4ff"),
    Style("meadow", "Fresh greens and yellow with green outlines on white.",
          ("#2e5f24", "#9bc53d", "#fff3a0"), "#ffffff", "#245219"),
    Style("chalk", "No fills, soft white lines on a dark green board.", (), "#1f4a35", "#eef3e6", 2.4, "line"),
    Style("bold", "Paper colours under thick dark blue outlines on cream.", (), "#fbf3dc", "#15256b", 4.0),
)  # fmt: skip
OUTSIDE = (
    Style("gold", "Gold on black, without outlines.", ("#3d2a05", "#b8860b", "#fff1b0"), "#000000", "", 2.0, "fill"),
    Style("thermal", "False colours of a heat camera.", ("#1b0a6b", "#e0218a", "#ffd000"), "#08003a", "#00e5ff", 1.2),
    Style("poster", "Hot pink shapes without outlines on turquoise.", ("#ff2d87", "#ff2d87", "#ffc3dc"), "#19d3c5", "",
          2.0, "fill"),
    Style("mosaic", "Large pixels in teal and coral.", ("#0b3c49", "#13a89e", "#ff7f6a"), "#ffe5d9", "#0b3c49", 3.0,
          effect="pixelate"),
)  # fmt: skip
FAMILY = ("night", "sunset")  # the two ends of the continuous family
POSITIONS = 11  # of the continuous family, both ends included


def family() -> tuple[Style, ...]:
    """Return the styles of the continuous family, from the first end to the last."""
    first, last = (next(style for style in TRAINING if style.name == name) for name in FAMILY)
    return tuple(between(first, last, i / (POSITIONS - 1)) for i in range(POSITIONS))
