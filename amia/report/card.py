"""The data set card of an arm: a `README.md` that the Hugging Face hub, `datasets` and a person read.

Its head says which files are which split, so that `datasets.load_dataset(folder)` takes no other file for data. Its
text says what the images are, how theta is spread, what became of each post, and which models under which licenses had
a part in it. Nothing in it differs between two runs of the same settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from huggingface_hub import DatasetCardData

from amia.mixing.arms import describe_arm, needs_synthesis
from amia.posts import ordered_splits
from amia.report.attribution import Attribution, is_demo
from amia.report.markdown import DEMO_NOTICE, table

__all__ = ["BARS", "CITATION", "LOADING", "OWNERS", "SYNTHETIC", "Card", "SplitThetas"]

# MERGED FROM amia.report.card: The paragraphs of a data set card that are the same in every one.
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
    models: Sequence[Attribution]
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
            f"recognition, as amia wrote them. Each shows {describe_arm(self.arm)}.\n"
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


LOADING = """\
## Loading

```python
import datasets

posts = datasets.load_dataset("path/to/this/folder")  # images decoded, labels named
posts["{split}"][0]["image"], posts["{split}"].features["ner_tags"].feature.names
```

`pandas.read_parquet` and `pyarrow.parquet.read_table` read the files, too; `image` is a struct of `bytes` and `path`.

| column | what it holds |
| --- | --- |
| `id`, `split`, `text`, `tokens` | the post, as its source has it |
| `tags` | its tags as read |
| `ner_tags` | the same as valid BIO2: OTHER is MISC, an entity that began with `I-` begins with `B-` |
| `image` | the image of this arm, JPEG, {size} x {size}; null where it has none |
| `theta` | how well the post's own image matches its text, 0 to 1; 0 without an image |
| `ratio` | the share of the post's own image in `image`; null without one |
| `loss`, `loss_i2t`, `loss_t2i` | what theta is computed from: image to text, text to image, their sum |
| `cosine` | of the embeddings of image and text |
| `image_status`, `synthesis_status` | what became of the post's own image, and of the one drawn from its text |
| `prompt`, `seed` | what that was drawn from |
"""

SYNTHETIC = """\
- **Synthetic images are marked.** Every synthesized or blended image names its IPTC digital source type in its XMP
  metadata (`trainedAlgorithmicMedia`, `compositeWithTrainedAlgorithmicMedia`). Keep the mark when you pass images on.
- **Likenesses.** Texts name real people. An image drawn from such a text may show a likeness in a scene that never
  was: it is evidence of nothing, and must not pass for a photograph.
- **Models err.** One-step diffusion is weak at faces, hands and lettering, and what it takes a name to look like has
  the prejudices of what it learned from.
"""

OWNERS = """\
- **Posts are their authors'.** Texts and original images come from the source corpus, under its terms and those of the
  platform they were posted on. Nothing here licenses them.
"""

CITATION = """\
## Citation

The method is that of

```bibtex
@misc{xu-adaptive-mixup,
  title  = {Enhancing Multimodal Named Entity Recognition through Adaptive Mixup Image Augmentation},
  author = {Xu, Bo and Jiang, Haiqi and Wei, Jie and Jing, Hongyu and Du, Ming and Song, Hui and Wang, Hongya and
            Xiao, Yanghua}
}
```
"""
