"""The data set card of an arm: a `README.md` that the Hugging Face hub, `datasets` and a person read.

Its head says which files are which split, so that `datasets.load_dataset(folder)` takes no other file for data. Its
text says what the images are, how theta is spread, what became of each post, and which models under which licences had
a part in it. Nothing in it differs between two runs of the same settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from huggingface_hub import DatasetCardData

from amia.mixing.arms import described
from amia.mixing.arms import needs_synthesis
from amia.posts import ordered_splits
from amia.report.card_texts import CITATION, LOADING, OWNERS, SYNTHETIC
from amia.report.credit import Credit
from amia.report.licences import is_demo
from amia.report.markdown import DEMO_NOTICE, table

__all__ = ["BARS", "Card", "SplitThetas"]

BARS = 10
"""Tenths of theta."""
_SIZES = ("K", "M", "B", "T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitThetas:
    """theta of one split's posts that have an image."""

    bars: Sequence[int]
    """Posts in each tenth; a theta of 1 in the last."""
    matched: int
    """Posts with theta above 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the card of one arm says."""

    arm: str
    splits: Mapping[str, int]
    """Posts by split."""
    features: Sequence[Mapping[str, Any]]
    """The columns as a card's `dataset_info` has them."""
    thetas: Mapping[str, SplitThetas]
    """By split; empty where no post has an image."""
    counts: Mapping[str, int]
    """Posts by pair of statuses, `image=ok|synthesis=ok`."""
    ratio: Mapping[str, int]
    """Posts by what their image is: `0`, `1`, `blend`, `none`."""
    models: Sequence[Credit]
    size: int
    settings: Mapping[str, Any]
    """Those that decide what the images look like, without models."""

    def render(self) -> str:
        """The whole file."""
        parts = [
            self._opening(),
            self._theta(),
            self._accounting(),
            self._made_with(),
            LOADING.format(split=ordered_splits(self.splits)[0], size=self.size),
            f"## Mind\n\n{SYNTHETIC if needs_synthesis(self.arm) else ''}{OWNERS}",
            CITATION,
        ]
        return f"---\n{self._front_matter()}\n---\n\n" + "\n".join(parts)

    def _front_matter(self) -> str:
        files = [{"split": split, "path": f"{split}-*.parquet"} for split in ordered_splits(self.splits)]
        head = DatasetCardData(
            license="other" if needs_synthesis(self.arm) else "unknown",
            task_categories=["token-classification"],
            task_ids=["named-entity-recognition"],
            size_categories=[_size_category(sum(self.splits.values()))],
            pretty_name=f"Augmented posts ({self.arm})",
            tags=["multimodal-ner", "image-augmentation", *(["synthetic"] if needs_synthesis(self.arm) else [])],
            configs=[{"config_name": "default", "data_files": files}],
            dataset_info={"features": [dict(each) for each in self.features]},
        )
        return str(head.to_yaml()).strip()

    def _opening(self) -> str:
        notice = f"{DEMO_NOTICE}\n\n" if any(is_demo(model.name) for model in self.models) else ""
        return (
            f"# Augmented posts, arm `{self.arm}`\n\n{notice}Posts of social media for multimodal named entity "
            f"recognition, as amia wrote them. Each shows {described(self.arm)}.\n"
        )

    def _theta(self) -> str:
        head = "## How well images match texts\n"
        if not self.thetas:
            return f"{head}\nNo post has an image: nothing was compared, and theta is 0 everywhere.\n"
        splits = ordered_splits(self.thetas)
        rows = [("theta", *(f"#{split}" for split in splits))]
        for bar in range(BARS):
            counts = [f"{self.thetas[split].bars[bar]:,}" for split in splits]
            rows.append((f"{bar / BARS:.1f} to {(bar + 1) / BARS:.1f}", *counts))
        shares = [(self.thetas[split].matched, sum(self.thetas[split].bars)) for split in splits]
        rows.append(("matched", *(f"{matched / posts:.1%}" if posts else "" for matched, posts in shares)))
        return (
            f"{head}\nPosts that have an image, by theta: the posterior that it matches, of a mixture of two Gaussians "
            f"over the losses between image and text. Matched: theta above 0.5.\n\n{table(rows)}"
        )

    def _accounting(self) -> str:
        rows = [("own image", "image from the text", "#posts")]
        for pair, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            own, drawn = (part.partition("=")[2] for part in pair.split("|"))
            rows.append((f"`{own}`", f"`{drawn}`", f"{count:,}"))
        own_kind = {"random": "another post's", "noise": "noise"}.get(self.arm, "the post's own")
        names = {"0": "drawn from the text", "1": own_kind, "blend": "blended", "none": "none"}
        shown = ", ".join(f"{names[kind]} {count:,}" for kind, count in sorted(self.ratio.items()) if count)
        return f"## What became of each post\n\n{table(rows)}\nImages of this arm: {shown}.\n"

    def _made_with(self) -> str:
        models = "\n".join(model.line() for model in self.models) or "No model had a part in it."
        tree = yaml.safe_dump(dict(self.settings), sort_keys=True)
        return (
            f"## Made with\n\n{models}\n\n```yaml\n{tree}```\n\n"
            "`manifest.json` has the hash of every file's rows, and all settings.\n"
        )


def _size_category(posts: int) -> str:
    """The hub's own brackets: `n<1K`, `1K<n<10K`, and so on."""
    if posts < 1000:
        return "n<1K"
    for power in range(3, 12):
        if posts < 10 ** (power + 1):
            return f"{_short(power)}<n<{_short(power + 1)}"
    return "n>1T"


def _short(power: int) -> str:
    """10 to a power: `1K`, `10K`, `100K`, `1M`."""
    return f"{10 ** (power % 3)}{_SIZES[power // 3 - 1]}"
