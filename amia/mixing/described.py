"""The arms in words."""

from amia.mixing.ratio import check_arm

__all__ = ["described"]

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


def described(arm: str) -> str:
    """What an arm shows of a post. Raises SettingsError for an unknown arm."""
    check_arm(arm)
    share = arm.removeprefix("fixed-")
    return _ARMS.get(
        arm, f"the post's own image and one drawn from its text, blended with a share of {share} of its own"
    )
