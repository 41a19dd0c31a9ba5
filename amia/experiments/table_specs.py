"""The rows of each table: what a table needs, in its order, with the words that stand before the numbers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from amia.experiments.results import Part
from amia.experiments.run_specs import Negatives, RunSpec, run_specs
from amia.experiments.score_grid import Pair, Subset

__all__ = ["Row", "TableSpec", "table_spec"]


@dataclass(frozen=True, slots=True)
class Row:
    """One recognizer on one arm and one part of the test posts."""

    labels: tuple[str, ...]
    side: Subset

    @property
    def against(self) -> Subset:
        """What it is compared with: the same recognizer and part, on adaptive images."""
        return Subset(RunSpec(self.side.need.recognizer, "adaptive"), self.side.part)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table without its numbers."""

    name: str
    title: str
    head: tuple[str, ...]
    """Over the labels."""
    rows: tuple[Row, ...]

    def family(self, data: Sequence[str]) -> list[Pair]:
        """The comparisons of the table: adaptive images with everything else a recognizer was given in it."""
        own = {row.side for row in self.rows}
        return [
            Pair(name, row.against, row.side)
            for name in data
            for row in self.rows
            if row.against in own and row.against != row.side
        ]


def table_spec(
    table: str, recognizers: Sequence[str], text_systems: Sequence[str], negatives: Collection[Negatives]
) -> TableSpec:
    """`negatives` are those of all data sets together. Raises SettingsError for a table that is none."""
    wanted = list(
        dict.fromkeys(need for kind in sorted(negatives) for need in run_specs(table, recognizers, text_systems, kind))
    )
    if table == "table1":
        rows = [Row((_INPUT[need.arm], need.recognizer), Subset(need)) for need in wanted]
        return TableSpec(table, _TITLES[table], ("Input", "Recognizer"), tuple(rows))
    if table == "table3":
        parts: tuple[Part, Part] = ("mismatched", "matched")
        rows = [Row((part, need.recognizer, need.arm), Subset(need, part)) for part in parts for need in wanted]
        return TableSpec(table, _TITLES[table], ("Posts", "Recognizer", "Images"), tuple(rows))
    # Data sets whose negatives differ ask for different arms; a recognizer's rows stay together.
    wanted.sort(key=lambda need: (recognizers.index(need.recognizer), need.swapped))
    words = _RATIOS if table == "table2" else _CONTROLS
    rows = [
        Row((need.recognizer, _EXCHANGED[need.arm] if need.swapped else words[need.arm]), Subset(need))
        for need in wanted
    ]
    return TableSpec(table, _TITLES[table], ("Recognizer", "Images"), tuple(rows))


_TITLES = {
    "table1": "Table 1: text alone, original images, augmented images",
    "table2": "Table 2: who decides how much of the original image stays",
    "table3": "Table 3: posts whose image does not match their text, and posts whose image does",
    "controls": "Controls: where the difference comes from",
}
_INPUT = {"text": "text", "original": "text + original image", "adaptive": "text + augmented image"}
_RATIOS = {
    "adaptive": "adaptive: theta of each post",
    "cosine": "cosine similarity as theta",
    "original": "original, theta = 1",
    "synthesized": "synthesized, theta = 0",
    "fixed-0.7": "theta = 0.7",
    "fixed-0.5": "theta = 0.5",
    "fixed-0.3": "theta = 0.3",
}
_CONTROLS = {
    "adaptive": "adaptive",
    "original": "original",
    "text": "none, text only",
    "random": "random image of the same set",
    "noise": "noise",
    "constant": "mixed, theta = its mean",
    "shuffled": "mixed, theta shuffled among posts",
    "adaptive-batch": "adaptive, negatives of a batch",
    "adaptive-expected": "adaptive, expected hardest negatives",
}
_EXCHANGED = {
    "adaptive": "adaptive, images exchanged at evaluation",
    "original": "original, images exchanged at evaluation",
}
