"""Charts: what is drawn is what was counted."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from amia.report.charts import f1_chart, interval, loss_chart, loss_words, share_bar, theta_chart, theta_track
from amia.report.svg import ACROSS, ticks
from amia.report.view_models import Breakdown, SplitThetas, TrainedCurve
from tests.helpers.report_contents import figure

Element = ElementTree.Element


def parsed(chart: Markup) -> Element:
    return ElementTree.fromstring(chart)  # noqa: S314 - our own


def bars(chart: Element, css: str) -> list[Element]:
    return [each for each in chart.iter("rect") if each.get("class") == css]


def points(chart: Element, css: str) -> list[tuple[float, float]]:
    (line,) = (each for each in chart.iter("polyline") if each.get("class") == css)
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in (line.get("points") or "").split())]


def levels(chart: Element) -> list[tuple[float, float]]:
    """(value, pixels down) of the labels on the left."""
    return [
        (float((each.text or "").replace(",", "").rstrip("%")), float(each.get("y") or 0) - 4)
        for each in chart.iter("text")
        if "left" in (each.get("class") or "")
    ]


def value_at(chart: Element, y: float) -> float:
    """What the left axis says of a height."""
    (low, foot), *_, (high, top) = levels(chart)
    return low + (foot - y) * (high - low) / (foot - top)


def test_bars_of_losses_are_as_high_as_they_have_posts() -> None:
    shown = figure()
    chart = parsed(loss_chart(shown, "loss-1"))
    drawn = bars(chart, "posts")
    filled = [int(count) for count in shown.posts if count]
    heights = [value_at(chart, float(each.get("y") or 0)) for each in drawn]
    assert heights == pytest.approx(filled, abs=0.2)
    assert sum(round(height) for height in heights) == shown.total
    lefts = [float(each.get("x") or 0) for each in drawn]
    assert [int(left * len(shown.posts) / ACROSS) for left in lefts] == shown.posts.nonzero()[0].tolist()


@pytest.mark.parametrize("name", ["matched", "mismatched"])
def test_gaussians_stand_on_the_scale_of_the_bars(name: str) -> None:
    shown = figure()
    chart = parsed(loss_chart(shown, "loss-1"))
    drawn = points(chart, name)
    assert [x for x, _ in drawn] == pytest.approx((ACROSS * shown.at).tolist(), abs=0.06)
    assert [value_at(chart, y) for _, y in drawn] == pytest.approx(getattr(shown, name).tolist(), abs=0.1)


def test_their_sum_is_their_sum() -> None:
    chart = parsed(loss_chart(figure(), "loss-1"))
    curves = {css: points(chart, css) for css in ("matched", "mismatched", "sum")}
    for (_, one), (_, other), (_, both) in zip(*curves.values(), strict=True):
        added = value_at(chart, one) + value_at(chart, other)
        assert value_at(chart, both) == pytest.approx(added, abs=0.2)


def test_theta_has_a_scale_of_its_own() -> None:
    shown = figure()
    chart = parsed(loss_chart(shown, "loss-1"))
    right = {
        each.text: float(each.get("y") or 0) - 4 for each in chart.iter("text") if "right" in (each.get("class") or "")
    }
    assert set(right) == {"0", "0.5", "1"}
    span = right["0"] - right["1"]
    drawn = [(right["0"] - y) / span for _, y in points(chart, "theta")]
    assert drawn == pytest.approx(shown.theta.tolist(), abs=1e-3)


def test_the_loss_chart_says_in_words_what_it_shows() -> None:
    shown = figure()
    chart = parsed(loss_chart(shown, "loss-1"))
    assert chart.get("aria-labeledby") == "loss-1-t loss-1-d"
    assert [(each.get("id"), each.tag) for each in list(chart)[:2]] == [("loss-1-t", "title"), ("loss-1-d", "desc")]
    said = chart.findtext("desc") or ""
    assert said == loss_words(shown)
    assert "900 losses" in said
    means = re.findall(r"mean at ([\d.]+)|one at ([\d.]+)", said)
    assert [float(one or other) for one, other in means] == pytest.approx(
        [shown.loss(mean) for mean in shown.fit.mixture.means], rel=0.01
    )


def test_bars_of_theta_are_shares_of_the_split() -> None:
    thetas = SplitThetas(split="test", posts=[40, 0, 10, 0, 0, 0, 0, 25, 0, 125], matched=150)
    chart = parsed(theta_chart(thetas, "theta-1", 0.8))
    low, high = bars(chart, "mismatched"), bars(chart, "matched")
    heights = [value_at(chart, float(each.get("y") or 0)) for each in (*low, *high)]
    assert heights == pytest.approx([20, 5, 12.5, 62.5], abs=0.5)
    assert "150 of 200 posts have a θ above 0.5" in (chart.findtext("desc") or "")


def curves() -> list[TrainedCurve]:
    return [
        TrainedCurve(name="a", system="umt", arm="original", seed=0, f1=[0.40, 0.70, 0.65]),
        TrainedCurve(name="b", system="umt", arm="adaptive", seed=0, f1=[0.50, 0.60]),
        TrainedCurve(name="c", system="umt", arm="of-my-own", seed=3, f1=[0.55]),
    ]


def test_a_line_a_training_with_a_dot_at_its_best_epoch() -> None:
    chart = parsed(f1_chart("umt", curves(), "f1-1"))
    for css, f1 in (("arm-original", curves()[0].f1), ("arm-adaptive", curves()[1].f1), ("arm-other", curves()[2].f1)):
        drawn = points(chart, f"f1 {css}")
        assert [value_at(chart, y) for _, y in drawn] == pytest.approx([100 * each for each in f1], abs=0.1)
        assert [x for x, _ in drawn] == pytest.approx([ACROSS * number / 2 for number in range(len(f1))], abs=0.1)
        best = points(chart, f"best {css}")
        assert set(best) == {drawn[list(f1).index(max(f1))]}
    assert "original, seed 0: best 70.0" in (chart.findtext("desc") or "")


def test_others_stand_behind_on_one_scale() -> None:
    some = curves()
    whole, part = parsed(f1_chart("umt", some, "f1-1")), parsed(f1_chart("umt", some[:1], "f1-2", some))
    behind = [each for each in part.iter("polyline") if each.get("class") == "f1 behind"]
    assert len(behind) == 2
    assert len(points(part, "f1 arm-original")) == 3
    assert [x for x, _ in points(part, "f1 arm-original")] == [x for x, _ in points(whole, "f1 arm-original")]
    assert "adaptive" not in (part.findtext("desc") or "")


@pytest.mark.parametrize("f1", [[0.0], [0.0, 0.0], [1.0], [1.0, 1.0, 1.0], [0.731, 0.731]])
def test_curves_without_any_height_can_be_drawn(f1: list[float]) -> None:
    chart = parsed(f1_chart("umt", [TrainedCurve(name="a", system="umt", arm="text", seed=0, f1=f1)], "f1-1"))
    drawn = points(chart, "f1 arm-text")
    assert len(drawn) == len(f1)
    assert all(0 <= y <= 300 for _, y in drawn)


def test_parts_of_a_bar_are_as_wide_as_their_shares() -> None:
    chart = parsed(share_bar(Breakdown(title="Image", parts={"usable": 900, "none": 0, "broken": 300}), "share-1"))
    drawn = [(float(each.get("x") or 0), float(each.get("width") or 0)) for each in chart.iter("rect")]
    assert drawn == [(0, 750), (750, 250)]
    assert chart.findtext("title") == "Image: 900 usable, 0 none, 300 broken"


def test_no_posts_are_an_empty_bar() -> None:
    assert not list(parsed(share_bar(Breakdown(title="Image", parts={"usable": 0}), "share-1")).iter("rect"))


@pytest.mark.parametrize(("reach", "places"), [(2.0, (26.0, 62.0, 38.0)), (1.0, (2.0, 74.0, 26.0))])
def test_an_interval_stands_beside_zero(reach: float, places: tuple[float, float, float]) -> None:
    drawn = parsed(interval((-0.5, -1.0, 0.5), reach))
    zero, line = drawn.iter("line")
    (dot,) = drawn.iter("circle")
    assert {zero.get("x1"), zero.get("x2")} == {"50%"}
    assert (line.get("x1"), line.get("x2"), dot.get("cx")) == tuple(f"{place:.1f}%" for place in places)


def test_a_difference_of_nothing_stands_on_zero() -> None:
    (dot,) = parsed(interval((0.0, 0.0, 0.0), 0.0)).iter("circle")
    assert dot.get("cx") == "50.0%"


def test_a_track_ends_at_theta() -> None:
    (dot,) = parsed(theta_track(0.25)).iter("circle")
    assert dot.get("cx") == "25.0%"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_and_inside(low: float, span: float, about: int) -> None:
    high = low + span
    if not low < high:
        return
    marks = ticks(low, high, about)
    step = marks[1] - marks[0] if len(marks) > 1 else span
    assert len(marks) <= 2.6 * about + 1
    assert all(low - 1e-6 * step <= mark <= high + 1e-6 * step for mark in marks)
    if len(marks) > 1 and abs(low) < 1e3 * span:
        digits = f"{step:.3e}".partition("e")[0]
        assert digits in {"1.000", "2.000", "5.000"}


def test_a_scale_without_length_has_one_tick() -> None:
    assert ticks(0.7, 0.7, 4) == [0.7]
