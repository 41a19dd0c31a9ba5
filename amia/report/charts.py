"""Charts of the report as SVG. Colors are defined by the classes of the page's style sheet."""

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from amia.experiments.table import Interval
from amia.report.loss_figure import LossFigure
from amia.report.svg import Plot, bar, curve, join_markup, ticks
from amia.report.view_models import Breakdown, ThetaHistogram, TrainingCurve

__all__ = [
    "MAX_ARMS_PER_CHART",
    "arm_class",
    "describe_loss_figure",
    "f1_chart",
    "interval_chart",
    "loss_chart",
    "share_bar",
    "theta_chart",
    "theta_track",
]

MAX_ARMS_PER_CHART = 4
"""Number of arms whose curves are distinguishable in one chart."""
_COLORED_ARMS = ("text", "original", "synthesized", "adaptive", "two-sided", "cosine", "cosine-minmax")
_MAX_THETA_Y = 1 / 0.97
"""Top of the scale of theta, which leaves a margin above 1."""


def loss_chart(figure: LossFigure, name: str) -> Markup:
    """Draw a histogram of losses, the two Gaussians in posts per bin, their sum, and theta on a separate scale."""
    mixture = figure.fit.mixture
    both = figure.matched + figure.mismatched
    max_posts = max(float(figure.posts.max()), float(both.max()))
    plot = Plot(height=250, low=mixture.low, high=mixture.high, max_y=max_posts * 1.04)
    counts = ticks(0, max_posts, 4)
    plot.left_axis(counts, [f"{count:,.0f}" for count in counts])
    plot.right_axis([0, 0.5, 1], ["0", "0.5", "1"], _MAX_THETA_Y, "theta-label")
    losses = ticks(mixture.low, mixture.high, 6)
    plot.bottom_axis(losses, [f"{loss:.4g}" for loss in losses])
    if figure.turning_point is not None:
        plot.vertical_line(figure.loss(figure.turning_point), "turning-point")
    width = 1 / len(figure.posts)
    for index, posts in enumerate(figure.posts.tolist()):
        if posts:
            plot.add(bar((index + 0.1) * width, (index + 0.9) * width, plot.y(posts), plot.baseline, "posts"))
    for values, css in ((both, "sum"), (figure.matched, "matched"), (figure.mismatched, "mismatched")):
        plot.add(curve(zip(figure.x.tolist(), map(plot.y, values.tolist()), strict=True), css))
    thetas = [plot.y(theta, _MAX_THETA_Y) for theta in figure.theta.tolist()]
    plot.add(curve(zip(figure.x.tolist(), thetas, strict=True), "theta"))
    return plot.render(name, f"Losses of {figure.about}", describe_loss_figure(figure))


def describe_loss_figure(figure: LossFigure) -> str:
    """Describe the chart in words."""
    mixture = figure.fit.mixture
    means = [figure.loss(mean) for mean in mixture.means]
    description = (
        f"{figure.total:,} losses between {mixture.low:.3g} and {mixture.high:.3g}. Matched: mean {means[0]:.3g}, "
        f"{mixture.weights[0]:.0%} of the posts. Mismatched: mean {means[1]:.3g}, {mixture.weights[1]:.0%} of the "
        "posts."
    )
    if figure.turning_point is not None:
        description += f" θ falls below 0.5 at a loss of {figure.loss(figure.turning_point):.3g}."
    return description


def theta_chart(thetas: ThetaHistogram, name: str, max_share: float, images: str = "own images") -> Markup:
    """Draw a histogram of theta in percent of the posts, and say whose `images` it is of.

    `max_share` is the largest share of any bin of all splits.
    """
    plot = Plot(height=120, low=0, high=1, max_y=max_share * 1.04)
    shares = ticks(0, max_share, 3)
    plot.left_axis(shares, [f"{share:.0%}" for share in shares])
    plot.bottom_axis([0, 0.5, 1], ["0", "0.5", "1"])
    width = 1 / len(thetas.counts)
    for index, posts in enumerate(thetas.counts):
        css = "matched" if (index + 0.5) * width > 0.5 else "mismatched"
        if posts:
            top = plot.y(posts / thetas.total)
            plot.add(bar((index + 0.06) * width, (index + 0.94) * width, top, plot.baseline, css))
    description = f"{thetas.matched:,} of {thetas.total:,} posts have a θ above 0.5."
    return plot.render(name, f"θ of {images} in {thetas.split}", description)


def f1_chart(title: str, curves: Sequence[TrainingCurve], name: str, context: Sequence[TrainingCurve] = ()) -> Markup:
    """Draw validation F1 by epoch: one line per training, colored by arm, with a dot at the best epoch.

    With `context`, a superset of `curves`, the chart is smaller, has the scale of all curves of the context, and shows
    the others in gray.
    """
    on_scale = context or curves
    max_epochs = max(2, *(len(training.f1) for training in on_scale))
    lowest, highest = min(min(training.f1) for training in on_scale), max(training.best for training in on_scale)
    f1_ticks = ticks(max(0.0, lowest - 0.02), min(1.0, highest + 0.02), 3 if context else 4)
    floor = min(lowest, f1_ticks[0]) if f1_ticks else lowest
    span = max(highest - floor, 0.01)
    plot = Plot(height=110 if context else 210, low=1, high=max_epochs, max_y=span * 1.06)
    f1_ticks = [f1 for f1 in f1_ticks if f1 >= floor]
    plot.left_axis([f1 - floor for f1 in f1_ticks], [f"{100 * f1:.3g}" for f1 in f1_ticks])
    epochs = [epoch for epoch in ticks(1, max_epochs, 3 if context else 6) if epoch == round(epoch)]
    plot.bottom_axis(epochs, [f"{epoch:.0f}" for epoch in epochs])

    def points(training: TrainingCurve) -> list[tuple[float, float]]:
        return [(plot.x(epoch), plot.y(f1 - floor)) for epoch, f1 in enumerate(training.f1, start=1)]

    names = {training.name for training in curves}
    plot.add(*(curve(points(training), "f1 background") for training in context if training.name not in names))
    for training in curves:
        line, css = points(training), arm_class(training.arm)
        best = line[training.f1.index(training.best)]
        plot.add(curve(line, f"f1 {css}"), curve([best, best], f"best {css}"))
    descriptions = (f"{training.arm}, seed {training.seed}: best {100 * training.best:.1f}" for training in curves)
    return plot.render(name, f"Validation F1 of {title} by epoch, in percent", "; ".join(descriptions))


def arm_class(arm: str) -> str:
    """Return the CSS class that defines the color of an arm."""
    return f"arm-{arm}" if arm in _COLORED_ARMS else "arm-other"


def share_bar(breakdown: Breakdown, name: str) -> Markup:
    """Draw all posts as one stacked bar."""
    ends = [0, *itertools.accumulate(breakdown.parts.values())]
    total = breakdown.total or 1
    shapes = [
        bar(left / total, right / total, 0, 10, f"part part-{index}")
        for index, (left, right) in enumerate(itertools.pairwise(ends))
        if right > left
    ]
    description = ", ".join(f"{count:,} {part}" for part, count in breakdown.parts.items())
    return Markup(
        '<svg class="share" viewBox="0 0 1000 10" width="100%" height="10" preserveAspectRatio="none" role="img" '
        'aria-labelledby="{name}-t"><title id="{name}-t">{title}: {description}</title>{shapes}</svg>'
    ).format(name=name, title=breakdown.title, description=description, shapes=join_markup(shapes))


def interval_chart(interval: Interval, max_abs: float) -> Markup:
    """Draw a difference with its confidence interval and a line at zero, on a scale from -max_abs to max_abs."""
    difference, low, high = (50 + 48 * value / (max_abs or 1.0) for value in interval)
    return Markup(
        '<svg class="interval" width="100%" height="14" aria-hidden="true"><line class="zero" x1="50%" x2="50%" '
        'y1="-9" y2="23"/><line x1="{:.1f}%" x2="{:.1f}%" y1="7" y2="7"/><circle cx="{:.1f}%" cy="7" r="3.5"/></svg>'
    ).format(low, high, difference)


def theta_track(theta: float) -> Markup:
    """Draw theta as a position on a line from 0 to 1."""
    return Markup(
        '<svg class="track" width="100%" height="12" aria-hidden="true"><line x1="0" x2="100%" y1="6" y2="6"/>'
        '<line class="filled" x1="0" x2="{0:.1f}%" y1="6" y2="6"/><circle cx="{0:.1f}%" cy="6" r="4"/></svg>'
    ).format(100 * theta)
