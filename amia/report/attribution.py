"""Attribution of models in cards, READMEs and reports: role, weights and license.

The licenses of the default models are summarized from the model cards at the commits that amia pins. This is not legal
advice: the model card takes precedence.
"""

from dataclasses import dataclass

__all__ = ["DEMO", "Attribution", "is_demo", "license_of"]

DEMO = "demo:"
"""Prefix of the names of the weights that ship with amia."""

_STABILITY = (
    "Stability AI's terms: free for research and other non-commercial use. For commercial use see "
    "stability.ai/license: Community License, free up to a yearly revenue of 1 million US dollars, or Enterprise "
    "License"
)
_LICENSES = {
    "openai/clip-vit-base-patch16": "OpenAI's CLIP code is under MIT; the model card states no license of the weights, "
    "and calls any deployed use out of scope",
    "stabilityai/sd-turbo": _STABILITY,
    "stabilityai/sdxl-turbo": f"{_STABILITY}; the model card names sai-nc-community",
    "google-bert/bert-base-cased": "Apache 2.0",
    "microsoft/resnet-152": "Apache 2.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A model that was used to make images or predictions."""

    role: str
    name: str
    """Name on the hub, `demo:...`, or a folder."""
    weights: str
    """Identity of the weights: `name@commit`, or `sha256:...` for a local folder."""

    @property
    def display_name(self) -> str:
        """The name to show. The path of a local folder is not disclosed."""
        return "local folder" if self._is_local else self.name

    @property
    def license(self) -> str:
        """A short description of the license, or where to find it."""
        return "license: see its owner" if self._is_local else license_of(self.name)

    def to_markdown(self) -> str:
        """Return a list item with name, weights and license."""
        name = self.display_name if self._is_local else f"`{self.display_name}`"
        if self.weights.startswith(f"{self.name}@"):
            commit = self.weights.removeprefix(f"{self.name}@")
            name = f"[`{self.name}`](https://huggingface.co/{self.name}/tree/{commit})"
        return f"- {self.role}: {name}, weights `{self.weights}`. {self.license[0].upper()}{self.license[1:]}."

    @property
    def _is_local(self) -> bool:
        return self.weights.startswith("sha256:") and not is_demo(self.name)


def is_demo(model: str) -> bool:
    """Return whether the model is one of the tiny demo models, which only know the demo corpus."""
    return model.startswith(DEMO)


def license_of(model: str) -> str:
    """Return a short description of the license of a model's weights, or where to find it."""
    if is_demo(model):
        return "Apache 2.0, included in amia"
    return _LICENSES.get(model, "not known to amia: see the model card")
