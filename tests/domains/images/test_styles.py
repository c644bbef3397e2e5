"""Styles: colours land where the table says, ways between two styles have the ends they claim, pictures differ."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from cpd.domains.images import emoji, styles
from cpd.domains.images.styles import Style, between, render

SVG = """<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">
<g id="color"><rect x="12" y="12" width="24" height="48" fill="#000000"/>
<rect x="36" y="12" width="24" height="48" fill="#fff"/></g>
<g id="line"><rect x="12" y="12" width="48" height="48" fill="none" stroke="#000" stroke-width="2"/></g></svg>"""
RAMP = Style("ramp", "Red to green.", ("#ff0000", "#0000ff", "#00ff00"), "#102030", "#abcdef", 4.0)
EVERY = (styles.PLAIN, *styles.TRAINING, *styles.INSIDE, *styles.OUTSIDE)


def at(picture: np.ndarray, x: int, y: int) -> list[int]:
    """Return the colour of a point given in 72nds."""
    return picture[round(y * len(picture) / 72), round(x * len(picture) / 72)].tolist()


def test_fills_outlines_and_background_have_the_colours_of_the_table() -> None:
    picture = render(SVG, RAMP, 72)
    assert picture.shape == (72, 72, 3) and picture.dtype == np.uint8
    assert at(picture, 20, 36) == [255, 0, 0], "black goes to the first colour of the ramp"
    assert at(picture, 50, 36) == [0, 255, 0], "white to the last, in either notation"
    assert at(picture, 12, 36) == [0xAB, 0xCD, 0xEF]
    assert at(picture, 4, 4) == [0x10, 0x20, 0x30]
    grey = render(SVG.replace("#000000", "#808080"), RAMP, 72)
    np.testing.assert_allclose(at(grey, 20, 36), [0, 0, 255], atol=3)


def test_an_empty_ramp_and_line_keep_the_drawings_own_colours() -> None:
    picture = render(SVG, Style("own", "As it is.", line="", background="#ff0000"), 72)
    assert [at(picture, 20, 36), at(picture, 50, 36), at(picture, 12, 36)] == [[0] * 3, [255] * 3, [0] * 3]


def test_parts_leave_out_the_other_ones_and_width_thickens_outlines() -> None:
    red = [255, 0, 0]
    lines = render(SVG, Style("l", "Lines.", background="#ff0000", line="#0000ff", parts="line"), 72)
    assert at(lines, 20, 36) == red and at(lines, 12, 36) == [0, 0, 255]
    fills = render(SVG, Style("f", "Fills.", background="#ff0000", line="#0000ff", parts="fill"), 72)
    assert not (fills == [0, 0, 255]).all(axis=2).any()
    inked = [(render(SVG, replace(RAMP, width=w), 72) == [0xAB, 0xCD, 0xEF]).all(axis=2).sum() for w in (2.0, 4.0, 8.0)]
    assert inked[0] < inked[1] < inked[2]


@pytest.mark.parametrize("effect", list(styles.EFFECTS))
def test_effects_change_the_picture_and_keep_its_size(effect: str) -> None:
    plain, changed = (render(SVG, replace(styles.PLAIN, effect=name), 32) for name in ("", effect))
    assert changed.shape == plain.shape == (32, 32, 3)
    assert np.abs(changed.astype(int) - plain).mean() > 5
    assert np.array_equal(changed, render(SVG, replace(styles.PLAIN, effect=effect), 32))


def test_large_pixels_are_squares_of_one_colour() -> None:
    blocks = render(SVG, replace(styles.PLAIN, effect="pixelate"), 32).reshape(8, 4, 8, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_a_negative_is_the_complement() -> None:
    assert at(render(SVG, replace(styles.PLAIN, effect="invert"), 72), 4, 4) == [0, 0, 0]


def test_the_way_between_two_styles_begins_and_ends_at_them_and_its_middle_is_the_mean() -> None:
    first, last = Style("a", "A.", ("#000000",), "#000000", "#204060", 2.0), Style("b", "B.", ("#ffffff",), "#fefefe",
                                                                                  "#406080", 4.0)  # fmt: skip
    assert np.array_equal(render(SVG, between(first, last, 0), 24), render(SVG, first, 24))
    assert np.array_equal(render(SVG, between(first, last, 1), 24), render(SVG, last, 24))
    middle = between(first, last, 0.5)
    assert (middle.background, middle.line, middle.width) == ("#7f7f7f", "#305070", 3.0)
    assert len(styles.family()) == styles.POSITIONS == len({style.name for style in styles.family()})


def test_there_is_no_way_between_styles_of_different_shape() -> None:
    with pytest.raises(ValueError, match="no style at 0.5 between 'ramp' and 'plain'"):
        between(RAMP, styles.PLAIN, 0.5)
    with pytest.raises(ValueError, match="positions are from 0 to 1"):
        between(RAMP, RAMP, 1.5)


def test_a_drawing_without_the_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="no group 'line'"):
        render(SVG.replace('id="line"', 'id="other"'), RAMP, 24)
    with pytest.raises(ValueError, match="no group 'color'"):
        render("<svg/>", RAMP, 24)


def test_the_table_has_enough_styles_and_no_two_look_alike() -> None:
    assert [len(styles.TRAINING), len(styles.INSIDE), len(styles.OUTSIDE)] == [16, 4, 4]
    for texts in ([style.name for style in EVERY], [style.sentence for style in EVERY]):
        assert len(set(texts)) == len(EVERY)
    pictures = {style.name: render(SVG.replace("#000000", "#ea5a47"), style, 32).astype(int) for style in EVERY}
    nearest = min((np.abs(pictures[a] - pictures[b]).mean(), a, b) for a, b in combinations(pictures, 2))
    assert nearest[0] > 10, f"{nearest[1]} and {nearest[2]} look alike"


def test_drawings_are_named_complete_and_split_by_caption() -> None:
    drawn = emoji.drawings()
    captions = [drawing.caption for drawing in drawn]
    assert len(drawn) > 1400 and captions == sorted(set(captions))
    held_out = [drawing for drawing in drawn if drawing.held_out]
    assert len(held_out) == len(drawn) // emoji.HELD_OUT
    apple = next(drawing for drawing in drawn if drawing.caption == "red apple")
    middle = at(render(apple.svg, styles.PLAIN, 72), 30, 40)
    assert middle[0] > 200 > 120 > middle[1], "a red apple is red"


def test_random_styles_follow_their_seed() -> None:
    first, again = ([styles.random(np.random.default_rng(seed)) for seed in range(60)] for _ in range(2))
    assert first == again and first[0] != first[1]
    assert {style.parts for style in first} == {"all", "line", "fill"}
