"""A model as a card or README credits it: with what tells its weights from others, and its licence."""

from dataclasses import dataclass

from amia.report.licences import is_demo, licence_of

__all__ = ["Credit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """A model that had a part in some images."""

    role: str
    name: str
    """Its name at the hub, `demo:...`, or a folder."""
    weights: str
    """What tells its weights from others: `name@commit`, or `sha256:...` of a folder's."""

    def line(self) -> str:
        """An entry of a list: name, weights, licence. A folder's path is one machine's business, and is not told."""
        local = self.weights.startswith("sha256:") and not is_demo(self.name)
        shown = "a folder" if local else f"`{self.name}`"
        if self.weights.startswith(f"{self.name}@"):
            commit = self.weights.removeprefix(f"{self.name}@")
            shown = f"[`{self.name}`](https://huggingface.co/{self.name}/tree/{commit})"
        licence = "the licence is its owner's to say" if local else licence_of(self.name)
        return f"- {self.role}: {shown}, weights `{self.weights}`. {licence[0].upper()}{licence[1:]}."
