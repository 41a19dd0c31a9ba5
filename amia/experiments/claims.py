"""What the tables say about the paper's claims, and about the controls that it does not have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from amia.experiments.grid import Side
from amia.experiments.needs import Need
from amia.experiments.results import Part

__all__ = ["Claim", "claims_of"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Each first side has a higher F1 than its second."""

    source: str
    """Where it is made."""
    sentence: str
    sides: Mapping[str, tuple[Side, Side]]
    """By what tells a comparison from the claim's others; a single one has no name."""


def claims_of(recogniser: str, text_systems: Sequence[str], tables: Collection[str]) -> list[Claim]:
    """The claims about a recogniser that the tables speak of: the same sentences, in the same order, for each."""
    return [claim for where, claim in _claims(recogniser, text_systems) if where & set(tables)]


def _claims(recogniser: str, text_systems: Sequence[str]) -> Iterator[tuple[set[str], Claim]]:
    def on(arm: str, part: Part = "all") -> Side:
        return Side(Need(recogniser, arm), part)

    adaptive, original = on("adaptive"), on("original")
    if text_systems:
        sides = {system: (original, Side(Need(system, "text"))) for system in text_systems}
        yield {"table1"}, Claim("Table 1", "original images are better than every text system", sides)
    sides = {"": (adaptive, original)}
    yield {"table1", "table2", "controls"}, Claim("Table 1", "adaptive images are better than original ones", sides)

    sides = {"": (adaptive, on("synthesized"))}
    yield {"table2"}, Claim("Table 2", "adaptive images are better than synthesized ones alone", sides)
    sides = {arm: (adaptive, on(arm)) for arm in ("fixed-0.7", "fixed-0.5", "fixed-0.3")}
    yield {"table2"}, Claim("Table 2", "adaptive images are better than any fixed ratio", sides)
    sides = {"": (adaptive, on("cosine"))}
    yield {"table2"}, Claim("Table 2", "adaptive images are better than cosine similarity as the ratio", sides)

    arms = ("original", "synthesized", "adaptive")
    sides = {arm: (on(arm, "matched"), on(arm, "mismatched")) for arm in arms}
    yield {"table3"}, Claim("Table 3", "matched posts are easier than mismatched ones, whatever the images", sides)
    sides = {"": (on("synthesized", "mismatched"), on("original", "mismatched"))}
    yield {"table3"}, Claim("Table 3", "on mismatched posts synthesized images are better than original ones", sides)
    parts: tuple[Part, Part] = ("mismatched", "matched")
    for part in parts:
        sides = {arm: (on("adaptive", part), on(arm, part)) for arm in ("original", "synthesized")}
        yield {"table3"}, Claim("Table 3", f"on {part} posts adaptive images are better than both", sides)

    for arm, sentence in _CONTROLS.items():
        yield {"controls"}, Claim("control", f"adaptive images are better than {sentence}", {"": (adaptive, on(arm))})
    for side in (adaptive, original):
        exchanged = Side(Need(recogniser, side.need.arm, swapped=True))
        sentence = f"exchanging {side.need.arm} images among posts at evaluation makes it worse"
        yield {"controls"}, Claim("control", sentence, {"": (side, exchanged)})


_CONTROLS = {
    "text": "no image, the same recogniser on text alone",
    "random": "random images of the same set",
    "noise": "noise",
    "constant": "those mixed by one theta for all, its mean",
    "shuffled": "those mixed by theta shuffled among posts",
}
