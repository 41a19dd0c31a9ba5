"""Tests that charts show the values they are drawn from."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from amia.report.charts import (
    describe_loss_figure,
    f1_chart,
    interval_chart,
    loss_chart,
    share_bar,
    theta_chart,
    theta_track,
)
from amia.report.svg import PLOT_WIDTH, ticks
from amia.report.view_models import Breakdown, ThetaHistogram, TrainingCurve
from tests.helpers.report_contents import random_loss_figure

Element = ElementTree.Element


def parse(chart: Markup) -> Element:
    return ElementTree.fromstring(chart)  # noqa: S314 - trusted


def find_bars(chart: Element, css: str) -> list[Element]:
    return [rect for rect in chart.iter("rect") if rect.get("class") == css]


def points_of(chart: Element, css: str) -> list[tuple[float, float]]:
    (line,) = (polyline for polyline in chart.iter("polyline") if polyline.get("class") == css)
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in (line.get("points") or "").split())]


def left_labels(chart: Element) -> list[tuple[float, float]]:
    """Return value and vertical position of the labels on the left."""
    return [
        (float((text.text or "").replace(",", "").rstrip("%")), float(text.get("y") or 0) - 4)
        for text in chart.iter("text")
        if "left" in (text.get("class") or "")
    ]


def value_at(chart: Element, y: float) -> float:
    """Return the value on the left axis at a vertical position."""
    (low, bottom), *_, (high, top) = left_labels(chart)
    return low + (bottom - y) * (high - low) / (bottom - top)


def bar_values(chart: Element, bars: list[Element]) -> list[float]:
    return [value_at(chart, float(rect.get("y") or 0)) for rect in bars]


def test_heights_of_loss_bars() -> None:
    figure = random_loss_figure()
    chart = parse(loss_chart(figure, "loss-1"))
    bars = find_bars(chart, "posts")
    values = bar_values(chart, bars)
    assert values == pytest.approx([int(count) for count in figure.posts if count], abs=0.2)
    assert sum(round(value) for value in values) == figure.total
    lefts = [float(rect.get("x") or 0) for rect in bars]
    assert [int(left * len(figure.posts) / PLOT_WIDTH) for left in lefts] == figure.posts.nonzero()[0].tolist()


@pytest.mark.parametrize("name", ["matched", "mismatched"])
def test_gaussians_have_the_scale_of_the_bars(name: str) -> None:
    figure = random_loss_figure()
    chart = parse(loss_chart(figure, "loss-1"))
    points = points_of(chart, name)
    assert [x for x, _ in points] == pytest.approx((PLOT_WIDTH * figure.x).tolist(), abs=0.06)
    assert [value_at(chart, y) for _, y in points] == pytest.approx(getattr(figure, name).tolist(), abs=0.1)


def test_sum_of_gaussians() -> None:
    chart = parse(loss_chart(random_loss_figure(), "loss-1"))
    curves = {css: points_of(chart, css) for css in ("matched", "mismatched", "sum")}
    for (_, matched), (_, mismatched), (_, both) in zip(*curves.values(), strict=True):
        expected = value_at(chart, matched) + value_at(chart, mismatched)
        assert value_at(chart, both) == pytest.approx(expected, abs=0.2)


def test_theta_has_the_right_axis() -> None:
    figure = random_loss_figure()
    chart = parse(loss_chart(figure, "loss-1"))
    right = {
        text.text: float(text.get("y") or 0) - 4 for text in chart.iter("text") if "right" in (text.get("class") or "")
    }
    assert set(right) == {"0", "0.5", "1"}
    span = right["0"] - right["1"]
    thetas = [(right["0"] - y) / span for _, y in points_of(chart, "theta")]
    assert thetas == pytest.approx(figure.theta.tolist(), abs=1e-3)


def test_loss_chart_has_a_description() -> None:
    figure = random_loss_figure()
    chart = parse(loss_chart(figure, "loss-1"))
    assert chart.get("aria-labelledby") == "loss-1-t loss-1-d"
    assert [(child.get("id"), child.tag) for child in list(chart)[:2]] == [("loss-1-t", "title"), ("loss-1-d", "desc")]
    description = chart.findtext("desc") or ""
    assert description == describe_loss_figure(figure)
    assert "900 losses" in description
    means = re.findall(r"mean ([\d.]+)", description)
    assert [float(mean) for mean in means] == pytest.approx(
        [figure.loss(mean) for mean in figure.fit.mixture.means], rel=0.01
    )


def test_theta_bars_are_shares_of_the_split() -> None:
    thetas = ThetaHistogram(split="test", counts=[40, 0, 10, 0, 0, 0, 0, 25, 0, 125], matched=150)
    chart = parse(theta_chart(thetas, "theta-1", 0.8))
    bars = [*find_bars(chart, "mismatched"), *find_bars(chart, "matched")]
    assert bar_values(chart, bars) == pytest.approx([20, 5, 12.5, 62.5], abs=0.5)
    assert "150 of 200 posts have a θ above 0.5" in (chart.findtext("desc") or "")
    assert chart.findtext("title") == "θ of own images in test"
    of_synthesized = parse(theta_chart(thetas, "theta-2", 0.8, "synthesized images"))
    assert of_synthesized.findtext("title") == "θ of synthesized images in test"


def training_curves() -> list[TrainingCurve]:
    return [
        TrainingCurve(name="a", system="umt", arm="original", seed=0, f1=[0.40, 0.70, 0.65]),
        TrainingCurve(name="b", system="umt", arm="adaptive", seed=0, f1=[0.50, 0.60]),
        TrainingCurve(name="c", system="umt", arm="custom", seed=3, f1=[0.55]),
    ]


def test_f1_lines_have_a_dot_at_the_best_epoch() -> None:
    curves = training_curves()
    chart = parse(f1_chart("umt", curves, "f1-1"))
    for css, f1 in (("arm-original", curves[0].f1), ("arm-adaptive", curves[1].f1), ("arm-other", curves[2].f1)):
        points = points_of(chart, f"f1 {css}")
        assert [value_at(chart, y) for _, y in points] == pytest.approx([100 * value for value in f1], abs=0.1)
        assert [x for x, _ in points] == pytest.approx([PLOT_WIDTH * index / 2 for index in range(len(f1))], abs=0.1)
        assert set(points_of(chart, f"best {css}")) == {points[list(f1).index(max(f1))]}
    assert "original, seed 0: best 70.0" in (chart.findtext("desc") or "")


def test_f1_chart_with_context_has_the_common_scale() -> None:
    curves = training_curves()
    full = parse(f1_chart("umt", curves, "f1-1"))
    part = parse(f1_chart("umt", curves[:1], "f1-2", curves))
    background = [polyline for polyline in part.iter("polyline") if polyline.get("class") == "f1 background"]
    assert len(background) == 2
    assert len(points_of(part, "f1 arm-original")) == 3
    assert [x for x, _ in points_of(part, "f1 arm-original")] == [x for x, _ in points_of(full, "f1 arm-original")]
    assert "adaptive" not in (part.findtext("desc") or "")


@pytest.mark.parametrize("f1", [[0.0], [0.0, 0.0], [1.0], [1.0, 1.0, 1.0], [0.731, 0.731]])
def test_f1_chart_of_constant_values(f1: list[float]) -> None:
    chart = parse(f1_chart("umt", [TrainingCurve(name="a", system="umt", arm="text", seed=0, f1=f1)], "f1-1"))
    points = points_of(chart, "f1 arm-text")
    assert len(points) == len(f1)
    assert all(0 <= y <= 300 for _, y in points)


def test_widths_of_a_share_bar() -> None:
    chart = parse(share_bar(Breakdown(title="Image", parts={"usable": 900, "none": 0, "broken": 300}), "share-1"))
    bars = [(float(rect.get("x") or 0), float(rect.get("width") or 0)) for rect in chart.iter("rect")]
    assert bars == [(0, 750), (750, 250)]
    assert chart.findtext("title") == "Image: 900 usable, 0 none, 300 broken"


def test_share_bar_without_posts() -> None:
    assert not list(parse(share_bar(Breakdown(title="Image", parts={"usable": 0}), "share-1")).iter("rect"))


@pytest.mark.parametrize(("max_abs", "positions"), [(2.0, (26.0, 62.0, 38.0)), (1.0, (2.0, 74.0, 26.0))])
def test_interval_chart(max_abs: float, positions: tuple[float, float, float]) -> None:
    chart = parse(interval_chart((-0.5, -1.0, 0.5), max_abs))
    zero, line = chart.iter("line")
    (dot,) = chart.iter("circle")
    assert {zero.get("x1"), zero.get("x2")} == {"50%"}
    assert (line.get("x1"), line.get("x2"), dot.get("cx")) == tuple(f"{position:.1f}%" for position in positions)


def test_interval_chart_of_zero() -> None:
    (dot,) = parse(interval_chart((0.0, 0.0, 0.0), 0.0)).iter("circle")
    assert dot.get("cx") == "50.0%"


def test_theta_track() -> None:
    (dot,) = parse(theta_track(0.25)).iter("circle")
    assert dot.get("cx") == "25.0%"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_and_in_range(low: float, span: float, count: int) -> None:
    high = low + span
    if not low < high:
        return
    values = ticks(low, high, count)
    step = values[1] - values[0] if len(values) > 1 else span
    assert len(values) <= 2.6 * count + 1
    assert all(low - 1e-6 * step <= value <= high + 1e-6 * step for value in values)
    if len(values) > 1 and abs(low) < 1e3 * span:
        digits = f"{step:.3e}".partition("e")[0]
        assert digits in {"1.000", "2.000", "5.000"}


def test_ticks_of_an_empty_range() -> None:
    assert ticks(0.7, 0.7, 4) == [0.7]
