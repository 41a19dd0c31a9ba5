"""Arms: what determines the mixing ratio of a post (paper 3.4 and its ablations).

A ratio of 1 is the original image alone, 0 the synthesized image alone. None means that the post has no image in this
arm, and its visual tokens are masked in the recognizer.
"""

import difflib
import math
from typing import TypeVar

from amia.errors import SettingsError

__all__ = ["ARMS", "CONTROLS", "check_arm", "describe_arm", "mixing_ratio", "needs_synthesis"]

CONTROLS = {
    "random": "original",
    "noise": "original",
    "constant": "adaptive",
    "shuffled": "adaptive",
}
"""Control arms (`amia.mixing.controls`) -> the arm whose rule they follow with one input exchanged. They need a whole
corpus and cannot be made from a single post."""

ARMS = (
    "text",
    "original",
    "synthesized",
    "adaptive",
    "cosine",
    "cosine-minmax",
    "fixed-0.3",
    "fixed-0.5",
    "fixed-0.7",
    *CONTROLS,
)
"""Names of the arms. `fixed-X` with any X in [0, 1] is accepted as well."""

_REMOVED_ARMS = {"adaptive-batch": "batch", "adaptive-expected": "expected"}
"""Former arms -> value of the setting `triplet.negatives` that replaces them."""

_SYNTHESIZED_IF_NO_IMAGE = {"adaptive", "synthesized"}
"""Arms in which a post without an image shows the synthesized image alone."""

_BLEND = "the post's own image and one synthesized from its text, blended"
_DESCRIPTIONS = {
    "text": "no image, so that only texts are read",
    "original": "the post's own image",
    "synthesized": "an image synthesized from the post's text",
    "adaptive": f"{_BLEND} by theta, the probability that image and text match",
    "cosine": f"{_BLEND} by the cosine of image and text",
    "cosine-minmax": f"{_BLEND} by the cosine of image and text, rescaled to its range over the training posts",
    "random": "another post's image, a control",
    "noise": "Gaussian noise in place of the post's image, a control",
    "constant": f"{_BLEND} by the mean theta of all posts, a control",
    "shuffled": f"{_BLEND} by another post's theta, a control",
}

Value = TypeVar("Value")


def check_arm(arm: str) -> None:
    """Raise SettingsError, with the nearest name, if there is no such arm."""
    if arm in ARMS:
        return
    if arm.startswith("fixed-"):
        try:
            share = float(arm.removeprefix("fixed-"))
        except ValueError:
            share = math.nan
        if 0 <= share <= 1:
            return
        raise SettingsError(f"arm {arm!r}: write fixed-X with X from 0 to 1, as in fixed-0.3")
    if arm in _REMOVED_ARMS:
        raise SettingsError(
            f"arm {arm!r} no longer exists: run arm 'adaptive' in another run with the setting "
            f"triplet.negatives={_REMOVED_ARMS[arm]}"
        )
    nearest = difflib.get_close_matches(arm, ARMS, n=1, cutoff=0)[0]
    raise SettingsError(f"arm {arm!r} is unknown; did you mean {nearest!r}? Arms: {', '.join(ARMS)}")


def needs_synthesis(arm: str) -> bool:
    """Check whether the arm uses synthesized images. Raises SettingsError for an unknown arm."""
    check_arm(arm)
    return CONTROLS.get(arm, arm) not in {"text", "original"}


def describe_arm(arm: str) -> str:
    """Return a phrase that says which image an arm shows. Raises SettingsError for an unknown arm."""
    check_arm(arm)
    return _DESCRIPTIONS.get(arm, f"{_BLEND} with a share of {arm.removeprefix('fixed-')} of the former")


def mixing_ratio(
    arm: str,
    *,
    theta: float | None,
    cosine: float | None,
    cosine_range: tuple[float, float] | None,
    has_image: bool,
    has_synthesis: bool,
) -> float | None:
    """Return the ratio of eq. 9 for one post in one arm: in [0, 1], or None for no image at all.

    `theta` (posterior of eq. 8) is used by `adaptive` only, `cosine` (of the CLIP embeddings, [-1, 1]) by the two
    cosine arms, `cosine_range` (smallest and largest cosine of the training posts) by `cosine-minmax`.

    | arm | image, synthesis | no image | synthesis failed |
    |---|---|---|---|
    | text | None | None | None |
    | original | 1 | None | 1 |
    | synthesized | 0 | 0 | 1 |
    | adaptive | theta | 0 | 1 |
    | cosine, cosine-minmax, fixed-X | cosine, rescaled cosine, X | None | 1 |

    With neither image the ratio is None in every arm. Controls follow the rule of their arm in `CONTROLS`.

    Raises SettingsError for an unknown arm, and if the score that the arm needs is missing.
    """
    check_arm(arm)
    arm = CONTROLS.get(arm, arm)
    if arm == "text":
        return None
    if not has_image:
        return 0.0 if has_synthesis and arm in _SYNTHESIZED_IF_NO_IMAGE else None
    if arm == "original" or not has_synthesis:
        return 1.0
    if arm == "synthesized":
        return 0.0
    if arm == "adaptive":
        return _clip_to_unit(_required(theta, "theta", arm))
    if arm == "cosine":
        return _clip_to_unit(_required(cosine, "cosine", arm))
    if arm == "cosine-minmax":
        low, high = _required(cosine_range, "cosine_range", arm)
        # If all training posts have the same cosine, it carries no information: half of each.
        return _clip_to_unit((_required(cosine, "cosine", arm) - low) / (high - low)) if high > low else 0.5
    return float(arm.removeprefix("fixed-"))


def _required(value: Value | None, name: str, arm: str) -> Value:
    if value is None:
        raise SettingsError(f"arm {arm!r} needs {name}, which this post does not have")
    return value


def _clip_to_unit(value: float) -> float:
    return min(1.0, max(0.0, value))
