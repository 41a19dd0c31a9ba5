"""The sentences of the drawn world, by the types they mention, and which of them are held out.

Of every five templates three are for pretraining (tiny CLIP and generator), two are held out from it. Demo corpora are
made of held-out ones; every tenth template stands only in their validation and test splits.
"""

from typing import Literal, NamedTuple

from amia.demo.names import KINDS
from amia.demo.templates_joint import JOINT
from amia.demo.templates_single import NEUTRAL, SINGLE

Part = Literal["pretraining", "held_out", "evaluation"]


class Template(NamedTuple):
    """One sentence: words with the names of types where entities go.

    `kinds` are the types it mentions, in their order; a neutral one says `ANY` where an entity of any type may stand.
    """

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    part: Part


def _part(index: int) -> Part:
    if index % 5 < 3:
        return "pretraining"
    return "evaluation" if index % 10 == 9 else "held_out"


def _read(sentences: str) -> tuple[Template, ...]:
    templates = []
    for index, line in enumerate(sentences.strip().splitlines()):
        words = tuple(line.split())
        kinds = tuple(word for word in words if word in KINDS or word == "ANY")
        templates.append(Template(words, kinds, _part(index)))
    return tuple(templates)


TEMPLATES: dict[tuple[str, ...], tuple[Template, ...]] = {
    tuple(kinds.split("+")): _read(sentences) for kinds, sentences in {**SINGLE, **NEUTRAL, **JOINT}.items()
}
"""All templates by combination of types, e.g. `("PER", "LOC")`; `("ANY",)` says nothing about the type."""


def of_part(kinds: tuple[str, ...], *parts: Part) -> tuple[Template, ...]:
    """The templates of one combination of types that belong to the given parts."""
    return tuple(template for template in TEMPLATES[kinds] if template.part in parts)
