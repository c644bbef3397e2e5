"""Figures: arrays in, Figure out, one look that does not leak."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cpd import figures
from cpd.sketch import pipeline


def test_the_look_ends_with_the_block() -> None:
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["font.size"] == 9
    assert dict(mpl.rcParams) == before


def test_point_clouds_draw_every_point_in_its_own_panel() -> None:
    clouds = {name: np.random.default_rng(0).normal(size=(30, 2)) for name in ("a", "b", "c", "d", "e")}
    figure = figures.point_clouds(clouds, {name: np.arange(30) % 2 for name in clouds}, ["even", "odd"])
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert isinstance(figure, Figure)
    assert [axis.get_title() for axis in panels] == list(clouds)
    assert all(sum(len(line.get_xdata()) for line in axis.lines) == 30 for axis in panels)


def test_layouts_draw_every_point_once_and_ring_the_marked_ones() -> None:
    rng, ringed = np.random.default_rng(0), np.arange(30) >= 24
    planes = {name: rng.normal(size=(30, 2)) for name in ("a", "b", "c", "d")}
    figure = figures.layouts(planes, np.arange(30) % 2, ["even", "odd"], ringed, "generated")
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == list(planes)
    assert all(sum(len(line.get_xdata()) for line in axis.lines) == 24 for axis in panels)
    np.testing.assert_array_equal(panels[1].collections[0].get_offsets(), planes["b"][ringed])


def test_few_positions_on_a_logarithmic_axis_are_named_and_many_are_not() -> None:
    def labels(x: list[float]) -> list[str]:
        figure = figures.curves(x, {"loss": np.ones(len(x))}, "runs", "loss", log_x=True)
        figure.canvas.draw()
        axis = figure.axes[0].xaxis
        return [
            each.get_text() for each in [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)] if each.get_visible()
        ]

    assert [each for each in labels([1, 2, 4, 8]) if each] == ["1", "2", "4", "8"]
    assert "2" not in labels(list(range(1, 100)))


def test_curves_and_dots_carry_labels_units_and_values() -> None:
    values = np.array([1.0, 0.1, 0.01])
    curve = figures.curves([0, 1, 2], {"loss": values}, "step", "loss (nats)", log=True).axes[0]
    assert (curve.get_xlabel(), curve.get_ylabel(), curve.get_yscale()) == ("step", "loss (nats)", "log")
    assert np.array_equal(curve.lines[0].get_ydata(), values)
    dot = figures.dots(["x", "y", "z"], {"first": values, "second": 2 * values}, "distance").axes[0]
    assert [label.get_text() for label in dot.get_yticklabels()] == ["x", "y", "z"]
    assert np.array_equal(dot.lines[1].get_xdata(), 2 * values)


def test_equal_dots_of_a_row_are_all_seen_and_stay_in_their_row() -> None:
    values = np.array([1.0, 2.0])
    axis = figures.dots(["x", "y"], dict.fromkeys("abc", values), "distance", log=True).axes[0]
    heights = np.array([line.get_ydata() for line in axis.get_lines()])  # (series, rows)
    assert len(np.unique(heights)) == heights.size
    assert (np.abs(heights - np.arange(2)) < 0.5).all()


def test_intervals_draw_bars_where_they_end_somewhere() -> None:
    mean, low, high = np.array([1.0, 2.0]), np.array([0.5, -np.inf]), np.array([1.5, np.inf])
    axis = figures.intervals(["a", "b"], mean, low, high, "points").axes[0]
    assert [segment.tolist() for segment in axis.collections[0].get_segments()] == [[[0.5, 0], [1.5, 0]]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]


def test_small_multiples_draw_each_group_in_its_panel_on_one_axis() -> None:
    panels = {"a": {"x": (0.0, -1.0, 1.0), "y": (-50.0, -np.inf, np.inf)}, "b": {"z": (2.0, 1.0, 3.0)}}
    figure = figures.small_multiples(panels, "points", linear=2)
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["x", "y"]
    assert list(first.lines[1].get_xdata()) == [0, -50] and list(second.lines[1].get_xdata()) == [2]
    assert [segment.tolist() for segment in first.collections[0].get_segments()] == [[[-1, 0], [1, 0]]]
    assert first.get_xlim() == second.get_xlim() and first.get_xlim()[0] < -50


def test_scatter_pairs_the_values_of_each_series() -> None:
    axis = figures.scatter({"a": np.arange(3), "b": np.arange(2)}, {"b": np.ones(2), "a": np.zeros(3)}, "x", "y").axes[
        0
    ]
    assert [(line.get_label(), list(line.get_ydata())) for line in axis.lines] == [("a", [0, 0, 0]), ("b", [1, 1])]


def test_pictures_fill_rows_of_their_own_and_name_whose_they_are() -> None:
    grid = {"real": np.full((5, 4, 4, 3), 200, np.uint8), "drawn": np.zeros((2, 4, 4, 3), np.uint8)}
    figure = figures.pictures(grid, "by A. Person", ["red apple"] * 5, columns=3)
    shown = [[len(axis.images) for axis in figure.axes[i : i + 3]] for i in range(0, 9, 3)]
    assert shown == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["real", "drawn"]
    assert figure.get_supxlabel() == "by A. Person"
    assert figure.axes[4].get_title() == "red apple" and figure.axes[6].get_title() == ""


def test_the_pipeline_shows_every_box_and_what_is_used_again() -> None:
    figure = pipeline(["runs", "zoo", "normalizer", "denoiser"], ["noise", "denoised", "scaled back", "new"], "told")
    axis = figure.axes[0]
    shown = [text for text in axis.texts if text.get_text()]
    assert {text.get_text() for text in shown} >= {"runs", "zoo", "noise", "scaled back", "new", "told"}
    arrows = [text for text in axis.texts if not text.get_text()]
    assert sum(arrow.arrow_patch.get_linestyle() == "--" for arrow in arrows) == 2
    assert len(arrows) == 3 + 3 + 2 + 2
