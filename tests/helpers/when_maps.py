"""Maps of when augmentation helps with given values, for tests: none of them was measured."""

from collections.abc import Callable, Sequence

from amia.experiments.match_shares import Share
from amia.experiments.run_specs import WHEN_ARMS
from amia.experiments.table import Interval
from amia.experiments.when_map import ArmScore, MapPoint, WhenMap

MISMATCHED, KNOWN = (0.0, 0.2, 0.4, 0.6), (0.5, 0.8, 1.0)
IMAGES = 100_000
"""Images of each share, so that it is precise."""

Value = Callable[[float, float], float]
"""A value by the shares of mismatched images and of known names."""


def linear_gain(mismatched: float, known: float) -> float:
    """Gain that is 0 where `mismatched` + `known` is 1."""
    return 20 * (mismatched + known - 1)


def make_map(
    *,
    gain: Value = linear_gain,
    original: Value = lambda mismatched, known: 0.95 - 0.9 * mismatched,
    synthesized: Value = lambda mismatched, known: 0.1 + 0.8 * known,
    half_width: float = 1.0,
    mismatched: Sequence[float] = MISMATCHED,
    known: Sequence[float] = KNOWN,
    notice: str | None = None,
) -> WhenMap:
    """Return a map with F1 80 on text, 82 on original images, and `gain` over these for all other arms."""

    def score(arm: str, value: float) -> ArmScore:
        over_text = {"text": None, "original": 2.0}.get(arm, 2 + value)
        over_original = {"text": -2.0, "original": None}.get(arm, value)
        f1 = 82 + (0.0 if over_original is None else over_original)
        return ArmScore(f1=f1, f1_sd=0.5, over_original=interval(over_original), over_text=interval(over_text))

    def interval(value: float | None) -> Interval | None:
        return None if value is None else (value, value - half_width, value + half_width)

    return WhenMap(
        recognizer="bert-resnet-crf",
        notice=notice,
        points=tuple(
            MapPoint(
                mismatched=m,
                known=k,
                posts=1000,
                seeds=3,
                original=make_share(original(m, k)),
                synthesized=make_share(synthesized(m, k)),
                rejection_reason=None,
                arms={arm: score(arm, gain(m, k)) for arm in WHEN_ARMS},
            )
            for m in mismatched
            for k in known
        ),
    )


def make_share(value: float, total: int = IMAGES) -> Share:
    """Return a share of a given value."""
    return Share(matched=round(value * total), total=total)
