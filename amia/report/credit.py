"""A model as a card, README or report credits it: with what tells its weights from others, and its licence."""

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

    @property
    def shown(self) -> str:
        """Its name for people. A folder's path is one machine's business, and is not told."""
        return "a folder" if self._local else self.name

    @property
    def licence(self) -> str:
        """In short, or where to look for it."""
        return "the licence is its owner's to say" if self._local else licence_of(self.name)

    def line(self) -> str:
        """An entry of a Markdown list: name, weights, licence."""
        shown = self.shown if self._local else f"`{self.shown}`"
        if self.weights.startswith(f"{self.name}@"):
            commit = self.weights.removeprefix(f"{self.name}@")
            shown = f"[`{self.name}`](https://huggingface.co/{self.name}/tree/{commit})"
        return f"- {self.role}: {shown}, weights `{self.weights}`. {self.licence[0].upper()}{self.licence[1:]}."

    @property
    def _local(self) -> bool:
        return self.weights.startswith("sha256:") and not is_demo(self.name)
