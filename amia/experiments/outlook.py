"""Outlook: whether augmentation is likely to help on a corpus, from its scores alone and before any training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amia.experiments.map_lookup import Location, Match, locate, refine
from amia.experiments.match_shares import MatchShares
from amia.experiments.table import Interval
from amia.experiments.when_map import Baseline, WhenMap

__all__ = ["MAX_INTERVAL_WIDTH", "ExpectedGain", "FitInfo", "Outlook", "make_outlook"]

MAX_INTERVAL_WIDTH = 0.2
"""A share whose 95 % interval is wider is not looked up: it would span more than one row of the map. At least 93 images
are needed for a narrower one, whatever the share."""
ARMS = ("adaptive", "two-sided")
"""Arms whose gains decide."""
CAUTION = (
    "The map was measured on a drawn world with tiny models. Its signs and its order may carry over to real posts; its "
    "numbers do not."
)

Verdict = Literal["likely to help", "may help or hurt", "likely to hurt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitInfo:
    """How the mixture of a run came about, whose theta tells which images match."""

    images: int
    """Posts with an image in the splits that a mixture is fitted on."""
    min_images: int
    """Number that a fit needs: `mixture.min_losses`."""
    rejection_reason: str | None = None
    """Why the checks rejected the fit, which was accepted by the user."""
    is_borrowed: bool = False
    """Whether the mixture was fitted on other posts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedGain:
    """Gains of an arm at a place of the map, in percentage points of F1."""

    arm: str
    over_original: Interval
    """Interpolated gain over the posts' own images. Its interval covers the map's at all places that are possible."""
    over_text: Interval
    """The same over the recognizer without images."""
    verdict: Verdict
    """From the interval of `over_original`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the scores of a corpus say about augmentation."""

    shares: Mapping[str, MatchShares]
    """By split."""
    total: MatchShares
    """Over all splits: these are looked up on the map."""
    summary: str
    """One sentence."""
    cautions: tuple[str, ...]
    location: Location | None = None
    """Place on the map; None if the summary says why there is none."""
    gains: tuple[ExpectedGain, ...] = ()


def make_outlook(
    when: WhenMap | None, shares: Mapping[str, MatchShares], total: MatchShares, fit: FitInfo, command: str
) -> Outlook:
    """Look up a corpus on the map. `command` is the one that compares the synthesized images with their texts."""
    cautions = []
    if total.synthesized is None:
        cautions.append(f"The share of synthesized images that match was not computed: `{command}` computes it.")
    if fit.is_borrowed:
        cautions.append("Theta is that of a mixture that was fitted on other posts.")
    problem = _describe_problem(when, total, fit)
    if problem or when is None or total.synthesized is None:
        return Outlook(shares=shares, total=total, summary=problem, cautions=tuple(cautions))
    cautions.append(CAUTION)
    match = locate(when, total.original, total.synthesized)
    if match.location.outside:
        cautions.append("No corpus of the map has such shares; the place with the nearest ones was taken.")
    gains = [_expect_gain(when, arm, match) for arm in ARMS if arm in when.arms]
    return Outlook(
        shares=shares,
        total=total,
        summary=_summarize(gains),
        cautions=tuple(cautions),
        location=match.location,
        gains=tuple(gains),
    )


def _describe_problem(when: WhenMap | None, total: MatchShares, fit: FitInfo) -> str:
    """Return a sentence that says why a corpus cannot be looked up; empty if it can."""
    if fit.images < fit.min_images:
        return (
            f"Cannot tell (too few posts): {fit.images:,} images to fit a mixture on, and at least {fit.min_images:,} "
            "are needed."
        )
    if fit.rejection_reason:
        return f"Cannot tell: the checks rejected the mixture of this run, since {fit.rejection_reason}."
    for what, share in (("own", total.original), ("synthesized", total.synthesized)):
        if share is not None and share.interval[1] - share.interval[0] > MAX_INTERVAL_WIDTH:
            low, high = share.interval
            return (
                f"Cannot tell (too few posts): of the {what} images, {low:.0%} to {high:.0%} match (95 % interval of "
                f"{share.total:,} images), which spans more than {MAX_INTERVAL_WIDTH:.0%}."
            )
    if when is None:
        return "Cannot tell: no map of when augmentation helps ships with this version of amia."
    if total.synthesized is None:
        return "Cannot tell yet: the share of synthesized images that match is not known."
    return ""


def _summarize(gains: list[ExpectedGain]) -> str:
    by_verdict: dict[Verdict, list[str]] = {}
    for gain in gains:
        by_verdict.setdefault(gain.verdict, []).append(gain.arm)
    parts = [f"{' and '.join(arms)} images {_VERBS[verdict]}" for verdict, arms in by_verdict.items()]
    sentence = ", ".join(parts) + ", compared with the posts' own images, where this corpus lies on the map."
    return sentence[0].upper() + sentence[1:]


_VERBS: Mapping[Verdict, str] = {
    "likely to help": "are likely to help",
    "may help or hurt": "may help or hurt",
    "likely to hurt": "are likely to hurt",
}


def _expect_gain(when: WhenMap, arm: str, match: Match) -> ExpectedGain:
    """Return the gain at a place, with the lowest and highest end of the map's intervals at all possible places."""

    def interpolated_gain(over: Baseline) -> Interval:
        value, low, high = (refine(when, values) for values in when.gains(arm, over))
        return float(value[match.index]), float(low[match.possible].min()), float(high[match.possible].max())

    over_original = interpolated_gain("original")
    _, low, high = over_original
    verdict: Verdict = "likely to help" if low > 0 else "likely to hurt" if high < 0 else "may help or hurt"
    return ExpectedGain(arm=arm, over_original=over_original, over_text=interpolated_gain("text"), verdict=verdict)
