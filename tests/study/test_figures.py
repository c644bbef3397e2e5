"""Figures: arrays in, drawings out, one look that does not leak, texts that a phone shows large enough."""

import re

import matplotlib as mpl
import numpy as np
import pytest

from cpd.study import figures
from cpd.study.figures.canvas import INK, LOOK
from cpd.study.sketch import chain, pipeline

PHONE = 350  # pixels that a phone of 390 has for a drawing


def test_the_look_ends_with_the_block() -> None:
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["font.size"] == LOOK["font.size"]
    assert dict(mpl.rcParams) == before


def some() -> dict[str, figures.Drawing]:
    """Return a drawing of each kind."""
    random = np.random.default_rng(0)
    values, tasks = np.array([1.0, 0.1, 0.01]), ["x", "y", "z"]
    return {
        "curves": figures.curves([0, 1, 2], {"loss": values, "other": values}, "step", "loss (nats)", log=True),
        "dots": figures.dots(tasks, {"generated": values, "original": 2 * values}, "distance"),
        "intervals": figures.intervals({"generated": (1, 0, 2)}, "points"),
        "small_multiples": figures.small_multiples({"a": {"x": (0, -1, 1)}}, "points", linear=2),
        "scatter": figures.scatter({"a": values}, {"a": values}, "x", "y"),
        "heatmap": figures.heatmap(random.random((3, 3)), tasks, tasks, "score"),
        "barcode": figures.barcode({"x": {"generated": [1, 5]}}, {"x": 9}, {"x": "overlap 0.5"}),
        "clouds": figures.point_clouds({"a": random.normal(size=(9, 2))}, {"a": np.arange(9) % 2}, ["even", "odd"]),
        "plane": figures.plane(random.normal(size=(3, 2)), np.arange(3), tasks, np.arange(3) > 1, "new", list("abc")),
        "pictures": figures.pictures({"own": np.zeros((8, 4, 4, 3), np.uint8)}, "by A. Person", ["red apple"] * 8),
        "pipeline": pipeline(["runs", "zoo", "denoiser"], ["noise", "denoised", "new"], "told"),
    }


@pytest.mark.parametrize("kind", list(some()))
def test_every_text_has_nine_pixels_on_a_phone_and_the_ink_of_the_page(kind: str) -> None:
    svg = some()[kind].svg()
    width = float(re.findall(r'viewBox="0 0 ([\d.]+)', svg)[0])
    sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;\"]*?([\d.]+)px", svg)]
    assert sizes and min(sizes) * PHONE / width >= 9
    assert INK.lower() not in svg.lower() and "DejaVu" not in svg and "<style" not in svg


@pytest.mark.parametrize("kind", list(some()))
def test_equal_drawings_give_equal_texts_without_ids_that_nothing_needs(kind: str) -> None:
    svg = some()[kind].svg()
    assert some()[kind].svg() == svg
    assert set(re.findall(r' id="([\w-]+)"', svg)) <= set(re.findall(r"#([\w-]+)", svg))


def test_a_drawing_shows_itself_as_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    drawing = some()["dots"]
    drawing._ipython_display_()
    assert shown == [{"image/svg+xml": drawing.svg(), "text/plain": "<Drawing>"}]
    assert drawing.png(72)[:8] == b"\x89PNG\r\n\x1a\n"


def test_point_clouds_draw_every_point_in_its_own_panel() -> None:
    clouds = {name: np.random.default_rng(0).normal(size=(30, 2)) for name in ("a", "b", "c", "d", "e")}
    drawing = figures.point_clouds(clouds, {name: np.arange(30) % 2 for name in clouds}, ["even", "odd"])
    panels = [axis for axis in drawing.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in panels] == list(clouds)
    assert all(sum(len(line.get_xdata()) for line in axis.lines) == 30 for axis in panels)


def test_a_map_says_what_each_point_is_and_rings_the_marked_ones() -> None:
    points, ringed = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) >= 24
    titles = [f"<point {i}>" for i in range(30)]
    drawing = figures.plane(points, np.arange(30) % 2, ["even", "odd"], ringed, "generated", titles)
    drawn = [line for line in drawing.axes[0].lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(sorted(line.get_xdata()[0] for line in drawn), np.sort(points[:, 0]))
    ringed_ones = [line for line in drawn if line.get_markeredgecolor() == INK]
    assert {line.get_xdata()[0] for line in ringed_ones} == set(points[ringed, 0])
    svg = drawing.svg()
    assert sorted(re.findall(r"<title>(.*?)</title>", svg)) == sorted(f"&lt;point {i}&gt;" for i in range(30))
    assert "titled-" not in svg


def test_few_positions_on_a_logarithmic_axis_are_named_and_many_are_not() -> None:
    def labels(x: list[float]) -> list[str]:
        drawing = figures.curves(x, {"loss": np.ones(len(x))}, "runs", "loss", log_x=True)
        drawing.draw_without_rendering()
        axis = drawing.axes[0].xaxis
        return [
            each.get_text() for each in [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)] if each.get_visible()
        ]

    assert [each for each in labels([1, 2, 4, 8]) if each] == ["1", "2", "4", "8"]
    assert "2" not in labels(list(range(1, 100)))


def test_curves_and_dots_carry_labels_units_and_values() -> None:
    values = np.array([1.0, 0.1, 0.01])
    curve = some()["curves"].axes[0]
    assert (curve.get_xlabel(), curve.get_title(loc="left"), curve.get_yscale()) == ("step", "loss (nats)", "log")
    assert np.array_equal(curve.lines[0].get_ydata(), values)
    dot = some()["dots"].axes[0]
    assert [label.get_text() for label in dot.get_yticklabels()] == ["x", "y", "z"]
    assert np.array_equal(dot.lines[1].get_xdata(), 2 * values)


def test_a_curve_goes_on_over_a_point_that_is_left_out() -> None:
    axis = figures.curves([1, 2, 4], {"loss": [3.0, np.nan, 1.0], "other": [np.nan, 1.0, 2.0]}, "runs", "loss").axes[0]
    assert [line.get_xydata().tolist() for line in axis.lines] == [[[1, 3], [4, 1]], [[2, 1], [4, 2]]]


def test_equal_dots_of_a_row_are_all_seen_and_stay_in_their_row() -> None:
    values = np.array([1.0, 2.0])
    axis = figures.dots(["x", "y"], dict.fromkeys("abc", values), "distance", log=True).axes[0]
    heights = np.array([line.get_ydata() for line in axis.get_lines()])  # (series, rows)
    assert len(np.unique(heights)) == heights.size
    assert (np.abs(heights - np.arange(2)) < 0.5).all()


def test_intervals_draw_bars_where_they_end_somewhere_and_the_line_that_is_needed() -> None:
    rows = {"a": (1.0, 0.5, 1.5), "b": (2.0, -np.inf, np.inf)}
    axis = figures.intervals(rows, "points", needed=-0.5).axes[0]
    bars = [segment.tolist() for each in axis.collections for segment in each.get_segments()]
    assert bars == [[[0.5, 0], [1.5, 0]]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert list(axis.lines[0].get_xdata()) == [-0.5, -0.5]


def test_small_multiples_draw_each_group_in_its_panel_on_one_axis() -> None:
    panels = {"a": {"x": (0.0, -1.0, 1.0), "y": (-50.0, -np.inf, np.inf)}, "b": {"z": (2.0, 1.0, 3.0)}}
    drawing = figures.small_multiples(panels, "points", linear=2)
    first, second = drawing.axes
    assert [axis.get_title(loc="left") for axis in drawing.axes] == ["a", "b"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["x", "y"]
    assert [list(line.get_xdata()) for line in first.lines[1:]] == [[0], [-50]]
    assert list(second.lines[1].get_xdata()) == [2]
    assert first.get_xlim() == second.get_xlim() and first.get_xlim()[0] < -50


def test_scatter_pairs_the_values_of_each_series() -> None:
    drawing = figures.scatter({"a": np.arange(3), "b": np.arange(2)}, {"b": np.ones(2), "a": np.zeros(3)}, "x", "y")
    lines = drawing.axes[0].lines
    assert [(line.get_label(), list(line.get_ydata())) for line in lines] == [("a", [0, 0, 0]), ("b", [1, 1])]


def test_a_barcode_has_a_tick_per_wrong_row_in_the_line_of_its_adapter() -> None:
    wrong = {"x": {"generated": [1, 5], "nearest": [5]}, "y": {"generated": []}}
    drawing = figures.barcode(wrong, {"x": 9, "y": 4}, {"x": "half", "y": "none"})
    ends = [line.get_xydata().reshape(-1, 3, 2) for line in drawing.axes[0].lines]  # of each tick two, and a gap
    assert [x[:, 0, 0].tolist() for x in ends] == [x[:, 1, 0].tolist() for x in ends] == [[1, 5], [5]]
    assert [np.unique(x[:, :2, 1]).tolist() for x in ends] == [[-0.4, 0.4], [0.6, 1.4]]
    assert all(np.isnan(x[:, 2, 1]).all() for x in ends)
    assert [axis.get_title(loc="right") for axis in drawing.axes] == ["half", "none"]
    assert drawing.axes[0].get_xlim() == (-1, 9) and drawing.axes[1].get_xlim() == (-1, 4)


def test_pictures_fill_rows_of_their_own_and_name_whose_they_are() -> None:
    grid = {"own": np.full((5, 4, 4, 3), 200, np.uint8), "generated": np.zeros((2, 4, 4, 3), np.uint8)}
    drawing = figures.pictures(grid, "by A. Person", ["red apple"] * 5, columns=3, notes={"generated": "324"})
    images = [image.get_extent() for axis in drawing.axes for image in axis.images]
    rows: dict[float, int] = {}
    for _, _, _, top in images:
        rows[round(top, 3)] = rows.get(round(top, 3), 0) + 1
    assert list(rows.values()) == [3, 2, 2]
    texts = [text.get_text() for axis in drawing.axes for text in axis.texts]
    assert {"the style's own pictures", "generated", "324", "by A. Person"} <= set(texts)
    assert sum(text.startswith("red") for text in texts) == 7


def test_the_pipeline_shows_every_box() -> None:
    svg = pipeline(["runs", "zoo", "normalizer", "denoiser"], ["noise", "denoised", "scaled back", "new"], "told").svg()
    assert [text for text in ("runs", "zoo", "noise", "scaled back", "new", "told") if f">{text}<" not in svg] == []


def test_a_chain_has_an_arrow_and_a_word_between_neighbours() -> None:
    axis = chain(["yours", "generator", "new"], ["fit", "generate"]).axes[0]
    assert [text.get_text() for text in axis.texts if text.get_bbox_patch()] == ["yours", "generator", "new"]
    assert [text.get_text() for text in axis.texts[3:]] == ["", "fit", "", "generate"]
