"""The heat map shows the values of its map, and its signs without colors."""

import re
from xml.etree import ElementTree

import pytest

from amia.experiments.map_lookup import Location
from amia.experiments.when_map import Baseline, WhenMap
from amia.report.map_chart import CELL_HEIGHT, map_chart, max_abs_gain
from amia.report.svg import PLOT_WIDTH
from tests.helpers.when_maps import KNOWN, MISMATCHED, linear_gain, make_map

MAP = make_map()


def parse(
    when: WhenMap = MAP, arm: str = "adaptive", over: Baseline = "original", location: Location | None = None
) -> ElementTree.Element:
    return ElementTree.fromstring(map_chart(when, arm, over, "name", 12.0, location))  # noqa: S314 - trusted


def texts(chart: ElementTree.Element, css: str) -> list[str]:
    return [text.text or "" for text in chart.iter("text") if css in (text.get("class") or "").split()]


def test_every_cell_shows_its_gain_and_interval() -> None:
    chart = parse()
    gains = [linear_gain(mismatched, known) for mismatched in MISMATCHED for known in KNOWN]
    shown = [float(text.replace("−", "-")) for text in texts(chart, "gain")]
    assert shown == pytest.approx(gains, abs=0.05)
    ends = [[float(end.replace("−", "-")) for end in text.split(" to ")] for text in texts(chart, "ends")]
    assert ends == [pytest.approx([gain - 1, gain + 1], abs=0.05) for gain in gains]
    assert texts(chart, "left") == ["0%", "20%", "40%", "60%"]
    assert texts(chart, "middle") == ["50%", "80%", "100%"]
    description = chart.findtext("desc") or ""
    assert "40% mismatched, 80% known: +4.0" in description
    assert "0% mismatched, 50% known: −10.0" in description


def test_signs_do_not_depend_on_colors() -> None:
    chart = parse()
    losses = [rect for rect in chart.iter("rect") if "loss" in (rect.get("class") or "")]
    hatched = [rect for rect in chart.iter("rect") if rect.get("class") == "hatched"]
    assert len(losses) == len(hatched) == sum(linear_gain(m, k) < -1e-9 for m in MISMATCHED for k in KNOWN)
    assert [(rect.get("x"), rect.get("y")) for rect in losses] == [(rect.get("x"), rect.get("y")) for rect in hatched]
    assert {rect.get("fill") for rect in hatched} == {"url(#name-hatch)"}
    assert [pattern.get("id") for pattern in chart.iter("pattern")] == ["name-hatch"]
    assert all(re.match(r"[+−]|0\.0$", text) for text in texts(chart, "gain"))
    unclear = {text for text in texts(chart, "gain") if text not in texts(chart, "clear")}
    assert unclear == {"0.0"}, "the intervals are a point wide on either side, and the gains two points apart"


def test_break_even_is_where_the_gain_is_zero() -> None:
    chart = parse(make_map(gain=lambda mismatched, known: 10 * (mismatched - 0.3)))
    points = [
        tuple(map(float, pair.split(",")))
        for line in chart.iter("polyline")
        for pair in (line.get("points") or "").split()
    ]
    # Halfway between the second and the third row, from the first to the last column.
    assert {y for _, y in points} == {2 * CELL_HEIGHT}
    assert min(x for x, _ in points) == pytest.approx(PLOT_WIDTH / 6, abs=0.1)
    assert max(x for x, _ in points) == pytest.approx(PLOT_WIDTH * 5 / 6, abs=0.1)
    assert not list(parse(make_map(gain=lambda mismatched, known: 1.0)).iter("polyline"))


def test_marks_a_place() -> None:
    chart = parse(location=Location(0.5, 0.65, False))
    (ring,) = (circle for circle in chart.iter("circle") if circle.get("class") == "place")
    assert ring.get("cx") == "33.33%", "halfway between the first two columns"
    assert float(ring.get("cy") or 0) == 3 * CELL_HEIGHT
    assert not list(parse().iter("circle"))


def test_colors_share_a_scale() -> None:
    assert max_abs_gain(MAP) == pytest.approx(14)  # the largest gain over text
    opacities = [float(rect.get("fill-opacity") or 0) for rect in parse().iter("rect") if rect.get("fill-opacity")]
    assert max(opacities) == opacities[-1] == pytest.approx(0.42)


def test_missing_results() -> None:
    (first, *others) = MAP.points
    chart = parse(MAP.model_copy(update={"points": (first.model_copy(update={"arms": {}}), *others)}))
    assert texts(chart, "gain")[0] == "–"
    assert len(texts(chart, "ends")) == len(MAP.points) - 1
