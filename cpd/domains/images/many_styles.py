"""The suite ``many_styles``: any number of random styles, each with a sentence that is written from its data.

A style depends on its number and on constants only, so the first sixteen of a thousand are the sixteen of sixteen.
Colours, outlines and effects follow the law of `styles.random`, less what nothing is learned from: one effect, pencil
hatching, and one kind of palette, outlines that are clearly lighter than what is behind them. Only `apart` has those,
and three of the named styles of `test` (dusk, chalk, thermal) the palette. Styles without any colour of their own are
left out everywhere: they differ too little from each other to be trained on here and tested there.

A sentence names what is seen: in a negative the colours' complements, in prints of one ink the greys. The same content
is said in several forms; a generator learns with some, and is asked with one that it never learned with.

Source: ours; CIELAB and its distance of 1976 are the CIE's (ISO/CIE 11664-4), for the white point D65.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cpd.domains.images import styles
from cpd.domains.images.styles import Style

SEED = 2408
VALIDATION, TEST, APART = 16, 24, 8  # styles; of the last, with the effect and with the palette each
EFFECT = "sketch"  # that nothing is learned from
LIGHTER = 20.0  # units of CIELAB's lightness, of 100, that outlines may be lighter by to be learned from
CLEARLY = 40.0  # that outlines that are kept apart are lighter by
ONE_INK = ("halftone", "sketch")  # effects that keep of a colour only how dark it is
WIDTHS = (2.2, 3.6)  # below the first outlines are thin, above the second thick
COLOURS = {
    "black": "#000000", "dark grey": "#3c3c3c", "grey": "#808080", "light grey": "#c0c0c0", "white": "#ffffff",
    "cream": "#fff3d0", "beige": "#d8c09a", "brown": "#80512a", "dark brown": "#40240f", "maroon": "#7a0f22",
    "red": "#dc1c1c", "coral": "#ff7058", "orange": "#ff8c14", "peach": "#ffc49c", "gold": "#d0a018",
    "yellow": "#ffe620", "olive": "#80801c", "lime green": "#a4e628", "bright green": "#30dc38", "green": "#2a9434",
    "dark green": "#123f20", "sage green": "#90ac86", "mint green": "#a4eec4", "teal": "#128080",
    "turquoise": "#30d2c6", "sky blue": "#82c8f4", "steel blue": "#4c7ca8", "blue": "#2460e8", "royal blue": "#2a30b0",
    "midnight blue": "#121648", "lavender": "#bcaaec", "violet": "#8446dc", "purple": "#6c1c8c", "plum": "#48163f",
    "dark teal": "#0c3e50", "ultramarine": "#3408d0", "magenta": "#e224c4", "pink": "#ffa0cc",
    "hot pink": "#f83880", "dusty pink": "#bc7488", "mauve": "#9a6cb0",
}  # fmt: skip
_LINEAR = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)  # from linear sRGB to XYZ


@dataclass(frozen=True)
class Form:
    """One way of saying what a style is.

    Attributes:
        order: the sentence, of ``fills``, ``outlines``, ``ground`` (a colour) and ``effect``.
        ramp: fills in ``colours``.
        own: fills in the drawing's own colours.
        lines: fills that are left out.
        outlines: of a ``width`` and a ``colour``.
        shapes: outlines that are left out.
        widths: words for thin, medium and thick.
        effects: what is added for each effect.
    """

    order: str
    ramp: str
    own: str
    lines: str
    outlines: str
    shapes: str
    widths: tuple[str, str, str]
    effects: dict[str, str]


LEARNED = (
    Form(
        "{fills} with {outlines} on {ground}{effect}.",
        "Fills in {colours}", "Fills in their own colours", "No fills", "{width} {colour} outlines", "no outlines",
        ("thin", "medium", "thick"),
        {"pixelate": ", in large pixels", "blur": ", out of focus", "halftone": ", printed in halftone dots",
         "sketch": ", hatched in pencil", "invert": ", as a photographic negative"},
    ),
    Form(
        "The background is {ground}. {outlines}. {fills}.{effect}",
        "The shapes are {colours}", "The shapes keep their usual colours", "The shapes are empty",
        "The lines are {colour} and {width}", "There are no lines", ("fine", "of normal width", "bold"),
        {"pixelate": " It is pixelated.", "blur": " It is blurred.", "halftone": " It is a halftone print.",
         "sketch": " It is a pencil sketch.", "invert": " It is inverted."},
    ),
    Form(
        "Background: {ground}; fills: {fills}; outlines: {outlines}; effect: {effect}.",
        "{colours}", "original colours", "none", "{colour}, {width}", "none", ("narrow", "regular", "wide"),
        {"": "none", "pixelate": "pixelation", "blur": "blur", "halftone": "halftone screen",
         "sketch": "pencil hatching", "invert": "negative"},
    ),
    Form(
        "An emoji{effect} before a {ground} backdrop, {fills}, {outlines}.",
        "coloured {colours}", "in natural colours", "not coloured in", "drawn with {width} strokes of {colour}",
        "without strokes", ("hairline", "ordinary", "broad"),
        {"pixelate": " made of big square blocks", "blur": " behind fogged glass", "halftone": " in newspaper dots",
         "sketch": " shaded with a pencil", "invert": " with light and dark exchanged"},
    ),
)  # fmt: skip
ASKED = Form(
    "On {ground} paper: a picture {fills} and {outlines}{effect}.",
    "painted {colours}", "painted as usual", "left unpainted", "edged by a {width} {colour} contour",
    "free of contours", ("slim", "moderate", "fat"),
    {"pixelate": ", seen as a coarse mosaic", "blur": ", seen unsharply", "halftone": ", seen as printed dots",
     "sketch": ", seen as pencil strokes", "invert": ", seen as a film negative"},
)  # fmt: skip


@cache
def training(count: int) -> tuple[Style, ...]:
    """Return the first styles of one endless sequence, for generators to be fitted to.

    Raises:
        ValueError: if the count is not 1 or more.
    """
    if count < 1:
        raise ValueError(f"there are 1 or more training styles, not {count}")
    return tuple(_drawn(0, i, f"random_{i:04}", _ordinary) for i in range(count))


@cache
def validation() -> tuple[Style, ...]:
    """Return sixteen further styles, to choose settings on."""
    return tuple(_drawn(1, i, f"validation_{i:02}", _ordinary) for i in range(VALIDATION))


@cache
def test() -> tuple[Style, ...]:
    """Return test A: the eight named held-out styles with their own sentences, and 24 further random ones."""
    named = styles.INSIDE + styles.OUTSIDE
    return named + tuple(_drawn(2, i, f"unseen_{i:02}", _ordinary) for i in range(TEST))


@cache
def apart() -> tuple[Style, ...]:
    """Return test B: eight styles with the effect that no training style has, and eight with the palette, in turn."""
    effect = (_drawn(3, i, f"effect_{i:02}", lambda s: has_effect(s) and not has_palette(s)) for i in range(APART))
    palette = (_drawn(4, i, f"palette_{i:02}", _clear) for i in range(APART))
    return tuple(style for pair in zip(effect, palette, strict=True) for style in pair)


def has_effect(style: Style) -> bool:
    """Say whether a style has the effect that is kept apart."""
    return style.effect == EFFECT


def has_palette(style: Style) -> bool:
    """Say whether a style has the palette that is kept apart: outlines lighter than the background."""
    return lighter(style) > LIGHTER


def is_bare(style: Style) -> bool:
    """Say whether a style has no colour of its own: the drawing's own fills or none, on white, outlines black."""
    filled = bool(style.ramp) and style.parts != "line"
    return not filled and style.background == "#ffffff" and (style.parts == "fill" or style.line == "#000000")


def lighter(style: Style) -> float:
    """Return how much lighter outlines are than the background, as seen: -100 to 100, without such colours -inf."""
    if style.parts == "fill" or not style.line:
        return -np.inf
    line, ground = (lab(seen(colour, style.effect))[0] for colour in (style.line, style.background))
    return float(line - ground)


def phrasings(style: Style) -> tuple[str, ...]:
    """Return the sentences that a generator learns a style with; ``style.sentence`` is what it is asked with."""
    return tuple(written(style, form) for form in LEARNED)


def written(style: Style, form: Form = ASKED) -> str:
    """Return a sentence about any style, in a form."""
    fills = form.ramp.format(colours=_listed([named(seen(colour, style.effect)) for colour in style.ramp]))
    width = form.widths[sum(style.width > limit for limit in WIDTHS)]
    colour = named(seen(style.line, style.effect)) if style.line else "many-coloured"
    said = form.order.format(
        fills=form.lines if style.parts == "line" else fills if style.ramp else form.own,
        outlines=form.shapes if style.parts == "fill" else form.outlines.format(width=width, colour=colour),
        ground=named(seen(style.background, style.effect)),
        effect=form.effects.get(style.effect, ""),
    )
    return said.replace(" a orange", " an orange").replace(" a olive", " an olive")


def seen(colour: str, effect: str) -> str:
    """Return what an effect leaves of a colour: its complement, its grey, or all of it; "#rrggbb" as it is given."""
    rgb = styles.rgb(colour)
    if effect in ONE_INK:
        rgb = np.repeat(rgb @ styles.LUMINANCE, 3)
    return styles.hexadecimal(1 - rgb if effect == "invert" else rgb)


@cache
def named(colour: str) -> str:
    """Return the word for a colour "#rrggbb": the nearest of `COLOURS` in CIELAB."""
    words, points = _known()
    return words[int(np.linalg.norm(points - lab(colour), axis=1).argmin())]


def lab(colour: str) -> np.ndarray:
    """Return the (3,) CIELAB coordinates of a colour "#rrggbb": lightness 0 to 100, green to red, blue to yellow."""
    rgb = styles.rgb(colour)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = _LINEAR @ linear / _LINEAR.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@cache
def _known() -> tuple[list[str], np.ndarray]:
    return list(COLOURS), np.stack([lab(colour) for colour in COLOURS.values()])


def _listed(words: list[str]) -> str:
    *first, last = dict.fromkeys(words) if words else [""]
    return f"{', '.join(first)} and {last}" if first else last


def _ordinary(style: Style) -> bool:
    return not has_effect(style) and not has_palette(style)


def _clear(style: Style) -> bool:
    return not style.effect and lighter(style) > CLEARLY  # effects hide outlines


def _drawn(stream: int, number: int, name: str, wanted: Callable[[Style], bool]) -> Style:
    """Return the first style that is wanted, of an endless sequence that a stream and a number name."""
    rng = np.random.default_rng((SEED, stream, number))
    while is_bare(style := styles.random(rng)) or not wanted(style):
        pass
    style = replace(style, name=name)
    return replace(style, sentence=written(style))
