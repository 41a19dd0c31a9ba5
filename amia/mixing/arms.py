"""Who decides how much of the original image stays (paper 3.4 and its ablations): the mixing ratio of each arm.

A ratio of 1 is the original image alone, 0 the synthesized one alone; None means that the post has no image in this
arm and its visual tokens are masked in the recognizer.
"""

import difflib
import math
from typing import TypeVar

from amia.errors import SettingsError

__all__ = ["ARMS", "CONTROLS", "check_arm", "describe_arm", "mixing_ratio", "needs_synthesis"]

# MERGED FROM amia.mixing.arms: The arms in words.
CONTROLS = {
    "random": "original",
    "noise": "original",
    "constant": "adaptive",
    "shuffled": "adaptive",
    "adaptive-batch": "adaptive",
    "adaptive-expected": "adaptive",
}
"""Arms that are there to be beaten (`amia.mixing.controls`), and the arm whose rule each follows with something in it
exchanged. They are made of a whole corpus, never of one post."""

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
"""The arms by name; `fixed-X` with any other X in [0, 1] is accepted too."""

Value = TypeVar("Value")

_FALLS_BACK = {"adaptive", "synthesized"}
"""Arms whose image of a post without an image is the synthesized one alone."""


def check_arm(arm: str) -> None:
    """Raises SettingsError, naming the nearest arm, when `arm` is none."""
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
    nearest = difflib.get_close_matches(arm, ARMS, n=1, cutoff=0)[0]
    raise SettingsError(f"arm {arm!r} is unknown; did you mean {nearest!r}? Arms: {', '.join(ARMS)}")


def needs_synthesis(arm: str) -> bool:
    """Whether the arm ever looks at a synthesized image. Raises SettingsError for an unknown arm."""
    check_arm(arm)
    return CONTROLS.get(arm, arm) not in {"text", "original"}


def mixing_ratio(
    arm: str,
    *,
    theta: float | None,
    cosine: float | None,
    cosine_range: tuple[float, float] | None,
    has_image: bool,
    has_synthesis: bool,
) -> float | None:
    """The ratio that eq. 9 uses for one post in one arm: in [0, 1], or None for no image at all.

    `theta` (posterior of eq. 8) is read by `adaptive` alone, `cosine` (of the CLIP embeddings, [-1, 1]) by the two
    cosine arms, `cosine_range` (smallest and largest cosine of the training posts) by `cosine-minmax`.

    | arm | image, synthesis | no image | synthesis failed |
    |---|---|---|---|
    | text | None | None | None |
    | original | 1 | None | 1 |
    | synthesized | 0 | 0 | 1 |
    | adaptive | theta | 0 | 1 |
    | cosine, cosine-minmax, fixed-X | cosine, rescaled cosine, X | None | 1 |

    With neither image every arm says None. Controls follow the rule of the arm that `CONTROLS` names.

    Raises SettingsError for an unknown arm, or when the arm's own score is missing.
    """
    check_arm(arm)
    arm = CONTROLS.get(arm, arm)
    if arm == "text":
        return None
    if not has_image:
        return 0.0 if has_synthesis and arm in _FALLS_BACK else None
    if arm == "original" or not has_synthesis:
        return 1.0
    if arm == "synthesized":
        return 0.0
    if arm == "adaptive":
        return _unit(_given(theta, "theta", arm))
    if arm == "cosine":
        return _unit(_given(cosine, "cosine", arm))
    if arm == "cosine-minmax":
        low, high = _given(cosine_range, "cosine_range", arm)
        # All training posts alike: nothing to rank by, so half of each.
        return _unit((_given(cosine, "cosine", arm) - low) / (high - low)) if high > low else 0.5
    return float(arm.removeprefix("fixed-"))


def _given(value: Value | None, name: str, arm: str) -> Value:
    if value is None:
        raise SettingsError(f"arm {arm!r} needs {name}, which this post does not have")
    return value


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


_ARMS = {
    "text": "no image, so that texts alone are read",
    "original": "the post's own image",
    "synthesized": "an image drawn from the post's text",
    "adaptive": "the post's own image and one drawn from its text, blended by theta, how well image and text match",
    "cosine": "the post's own image and one drawn from its text, blended by the cosine of image and text",
    "cosine-minmax": "the post's own image and one drawn from its text, blended by the cosine of image and text, "
    "stretched over the training posts' range",
    "random": "another post's image, a control",
    "noise": "Gaussian noise in place of the post's image, a control",
    "constant": "the post's own image and one drawn from its text, blended by the mean theta of all, a control",
    "shuffled": "the post's own image and one drawn from its text, blended by another post's theta, a control",
    "adaptive-batch": "the post's own image and one drawn from its text, blended by theta with negatives from batches",
    "adaptive-expected": "the post's own image and one drawn from its text, blended by theta with expected negatives",
}


def describe_arm(arm: str) -> str:
    """What an arm shows of a post. Raises SettingsError for an unknown arm."""
    check_arm(arm)
    share = arm.removeprefix("fixed-")
    return _ARMS.get(
        arm, f"the post's own image and one drawn from its text, blended with a share of {share} of its own"
    )
