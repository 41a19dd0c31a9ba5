"""A model as a card, README or report credits it: with what tells its weights from others, and its license."""

from dataclasses import dataclass

__all__ = ["DEMO", "Attribution", "is_demo", "license_of"]


# MERGED FROM amia.report.attribution: Licenses of the models that amia names by default, in short, as their makers state them.
#
# From the models' cards at the commits that amia pins. No legal advice: the card that a name leads to has the last word.
@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A model that had a part in some images."""

    role: str
    name: str
    """Its name at the hub, `demo:...`, or a folder."""
    weights: str
    """What tells its weights from others: `name@commit`, or `sha256:...` of a folder's."""

    @property
    def shown(self) -> str:
        """Its name for people. A folder's path is one machine's business, and is not told."""
        return "a folder" if self._local else self.name

    @property
    def license(self) -> str:
        """In short, or where to look for it."""
        return "the license is its owner's to say" if self._local else license_of(self.name)

    def line(self) -> str:
        """An entry of a Markdown list: name, weights, license."""
        shown = self.shown if self._local else f"`{self.shown}`"
        if self.weights.startswith(f"{self.name}@"):
            commit = self.weights.removeprefix(f"{self.name}@")
            shown = f"[`{self.name}`](https://huggingface.co/{self.name}/tree/{commit})"
        return f"- {self.role}: {shown}, weights `{self.weights}`. {self.license[0].upper()}{self.license[1:]}."

    @property
    def _local(self) -> bool:
        return self.weights.startswith("sha256:") and not is_demo(self.name)


DEMO = "demo:"
"""How the names of the shipped weights begin."""

_STABILITY = (
    "Stability AI's terms: free for research and other non-commercial use. Commercial use is as stability.ai/license "
    "says: by its Community License free up to a yearly revenue of 1 million US dollars, beyond that by an Enterprise "
    "License"
)
_KNOWN = {
    "openai/clip-vit-base-patch16": "OpenAI's CLIP code is under MIT; the card of the weights states no other license "
    "that amia knows of, and calls any deployed use out of scope",
    "stabilityai/sd-turbo": _STABILITY,
    "stabilityai/sdxl-turbo": f"{_STABILITY}; the model's card names sai-nc-community",
    "google-bert/bert-base-cased": "Apache 2.0",
    "microsoft/resnet-152": "Apache 2.0",
}


def is_demo(model: str) -> bool:
    """Whether these are weights that ship with amia and know the drawn world alone."""
    return model.startswith(DEMO)


def license_of(model: str) -> str:
    """The license of a model's weights, or where to look for it."""
    if is_demo(model):
        return "Apache 2.0, ships with amia"
    return _KNOWN.get(model, "not known to amia: look at the model's card")
