"""Many styles: a longer table begins with a shorter one, parts share nothing, sentences say what is drawn."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cpd.domains.images import albums, many_styles, styles
from cpd.domains.images.many_styles import COLOURS, LEARNED, named, phrasings, written
from cpd.domains.images.styles import Style

LEARNED_FROM = many_styles.training(2000)
RANDOM = (*LEARNED_FROM, *many_styles.validation(), *many_styles.test()[8:])
EVERY = (*RANDOM, *many_styles.apart())
CANDY = Style("", "", ("#ff0000", "#e00505", "#2030b0"), "#000000", "#ffffff", 5.0)


def hexes(style: Style) -> list[str]:
    return [*style.ramp, style.background, style.line]


def test_what_a_seed_draws_stays_as_the_base_model_was_trained_on() -> None:
    assert styles.random(np.random.default_rng(1)) == Style(
        "", "", ("#f225f2", "#506cd3", "#688c07"), "#8954c9", "#742267", 1.8138209627045985, "line", ""
    )


def test_more_styles_begin_with_the_same_ones() -> None:
    assert many_styles.training(16) == many_styles.training(1024)[:16] == LEARNED_FROM[:16]
    assert (LEARNED_FROM[0].name, LEARNED_FROM[-1].name) == ("random_0000", "random_1999")
    assert LEARNED_FROM[0].background == "#d42e92", "constants alone decide"
    with pytest.raises(ValueError, match="1 or more training styles, not 0"):
        many_styles.training(0)


def test_parts_have_their_sizes_and_share_no_style() -> None:
    assert [len(part) for part in (many_styles.validation(), many_styles.test(), many_styles.apart())] == [16, 32, 16]
    assert many_styles.test()[:8] == styles.INSIDE + styles.OUTSIDE
    assert len({style.name for style in EVERY}) == len({replace(s, name="", sentence="") for s in EVERY}) == len(EVERY)


def test_only_styles_that_are_kept_apart_have_the_effect_or_the_palette() -> None:
    kinds = [(many_styles.has_effect(style), many_styles.has_palette(style)) for style in many_styles.apart()]
    assert kinds == [(True, False), (False, True)] * 8
    assert all(many_styles.lighter(style) > many_styles.CLEARLY for style in many_styles.apart()[1::2])
    assert not any(style.effect for style in many_styles.apart()[1::2]), "whose outlines are plain to see"
    assert not any(many_styles.has_effect(style) or many_styles.has_palette(style) for style in RANDOM)
    assert {style.name for style in many_styles.test() if many_styles.has_palette(style)} == {
        "dusk",
        "chalk",
        "thermal",
    }
    assert not any(many_styles.has_effect(style) for style in many_styles.test())


def test_the_kinds_that_are_kept_apart_are_neither_rare_nor_common() -> None:
    rng = np.random.default_rng(0)
    drawn = [styles.random(rng) for _ in range(2000)]
    assert 0.04 < np.mean([many_styles.has_effect(style) for style in drawn]) < 0.08
    assert 0.08 < np.mean([many_styles.has_palette(style) for style in drawn]) < 0.15
    assert {style.effect for style in LEARNED_FROM} == {"", *styles.EFFECTS} - {many_styles.EFFECT}
    assert {style.parts for style in LEARNED_FROM} == {"all", "line", "fill"}


def test_lightness_is_of_what_is_seen() -> None:
    light = Style("", "", (), "#000000", "#ffffff")
    assert many_styles.lighter(light) == pytest.approx(100)
    assert many_styles.lighter(replace(light, effect="invert")) == pytest.approx(-100)
    assert many_styles.has_palette(Style("", "", effect="invert")), "black outlines on white, in a negative"
    assert not many_styles.has_palette(replace(light, parts="fill"))


def test_no_style_is_without_a_colour_of_its_own() -> None:
    assert many_styles.is_bare(styles.PLAIN)
    assert many_styles.is_bare(replace(CANDY, parts="line", background="#ffffff", line="#000000")), "fills are not seen"
    assert not many_styles.is_bare(CANDY) and not many_styles.is_bare(replace(styles.PLAIN, line="#101010"))
    assert not any(many_styles.is_bare(style) for style in EVERY)


def test_no_drawing_of_a_test_looks_as_one_of_training() -> None:
    svg = albums.many("test").drawn("report")[0]
    trained, tested = LEARNED_FROM[:1024], (*many_styles.validation(), *many_styles.test(), *many_styles.apart())
    looks = [{styles.render(svg, style, 16).tobytes() for style in some} for some in (trained, tested)]
    assert [len(some) for some in looks] == [1024, 64] and not looks[0] & looks[1]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("#ffffff", [100, 0, 0]), ("#ff0000", [53.24, 80.09, 67.20]), ("#0000ff", [32.30, 79.19, -107.86]),
     ("#808080", [53.59, 0, 0]), ("#000000", [0, 0, 0])],
)  # fmt: skip
def test_cielab_has_its_published_values(colour: str, expected: list[float]) -> None:
    np.testing.assert_allclose(many_styles.lab(colour), expected, atol=0.02)


def test_every_word_for_a_colour_is_the_nearest() -> None:
    assert {word: named(colour) for word, colour in COLOURS.items()} == {word: word for word in COLOURS}
    points = {word: many_styles.lab(colour) for word, colour in COLOURS.items()}
    for colour in {colour for style in LEARNED_FROM[:300] for colour in hexes(style)}:
        own = many_styles.lab(colour)
        distances = {word: float(((own - point) ** 2).sum()) for word, point in points.items()}
        assert distances[named(colour)] == min(distances.values())


def test_words_for_colours_are_all_used_and_none_is_used_for_everything() -> None:
    used = Counter(named(colour) for style in LEARNED_FROM for colour in style.ramp)
    assert set(used) == set(COLOURS) and max(used.values()) < 0.1 * sum(used.values())


def test_a_sentence_says_colours_outlines_background_and_effect() -> None:
    assert written(CANDY) == "On black paper: a picture painted red and royal blue and edged by a fat white contour."
    assert phrasings(CANDY)[0] == "Fills in red and royal blue with thick white outlines on black."
    lines = replace(CANDY, parts="line", width=1.0, effect="pixelate")
    assert phrasings(lines)[0] == "No fills with thin white outlines on black, in large pixels."
    fills = replace(CANDY, ramp=(), parts="fill", background="#ff8c14")
    assert phrasings(fills)[3] == "An emoji before an orange backdrop, in natural colours, without strokes."


def test_a_sentence_names_colours_as_they_are_seen() -> None:
    negative, printed = (written(replace(CANDY, ramp=("#dc1c1c",), effect=e)) for e in ("invert", "halftone"))
    assert "On white paper" in negative and "turquoise" in negative and "black contour" in negative
    assert "painted dark grey" in printed and "printed dots" in printed


def test_every_named_style_can_be_said_in_every_form() -> None:
    for style in (styles.PLAIN, *styles.TRAINING, *many_styles.test()[:8]):
        said = (written(style), *phrasings(style))
        assert len(set(said)) == 5 and not any("{" in text or "  " in text for text in said)


def test_asked_and_learned_sentences_differ_and_so_do_those_of_most_styles() -> None:
    for style in many_styles.training(64):
        assert len(phrasings(style)) == len(LEARNED) == 4
        assert style.sentence == written(style) and style.sentence not in phrasings(style)
    some = many_styles.training(1024)
    for said in ([style.sentence for style in some], *zip(*(phrasings(style) for style in some))):
        assert len(set(said)) > 0.9 * len(some)


def test_no_words_for_effects_or_widths_are_shared_by_asked_and_learned_forms() -> None:
    for form in LEARNED:
        assert not set(form.widths) & set(many_styles.ASKED.widths)
        assert not set(form.effects.values()) & set(many_styles.ASKED.effects.values())
        assert set(styles.EFFECTS) <= set(form.effects)


def test_albums_are_of_the_suite_and_as_long_as_is_asked() -> None:
    album = albums.album("many_styles", "training")
    assert isinstance(album, albums.EmojiAlbum) and album.table == many_styles.training(64)
    assert [len(album.captions("random_0000", split)) for split in ("train", "select", "report")] == [144, 48, 96]
    assert albums.many("training", 3).names == ["random_0000", "random_0001", "random_0002"]
    assert [len(albums.album("many_styles", part).names) for part in ("validation", "test", "apart")] == [16, 32, 16]
    assert len(albums.many("apart", 2).names) == 2
    with pytest.raises(KeyError, match="held_out"):
        albums.album("many_styles", "held_out")
    with pytest.raises(ValueError, match="1 to 16 apart styles, not 17"):
        albums.many("apart", 17)


@pytest.mark.parametrize("cores", ["1", "2"])
def test_what_is_drawn_on_every_core_is_what_an_album_shows(cores: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", cores)
    album = albums.many("training", 7)
    names = album.names[1:]
    drawn = albums.rendered(album, names, "select", 16)
    assert list(drawn) == names
    for name in names:
        assert np.array_equal(drawn[name], album.pictures(name, "select", 16))
