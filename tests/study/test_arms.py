"""One table of arms: told apart by marker and fill alone, seen on light and dark grounds, the same in every figure."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from cpd.study import figures
from cpd.study.arms import ARMS, name, ordered

GROUNDS = ("#ffffff", "#14181e")  # of the book, light and dark
SOME = ["generated", "original", "nearest", "soup", "untrained_adapter"]


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_is_seen_on_both_grounds(ground: str) -> None:
    assert {arm: contrast(each.colour, ground) for arm, each in ARMS.items() if contrast(each.colour, ground) < 3} == {}
    assert [colour for colour in figures.PALETTE if contrast(colour, ground) < 3] == []


def test_no_two_arms_share_a_name_or_a_mark() -> None:
    for one, other in itertools.combinations(ARMS.values(), 2):
        assert one.name != other.name
        assert (one.marker, one.fill) != (other.marker, other.fill), f"{one.name} and {other.name}"


def test_names_are_words_and_no_keys() -> None:
    assert all("_" not in arm.name and arm.meaning.endswith(".") for arm in ARMS.values())
    assert name("soup") == "average of the runs" and name("cola") == "cola"


def drawings() -> dict[str, figures.Drawing]:
    """Return one drawing of each kind that shows arms."""
    values, bounds = np.arange(1.0, 4), dict.fromkeys(SOME, (1.0, 0.0, 2.0))
    series = dict.fromkeys(SOME, values)
    return {
        "dots": figures.dots(["a", "b", "c"], series, "x"),
        "curves": figures.curves(values, series, "x", "y"),
        "scatter": figures.scatter(series, series, "x", "y"),
        "intervals": figures.intervals(bounds, "x"),
        "small_multiples": figures.small_multiples({"panel": bounds}, "x"),
    }


@pytest.mark.parametrize("kind", list(drawings()))
def test_every_figure_draws_an_arm_in_its_colour_with_its_marker_and_its_name(kind: str) -> None:
    drawing = drawings()[kind]
    lines = [line for axis in drawing.axes for line in axis.lines]
    drawn = {(to_hex(line.get_color()), line.get_marker(), line.get_fillstyle()) for line in lines}
    assert {(ARMS[arm].colour.lower(), ARMS[arm].marker, ARMS[arm].fill) for arm in SOME} <= drawn
    shown = drawing.svg()
    assert [arm for arm in SOME if ARMS[arm].name not in shown] == []
    assert [arm for arm in SOME if "_" in arm and arm in shown] == []


def test_barcodes_have_the_colours_of_their_arms() -> None:
    drawing = figures.barcode({"task": {arm: [1, 2] for arm in SOME}}, {"task": 3}, {"task": ""})
    shown = [to_hex(line.get_color()) for line in drawing.axes[0].lines]
    assert shown == [ARMS[arm].colour.lower() for arm in SOME]


def test_series_that_are_no_arms_have_other_hues() -> None:
    assert not {arm.colour for arm in ARMS.values()} & set(figures.PALETTE)


def test_a_control_without_a_line_goes_by_its_key_after_the_others_in_a_hue_of_its_own() -> None:
    assert ordered(["median", "soup", "generated", "mode"]) == ["generated", "soup", "median", "mode"]
    assert name("median") == "median"
    drawing = figures.dots(["a", "b"], {"soup": np.ones(2), "median": np.zeros(2)}, "x")
    colours = {to_hex(line.get_color()) for axis in drawing.axes for line in axis.lines}
    assert {ARMS["soup"].colour.lower(), figures.PALETTE[1].lower()} <= colours
    assert "median" in drawing.svg()
