"""Licences of the models that amia names by default, in short, as their makers state them."""

__all__ = ["DEMO", "is_demo", "licence_of"]

DEMO = "demo:"
"""How the names of the shipped weights begin."""

_STABILITY = "Stability AI's licence; commercial use has terms of its own (stability.ai/license)"
_KNOWN = {
    "openai/clip-vit-base-patch16": "MIT",
    "stabilityai/sd-turbo": _STABILITY,
    "stabilityai/sdxl-turbo": _STABILITY,
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
    return _KNOWN.get(model, "not known to amia: see the model's card")
