"""Sentence templates of the demo world, from the files in `text/`.

Each file has three sections. The tiny CLIP, the generator and BERT are trained on sentences of `pretraining`; a corpus
has sentences of `train` in its training split and of `test` in the other two. No sentence belongs to two sections.
"""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from amia.demo.names import KINDS, Kind

__all__ = ["ANY", "Section", "Template", "fillers", "neutral_templates", "typed_templates"]

Section = Literal["pretraining", "train", "test"]
ANY = "ANY"
"""Placeholder for an entity of any type."""
_TEXT = Path(__file__).parent / "text"


class Template(NamedTuple):
    """One sentence: words, with placeholders for entities."""

    words: tuple[str, ...]
    placeholders: tuple[str, ...]
    """Types of the entities, or `ANY` in a neutral template, in the order of the sentence."""

    @property
    def is_neutral(self) -> bool:
        """Whether the sentence does not reveal the types of its entities."""
        return ANY in self.placeholders


@cache
def neutral_templates(section: Section, entities: int) -> tuple[Template, ...]:
    """Return the templates for `entities` entities (1 to 3) of any type."""
    return tuple(template for template in _load("neutral.txt")[section] if len(template.placeholders) == entities)


@cache
def typed_templates(section: Section, kinds: tuple[Kind, ...]) -> tuple[Template, ...]:
    """Return the templates that reveal the types of their entities, for sorted `kinds`."""
    return tuple(template for template in _load("typed.txt")[section] if tuple(sorted(template.placeholders)) == kinds)


@cache
def fillers(section: Section) -> tuple[tuple[str, ...], ...]:
    """Return clauses without an entity."""
    return tuple(template.words for template in _load("fillers.txt")[section])


@cache
def _load(name: str) -> dict[Section, tuple[Template, ...]]:
    sections: dict[Section, list[Template]] = {"pretraining": [], "train": [], "test": []}
    current: list[Template] = []
    for line in (_TEXT / name).read_text(encoding="utf-8").splitlines():
        words = tuple(line.split())
        if line.startswith("["):
            current = sections[line.strip("[]")]  # type: ignore[index] # the files have no other sections (a test)
        elif words:
            current.append(Template(words, tuple(word for word in words if word in KINDS or word == ANY)))
    return {section: tuple(templates) for section, templates in sections.items()}
