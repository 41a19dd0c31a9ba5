"""Licences of the models that amia names by default, in short, as their makers state them.

From the models' cards at the commits that amia pins. No legal advice: the card that a name leads to has the last word.
"""

__all__ = ["DEMO", "is_demo", "licence_of"]

DEMO = "demo:"
"""How the names of the shipped weights begin."""

_STABILITY = (
    "Stability AI's terms: free for research and other non-commercial use. Commercial use is as stability.ai/license "
    "says: by its Community License free up to a yearly revenue of 1 million US dollars, beyond that by an Enterprise "
    "License"
)
_KNOWN = {
    "openai/clip-vit-base-patch16": "OpenAI's CLIP code is under MIT; the card of the weights states no other licence "
    "that amia knows of, and calls any deployed use out of scope",
    "stabilityai/sd-turbo": _STABILITY,
    "stabilityai/sdxl-turbo": f"{_STABILITY}; the model's card names sai-nc-community",
    "google-bert/bert-base-cased": "Apache 2.0",
    "microsoft/resnet-152": "Apache 2.0",
}


def is_demo(model: str) -> bool:
    """Whether these are weights that ship with amia and know the drawn world alone."""
    return model.startswith(DEMO)


def licence_of(model: str) -> str:
    """The licence of a model's weights, or where to look for it."""
    if is_demo(model):
        return "Apache 2.0, ships with amia"
    return _KNOWN.get(model, "not known to amia: look at the model's card")
