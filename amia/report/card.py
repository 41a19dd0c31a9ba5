"""Data set card of an arm: the `README.md` that the Hugging Face hub and `datasets` read.

The metadata block maps files to splits, so that `datasets.load_dataset(folder)` loads nothing else as data. The text
describes the images, the distribution of theta, the status of all posts, and the models with their licenses. Runs with
the same settings have the same card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from huggingface_hub import DatasetCardData

from amia.matching.histogram import THETA_BINS
from amia.mixing.arms import describe_arm, needs_synthesis, needs_theta_synthesized
from amia.posts import ordered_splits
from amia.report.attribution import Attribution, is_demo
from amia.report.markdown import DEMO_NOTICE, markdown_table
from amia.report.view_models import ThetaHistogram

__all__ = ["CITATION", "LOADING", "OWNERSHIP_NOTICE", "SYNTHETIC_NOTICE", "Card"]

_SIZE_UNITS = ("K", "M", "B", "T")

LOADING = """\
## Loading

```python
import datasets

posts = datasets.load_dataset("path/to/this/folder")  # decodes images, names labels
posts["{split}"][0]["image"], posts["{split}"].features["ner_tags"].feature.names
```

`pandas.read_parquet` and `pyarrow.parquet.read_table` also read the files; `image` is then a struct of `bytes` and
`path`.

| column | content |
| --- | --- |
| `id`, `split`, `text`, `tokens` | the post, as in its source |
| `tags` | tags as in the source |
| `ner_tags` | tags as valid BIO2: OTHER becomes MISC, an entity that starts with `I-` starts with `B-` |
| `image` | image of this arm, JPEG, {size} x {size}; null without an image |
| `theta` | probability that the original image matches the text, 0 to 1; 0 without an image |
{theta_synthesized}\
| `ratio` | weight of the original image in `image`; null without one |
| `loss`, `loss_i2t`, `loss_t2i` | losses that theta is computed from: total, image to text, text to image |
| `cosine` | cosine similarity of the embeddings of image and text |
| `image_status`, `synthesis_status` | status of the original image, and of the synthesized image |
| `prompt`, `seed` | inputs of the image synthesis |
"""

_THETA_SYNTHESIZED_ROW = """\
| `theta_synthesized` | probability that the synthesized image matches the text, 0 to 1; null without one |
"""

SYNTHETIC_NOTICE = """\
- **Synthetic images are marked.** Every synthesized or mixed image states its IPTC digital source type in its XMP
  metadata (`trainedAlgorithmicMedia`, `compositeWithTrainedAlgorithmicMedia`). Keep these marks when sharing images.
- **Likenesses.** Texts name real people. Images synthesized from such texts may show a likeness in a scene that never
  happened. They are no evidence of anything, and must not be presented as photographs.
- **Model errors and bias.** One-step diffusion is weak at faces, hands and lettering, and how it depicts a name
  reflects the biases of its training data.
"""

OWNERSHIP_NOTICE = """\
- **Posts belong to their authors.** Texts and original images come from the source corpus, and are subject to its
  terms and those of the platform where they were posted. This card grants no license to them.
"""

CITATION = """\
## Citation

The method is from

```bibtex
@misc{xu-adaptive-mixup,
  title  = {Enhancing Multimodal Named Entity Recognition through Adaptive Mixup Image Augmentation},
  author = {Xu, Bo and Jiang, Haiqi and Wei, Jie and Jing, Hongyu and Du, Ming and Song, Hui and Wang, Hongya and
            Xiao, Yanghua}
}
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Content of the card of one arm."""

    arm: str
    splits: Mapping[str, int]
    """Posts by split."""
    features: Sequence[Mapping[str, Any]]
    """Columns, in the format of a card's `dataset_info`."""
    thetas: Mapping[str, ThetaHistogram]
    """By split, with `THETA_BINS` bins; empty if no post has an image."""
    thetas_synthesized: Mapping[str, ThetaHistogram] = field(default_factory=dict)
    """The same for theta_V, over the posts with a synthesized image; empty if the arm does not use it."""
    counts: Mapping[str, int]
    """Posts by pair of statuses, `image=ok|synthesis=ok`."""
    ratio: Mapping[str, int]
    """Posts by kind of image: `0`, `1`, `blend`, `none`."""
    models: Sequence[Attribution]
    size: int
    """Height and width of the images."""
    settings: Mapping[str, Any]
    """Settings that determine the images, without models."""
    removed: Sequence[str] = ()
    """What was removed on purpose from the run since it was made, a sentence or two each."""

    def render(self) -> str:
        """Return the text of the card."""
        parts = [
            self._introduction(),
            self._matching(),
            self._accounting(),
            *(["## Removed\n\n" + "\n\n".join(self.removed) + "\n"] if self.removed else []),
            self._provenance(),
            self._loading(),
            f"## Considerations\n\n{SYNTHETIC_NOTICE if needs_synthesis(self.arm) else ''}{OWNERSHIP_NOTICE}",
            CITATION,
        ]
        return f"---\n{self._metadata()}\n---\n\n" + "\n".join(parts)

    def _metadata(self) -> str:
        files = [{"split": split, "path": f"{split}-*.parquet"} for split in ordered_splits(self.splits)]
        metadata = DatasetCardData(
            license="other" if needs_synthesis(self.arm) else "unknown",
            task_categories=["token-classification"],
            task_ids=["named-entity-recognition"],
            size_categories=[_size_category(sum(self.splits.values()))],
            pretty_name=f"Augmented posts ({self.arm})",
            tags=["multimodal-ner", "image-augmentation", *(["synthetic"] if needs_synthesis(self.arm) else [])],
            configs=[{"config_name": "default", "data_files": files}],
            dataset_info={"features": [dict(feature) for feature in self.features]},
        )
        return str(metadata.to_yaml()).strip()

    def _introduction(self) -> str:
        notice = f"{DEMO_NOTICE}\n\n" if any(is_demo(model.name) for model in self.models) else ""
        return (
            f"# Augmented posts, arm `{self.arm}`\n\n{notice}Social media posts for multimodal named entity "
            f"recognition, made with amia. Each post shows {describe_arm(self.arm)}.\n"
        )

    def _matching(self) -> str:
        heading = "## Image-text matching\n"
        if not self.thetas:
            return f"{heading}\nNo post has an image, so theta is 0 for all posts.\n"
        text = (
            f"{heading}\nNumber of posts with an image by theta, the posterior probability that image and text match "
            "under a mixture of two Gaussians over the matching losses. Matched: theta above 0.5.\n\n"
            f"{_theta_table('theta', self.thetas)}"
        )
        if self.thetas_synthesized:
            text += (
                "\nNumber of posts with a synthesized image by theta_V, the same probability for the synthesized image "
                f"and the text.\n\n{_theta_table('theta_V', self.thetas_synthesized)}"
            )
        return text

    def _accounting(self) -> str:
        rows = [("original image", "synthesized image", "#posts")]
        for pair, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            image, synthesis = (part.partition("=")[2] for part in pair.split("|"))
            rows.append((f"`{image}`", f"`{synthesis}`", f"{count:,}"))
        source = {"random": "image of another post", "noise": "noise"}.get(self.arm, "original")
        names = {"0": "synthesized", "1": source, "blend": "mixed", "none": "none"}
        kinds = ", ".join(f"{names[kind]} {count:,}" for kind, count in sorted(self.ratio.items()) if count)
        return f"## Post status\n\n{markdown_table(rows)}\nImages of this arm: {kinds}.\n"

    def _loading(self) -> str:
        row = _THETA_SYNTHESIZED_ROW if needs_theta_synthesized(self.arm) else ""
        return LOADING.format(split=ordered_splits(self.splits)[0], size=self.size, theta_synthesized=row)

    def _provenance(self) -> str:
        models = "\n".join(model.to_markdown() for model in self.models) or "No models were used."
        settings = yaml.safe_dump(dict(self.settings), sort_keys=True)
        return (
            f"## Models and settings\n\n{models}\n\n```yaml\n{settings}```\n\n"
            "`manifest.json` contains the hash of the rows of each file, and all settings.\n"
        )


def _theta_table(name: str, thetas: Mapping[str, ThetaHistogram]) -> str:
    """Return a table of posts by theta, with one column per split, and the share of matched posts below."""
    splits = ordered_splits(thetas)
    rows = [(name, *(f"#{split}" for split in splits))]
    for index in range(THETA_BINS):
        counts = [f"{thetas[split].counts[index]:,}" for split in splits]
        rows.append((f"{index / THETA_BINS:.1f} to {(index + 1) / THETA_BINS:.1f}", *counts))
    shares = [(thetas[split].matched, thetas[split].total) for split in splits]
    rows.append(("matched", *(f"{matched / total:.1%}" if total else "" for matched, total in shares)))
    return markdown_table(rows)


def _size_category(posts: int) -> str:
    """Return the size category of the hub: `n<1K`, `1K<n<10K`, and so on."""
    if posts < 1000:
        return "n<1K"
    for power in range(3, 12):
        if posts < 10 ** (power + 1):
            return f"{_abbreviate(power)}<n<{_abbreviate(power + 1)}"
    return "n>1T"


def _abbreviate(power: int) -> str:
    """Abbreviate a power of 10: `1K`, `10K`, `100K`, `1M`."""
    return f"{10 ** (power % 3)}{_SIZE_UNITS[power // 3 - 1]}"
