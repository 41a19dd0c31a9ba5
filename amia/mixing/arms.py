"""Arms: what determines the mixing ratio of a post (paper 3.4 and its ablations).

A ratio of 1 is the original image alone, 0 the synthesized image alone. None means that the post has no image in this
arm, and its visual tokens are masked in the recognizer.
"""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from amia.errors import SettingsError

__all__ = [
    "ARMS",
    "CONTROLS",
    "ArmRule",
    "MatchScores",
    "check_arm",
    "describe_arm",
    "mixing_ratio",
    "needs_synthesis",
    "needs_theta_synthesized",
]

MIN_THETA = 0.01
"""In arm `two-sided`, a post whose theta and theta_V are both lower keeps its own image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchScores:
    """How well text and image of one post match. A score that the arm does not need may be NaN."""

    theta: float = math.nan
    """Posterior of eq. 8, in [0, 1]."""
    theta_synthesized: float = math.nan
    """theta_V: the posterior of eq. 8 for the text and the synthesized image, in [0, 1]."""
    cosine: float = math.nan
    """Cosine of the two CLIP embeddings, in [-1, 1]."""
    cosine_range: tuple[float, float] = (math.nan, math.nan)
    """Smallest and largest cosine of the training posts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRule:
    """The rule of an arm."""

    description: str
    """Phrase that says which image the arm shows."""
    ratio: Callable[[MatchScores], float] | None = None
    """Ratio of a post with an image and a synthesized image, clipped to [0, 1]. None: the arm shows no image."""
    needs: tuple[str, ...] = ()
    """Scores that `ratio` reads: names of fields of `MatchScores`."""
    needs_synthesis: bool = True
    synthesized_if_no_image: bool = False
    """Whether a post without an image shows the synthesized image alone. Otherwise it has no image in this arm."""


def _minmax(scores: MatchScores) -> float:
    low, high = scores.cosine_range
    # If all training posts have the same cosine, it carries no information: half of each.
    return (scores.cosine - low) / (high - low) if high > low else 0.5


def _two_sided(scores: MatchScores) -> float:
    """Return the probability that the post's own image matches, given that at least one of its two images does.

    The two events are taken as independent, with the probabilities theta and theta_V. If neither image matches, the
    condition fails, and the own image is kept: nothing speaks for another one.
    """
    theta, theta_synthesized = scores.theta, scores.theta_synthesized
    if max(theta, theta_synthesized) < MIN_THETA:
        return 1.0
    return theta / (theta + (1 - theta) * theta_synthesized)


_BLEND = "the post's own image and one synthesized from its text, blended"


def _fixed(share: str) -> ArmRule:
    ratio = float(share)
    return ArmRule(description=f"{_BLEND} with a share of {share} of the former", ratio=lambda _: ratio)


ARMS = {
    "text": ArmRule(description="no image, so that only texts are read", needs_synthesis=False),
    "original": ArmRule(description="the post's own image", ratio=lambda _: 1.0, needs_synthesis=False),
    "synthesized": ArmRule(
        description="an image synthesized from the post's text", ratio=lambda _: 0.0, synthesized_if_no_image=True
    ),
    "adaptive": ArmRule(
        description=f"{_BLEND} by theta, the probability that image and text match",
        ratio=lambda scores: scores.theta,
        needs=("theta",),
        synthesized_if_no_image=True,
    ),
    "two-sided": ArmRule(
        description=f"{_BLEND} by the probability that the former matches the text, given that one of the two does",
        ratio=_two_sided,
        needs=("theta", "theta_synthesized"),
        synthesized_if_no_image=True,
    ),
    "cosine": ArmRule(
        description=f"{_BLEND} by the cosine of image and text",
        ratio=lambda scores: scores.cosine,
        needs=("cosine",),
    ),
    "cosine-minmax": ArmRule(
        description=f"{_BLEND} by the cosine of image and text, rescaled to its range over the training posts",
        ratio=_minmax,
        needs=("cosine", "cosine_range"),
    ),
    "fixed-0.3": _fixed("0.3"),
    "fixed-0.5": _fixed("0.5"),
    "fixed-0.7": _fixed("0.7"),
}
"""Arms by name. `fixed-X` with any X in [0, 1] is accepted as well."""

CONTROLS = {
    "random": "original",
    "noise": "original",
    "constant": "adaptive",
    "shuffled": "adaptive",
    "two-sided-shuffled": "two-sided",
}
"""Control arms (`amia.mixing.controls`) -> the arm whose rule they follow with one input exchanged. They need a whole
corpus and cannot be made from a single post."""

_CONTROL_DESCRIPTIONS = {
    "random": "another post's image, a control",
    "noise": "Gaussian noise in place of the post's image, a control",
    "constant": f"{_BLEND} by the mean theta of all posts, a control",
    "shuffled": f"{_BLEND} by another post's theta, a control",
    "two-sided-shuffled": f"{_BLEND} by theta and another post's theta_V, a control",
}
ARMS |= {
    name: replace(ARMS[CONTROLS[name]], description=description) for name, description in _CONTROL_DESCRIPTIONS.items()
}

_REMOVED_ARMS = {"adaptive-batch": "batch", "adaptive-expected": "expected"}
"""Former arms -> value of the setting `triplet.negatives` that replaces them."""


def check_arm(arm: str) -> None:
    """Raise SettingsError, with the nearest name, if there is no such arm."""
    _get_arm(arm)


def needs_synthesis(arm: str) -> bool:
    """Check whether the arm uses synthesized images. Raises SettingsError for an unknown arm."""
    return _get_arm(arm).needs_synthesis


def needs_theta_synthesized(arm: str) -> bool:
    """Check whether the arm compares synthesized images with their texts. Raises SettingsError for an unknown arm."""
    return "theta_synthesized" in _get_arm(arm).needs


def describe_arm(arm: str) -> str:
    """Return a phrase that says which image an arm shows. Raises SettingsError for an unknown arm."""
    return _get_arm(arm).description


def mixing_ratio(
    arm: str,
    *,
    theta: float | None,
    theta_synthesized: float | None = None,
    cosine: float | None,
    cosine_range: tuple[float, float] | None,
    has_image: bool,
    has_synthesis: bool,
) -> float | None:
    """Return the ratio of eq. 9 for one post in one arm: in [0, 1], or None for no image at all.

    `theta` (posterior of eq. 8) is used by `adaptive` and `two-sided`, `theta_synthesized` (theta_V, the posterior for
    text and synthesized image) by `two-sided`, `cosine` (of the CLIP embeddings, [-1, 1]) by the two cosine arms,
    `cosine_range` (smallest and largest cosine of the training posts) by `cosine-minmax`.

    | arm | image, synthesis | no image | synthesis failed |
    |---|---|---|---|
    | text | None | None | None |
    | original | 1 | None | 1 |
    | synthesized | 0 | 0 | 1 |
    | adaptive | theta | 0 | 1 |
    | two-sided | theta / (theta + (1 - theta) theta_V), or 1 if both are below 0.01 | 0 | 1 |
    | cosine, cosine-minmax, fixed-X | cosine, rescaled cosine, X | None | 1 |

    With neither image the ratio is None in every arm. Controls follow the rule of their arm in `CONTROLS`.

    Raises SettingsError for an unknown arm, and if the score that the arm needs is missing.
    """
    rule = _get_arm(arm)
    if rule.ratio is None:
        return None
    if not has_image:
        return 0.0 if has_synthesis and rule.synthesized_if_no_image else None
    if rule.needs_synthesis and not has_synthesis:
        return 1.0
    given = {"theta": theta, "theta_synthesized": theta_synthesized, "cosine": cosine, "cosine_range": cosine_range}
    if missing := [name for name in rule.needs if given[name] is None]:
        raise SettingsError(f"arm {arm!r} needs {missing[0]}, which this post does not have")
    scores = MatchScores(
        theta=math.nan if theta is None else theta,
        theta_synthesized=math.nan if theta_synthesized is None else theta_synthesized,
        cosine=math.nan if cosine is None else cosine,
        cosine_range=(math.nan, math.nan) if cosine_range is None else cosine_range,
    )
    return min(1.0, max(0.0, rule.ratio(scores)))


def _get_arm(arm: str) -> ArmRule:
    if arm in ARMS:
        return ARMS[arm]
    if arm.startswith("fixed-"):
        share = arm.removeprefix("fixed-")
        try:
            in_range = 0 <= float(share) <= 1
        except ValueError:
            in_range = False
        if in_range:
            return _fixed(share)
        raise SettingsError(f"arm {arm!r}: write fixed-X with X from 0 to 1, as in fixed-0.3")
    if arm in _REMOVED_ARMS:
        raise SettingsError(
            f"arm {arm!r} no longer exists: run arm 'adaptive' in another run with the setting "
            f"triplet.negatives={_REMOVED_ARMS[arm]}"
        )
    nearest = difflib.get_close_matches(arm, ARMS, n=1, cutoff=0)[0]
    raise SettingsError(f"arm {arm!r} is unknown; did you mean {nearest!r}? Arms: {', '.join(ARMS)}")
