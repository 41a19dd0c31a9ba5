"""The report's charts, drawn as SVG with colors by class: the page's style says what a class looks like."""

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from amia.experiments.table import Interval
from amia.report.loss_figure import LossFigure
from amia.report.svg import Plot, bar, curve, joined, ticks
from amia.report.view_models import Breakdown, SplitThetas, TrainedCurve

__all__ = [
    "MAX_CURVES_TOGETHER",
    "arm_class",
    "f1_chart",
    "interval",
    "loss_chart",
    "share_bar",
    "theta_chart",
    "theta_track",
]

# MERGED FROM amia.report.charts: The numbers of the loss chart: bars of posts, both Gaussians in posts a bar, and theta.


_ARMS = ("text", "original", "synthesized", "adaptive", "cosine", "cosine-minmax")
"""Arms with a color of their own."""
MAX_CURVES_TOGETHER = 4
"""Arms whose curves can be told apart in one chart."""


def loss_chart(figure: LossFigure, name: str) -> Markup:
    """Losses as bars of posts, the two Gaussians in posts a bar, their sum, and theta on a scale of its own."""
    mixture = figure.fit.mixture
    both = figure.matched + figure.mismatched
    tallest = max(float(figure.posts.max()), float(both.max()))
    plot = Plot(inner=250, low=mixture.low, high=mixture.high, most=tallest * 1.04)
    counts = ticks(0, tallest, 4)
    plot.left_axis(counts, [f"{count:,.0f}" for count in counts])
    plot.right_axis([0, 0.5, 1], ["0", "0.5", "1"], 1 / 0.97, "of-theta")
    losses = ticks(mixture.low, mixture.high, 6)
    plot.bottom_axis(losses, [f"{loss:.4g}" for loss in losses])
    if figure.turning is not None:
        plot.upright(figure.loss(figure.turning), "turning")
    width = 1 / len(figure.posts)
    for place, posts in enumerate(figure.posts.tolist()):
        if posts:
            plot.add(bar((place + 0.1) * width, (place + 0.9) * width, plot.y(posts), plot.foot, "posts"))
    for values, css in ((both, "sum"), (figure.matched, "matched"), (figure.mismatched, "mismatched")):
        plot.add(curve(zip(figure.at.tolist(), map(plot.y, values.tolist()), strict=True), css))
    thetas = [plot.y(theta, 1 / 0.97) for theta in figure.theta.tolist()]
    plot.add(curve(zip(figure.at.tolist(), thetas, strict=True), "theta"))
    return plot.drawn(name, f"Losses of {figure.about}", loss_words(figure))


def loss_words(figure: LossFigure) -> str:
    """The chart in a sentence or two."""
    mixture = figure.fit.mixture
    means = [figure.loss(mean) for mean in mixture.means]
    said = (
        f"{figure.total:,} losses between {mixture.low:.3g} and {mixture.high:.3g}. The matched Gaussian has its mean "
        f"at {means[0]:.3g} and {mixture.weights[0]:.0%} of the posts, the mismatched one at {means[1]:.3g} and "
        f"{mixture.weights[1]:.0%}."
    )
    if figure.turning is not None:
        said += f" θ falls below 0.5 at a loss of {figure.loss(figure.turning):.3g}."
    return said


def theta_chart(thetas: SplitThetas, name: str, most: float) -> Markup:
    """How theta is spread in one split, in percent of its posts; `most` is the tallest share of all splits."""
    plot = Plot(inner=120, low=0, high=1, most=most * 1.04)
    shares = ticks(0, most, 3)
    plot.left_axis(shares, [f"{share:.0%}" for share in shares])
    plot.bottom_axis([0, 0.5, 1], ["0", "0.5", "1"])
    width = 1 / len(thetas.posts)
    for place, posts in enumerate(thetas.posts):
        css = "matched" if (place + 0.5) * width > 0.5 else "mismatched"
        if posts:
            top = plot.y(posts / thetas.total)
            plot.add(bar((place + 0.06) * width, (place + 0.94) * width, top, plot.foot, css))
    said = f"{thetas.matched:,} of {thetas.total:,} posts have a θ above 0.5."
    return plot.drawn(name, f"θ in {thetas.split}", said)


def f1_chart(title: str, curves: Sequence[TrainedCurve], name: str, among: Sequence[TrainedCurve] = ()) -> Markup:
    """Validation F1 after each epoch: a line a training, colored by arm, a dot at its best epoch.

    With `among`, trainings that the curves are some of: a smaller chart on the scale of all, the others behind in gray.
    """
    scale = among or curves
    longest = max(len(each.f1) for each in scale)
    lowest, highest = min(min(each.f1) for each in scale), max(each.best for each in scale)
    marks = ticks(max(0.0, lowest - 0.02), min(1.0, highest + 0.02), 3 if among else 4)
    floor = min(lowest, marks[0]) if marks else lowest
    span = max(highest - floor, 0.01)
    plot = Plot(inner=110 if among else 210, low=1, high=max(2, longest), most=span * 1.06)
    inside = [mark for mark in marks if mark >= floor]
    plot.left_axis([mark - floor for mark in inside], [f"{100 * mark:.3g}" for mark in inside])
    epochs = [epoch for epoch in ticks(1, max(2, longest), 3 if among else 6) if epoch == round(epoch)]
    plot.bottom_axis(epochs, [f"{epoch:.0f}" for epoch in epochs])

    def points(of: TrainedCurve) -> list[tuple[float, float]]:
        return [(plot.x(epoch), plot.y(f1 - floor)) for epoch, f1 in enumerate(of.f1, start=1)]

    own = {each.name for each in curves}
    plot.add(*(curve(points(each), "f1 behind") for each in among if each.name not in own))
    for each in curves:
        line = points(each)
        best = line[each.f1.index(each.best)]
        plot.add(curve(line, f"f1 {arm_class(each.arm)}"), curve([best, best], f"best {arm_class(each.arm)}"))
    words = (f"{each.arm}, seed {each.seed}: best {100 * each.best:.1f}" for each in curves)
    return plot.drawn(name, f"Validation F1 of {title} by epoch, in percent", "; ".join(words))


def arm_class(arm: str) -> str:
    """The class that colors an arm's lines."""
    return f"arm-{arm}" if arm in _ARMS else "arm-other"


def share_bar(breakdown: Breakdown, name: str) -> Markup:
    """All posts as one bar, cut by what they are."""
    ends = [0, *itertools.accumulate(breakdown.parts.values())]
    total = breakdown.total or 1
    shapes = [
        bar(left / total, right / total, 0, 10, f"part part-{place}")
        for place, (left, right) in enumerate(itertools.pairwise(ends))
        if right > left
    ]
    said = ", ".join(f"{count:,} {part}" for part, count in breakdown.parts.items())
    return Markup(
        '<svg class="share" viewBox="0 0 1000 10" width="100%" height="10" preserveAspectRatio="none" role="img" '
        'aria-labeledby="{name}-t"><title id="{name}-t">{title}: {said}</title>{shapes}</svg>'
    ).format(name=name, title=breakdown.title, said=said, shapes=joined(shapes))


def interval(told: Interval, reach: float) -> Markup:
    """A difference and its interval beside zero, on a scale from -reach to reach."""
    difference, low, high = (50 + 48 * end / (reach or 1.0) for end in told)
    return Markup(
        '<svg class="interval" width="100%" height="14" aria-hidden="true"><line class="zero" x1="50%" x2="50%" '
        'y1="-9" y2="23"/><line x1="{:.1f}%" x2="{:.1f}%" y1="7" y2="7"/><circle cx="{:.1f}%" cy="7" r="3.5"/></svg>'
    ).format(low, high, difference)


def theta_track(theta: float) -> Markup:
    """theta as a place between 0 and 1."""
    return Markup(
        '<svg class="track" width="100%" height="12" aria-hidden="true"><line x1="0" x2="100%" y1="6" y2="6"/>'
        '<line class="upto" x1="0" x2="{0:.1f}%" y1="6" y2="6"/><circle cx="{0:.1f}%" cy="6" r="4"/></svg>'
    ).format(100 * theta)
