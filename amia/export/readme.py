"""README of an export: its files, what each public system needs, and what was changed to fit the layout."""

from collections.abc import Sequence

from amia.export.shard import ExportSummary
from amia.export.umt import MIN_SIZE
from amia.mixing.arms import describe_arm
from amia.mner.spans import TYPES
from amia.posts import ordered_splits
from amia.report.card import SYNTHETIC_NOTICE
from amia.report.markdown import DEMO_NOTICE, markdown_table

__all__ = ["FILES", "SYSTEMS", "UMT", "WEBDATASET", "render_readme"]


def render_readme(summary: ExportSummary) -> str:
    """Return Markdown. Equal exports give equal text."""
    template = {"umt": UMT, "webdataset": WEBDATASET}[summary.layout]
    body = template.format(
        arm=next(iter(summary.arms)),
        files=_align_columns(FILES[summary.layout], summary.folder),
        size=summary.size,
        quality=summary.quality,
        origin="copied from the run unchanged" if summary.unchanged else "resized or re-encoded from the run's images",
        systems=markdown_table(SYSTEMS),
        crop=MIN_SIZE,
        visible=min(1.0, (MIN_SIZE / summary.size) ** 2),
    )
    return "\n".join([_introduction(summary), body, *_changes(summary)])


def _align_columns(files: Sequence[tuple[str, str]], folder: str | None) -> str:
    rows = [(name.format(folder=folder), description) for name, description in files]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"    {name.ljust(width)}    {description}" for name, description in rows)


def _introduction(summary: ExportSummary) -> str:
    notice = [DEMO_NOTICE] if summary.demo else []
    arms = "\n".join(f"- `{arm}` shows {describe_arm(arm)}" for arm in summary.arms)
    generator = [f"{summary.generator.to_markdown()}\n{SYNTHETIC_NOTICE.rstrip()}"] if summary.generator else []
    written = f"Written by `amia export --layout {summary.layout}`."
    return "\n\n".join(["# Augmented posts", written, *notice, arms, _count_table(summary).rstrip(), *generator]) + "\n"


def _count_table(summary: ExportSummary) -> str:
    splits = ordered_splits({split for arm in summary.arms.values() for split in arm.posts})
    rows = [("arm", *(f"#{split}" for split in splits), "#without an image")]
    for name, arm in summary.arms.items():
        rows.append((name, *(f"{arm.posts[split]:,}" for split in splits), f"{arm.without_image:,}"))
    return markdown_table(rows)


def _changes(summary: ExportSummary) -> list[str]:
    """Return the section about what is special in this export, if anything."""
    first = next(iter(summary.arms.values()))  # all arms have the same posts
    lines: list[str] = []
    if first.untagged:
        lines.append(f"{first.untagged:,} posts are left out: they have no tags, which this layout requires.")
    if first.renamed:
        lines.append(f"{first.renamed:,} posts have a file name other than their id.")
    if first.altered:
        lines.append(
            f"{first.altered:,} tokens are changed: a space, TAB or line break inside a token became a no-break space "
            "(U+00A0), and a token that starts with `IMGID:` is prefixed with a zero-width space (U+200B). The BERT "
            "tokenizer splits both like the original token."
        )
    if summary.layout == "umt" and (other := [name for name in summary.types if name not in TYPES]):
        listed = ", ".join(f"`{kind}`" for kind in other)
        lines.append(f"UMT, MAF, HVPNeT and RpBERT do not know the types {listed}: add them to the script's labels.")
    return ["## These posts\n", *(f"- {line}" for line in lines), ""] if lines else []


FILES = {
    "umt": [
        ("<arm>/train.txt, valid.txt, test.txt", "the posts"),
        ("<arm>/{folder}/<id>.jpg", "their images"),
        (
            "<arm>/{folder}/17_06_4705.jpg, inf.png",
            "plain gray images, which public code uses for images that it cannot open",
        ),
        ("<arm>/without_image.txt", "posts without an image in the arm, if any"),
        ("<arm>/renamed.jsonl", "ids that are not valid file names, with their names here, if any"),
        ("SHA256SUMS", "for `sha256sum --check SHA256SUMS`"),
    ],
    "webdataset": [
        ("<arm>/<split>-00000-of-00007.tar", "posts: `<key>.jpg` and `<key>.json`"),
        ("SHA256SUMS", "for `sha256sum --check SHA256SUMS`"),
    ],
}

UMT = """\
## Files

{files}

Images are JPEG, RGB, {size} x {size}, quality {quality}, {origin}.

A post is a line `IMGID:<id>`, one line for each token with a TAB before its tag, and a blank line. Posts are in the
order of the run, not of their source. Tags are as they were read: Twitter-2015 keeps its `OTHER` and its entities that
start with `I-`. Every arm has the same posts, the same text files and images of one size, so that two arms differ only
in the content of the images.

## Where public code looks

The folders are those that each system uses for Twitter-2015. `<arm>` is the arm to train on. Copy or link them.

{systems}
- **No image.** UMT and MAF use `17_06_4705.jpg` in place of an image that they cannot open, HVPNeT uses `inf.png`.
  RpBERT and SMVAE fail: copy the placeholder to `<name>.jpg` for each name in `without_image.txt`.
- **Size.** UMT and MAF crop {crop} x {crop} pixels at a random position without resizing the image first, which is
  {visible:.0%} of an image here. They use the placeholder in place of an image with a side below {crop}. HVPNeT
  resizes to 256 and crops the central 224; RpBERT and SMVAE resize to 224.
- **Ids.** Public code uses an id as a file name, so ids consist of letters, digits, `_` and `-` here. `17_06_4705`, a
  post of Twitter-2017, is renamed: its image would replace the placeholder. Use text files and images of one export.
"""

SYSTEMS = [
    ("system", "texts", "images", "notes"),
    (
        "UMT",
        "`<arm>/` as `--data_dir`",
        "`../pytorch-pretrained-BERT/twitter15_images/`, for 2017 `twitter_subimages/`",
        "the script sets this folder by its task and ignores `--path_image`",
    ),
    (
        "MAF",
        "`<arm>/` as `--data_dir`",
        "`IJCAI2019_data/twitter2015_images/`, for 2017 `twitter2017_images/`",
        "as for UMT",
    ),
    (
        "HVPNeT",
        "`data/NER_data/twitter2015/`",
        "`data/NER_data/twitter2015_images/`",
        "`twitter2015_{train,val,test}_dict.pth` next to the texts name the object crops in `twitter2015_aux_images/`. "
        "Those crops are from the original images; with an empty dictionary, `torch.save({}, path)`, it uses only the "
        "full images",
    ),
    (
        "RpBERT",
        "`resources/datasets/twitter2015/`",
        "`images/` in that folder",
        "`valid.txt` is called `dev.txt`, `OTHER` must be `MISC`, and a file must not end with a blank line",
    ),
    (
        "SMVAE",
        "`dataset/twitter2015/`",
        "`images/` in that folder",
        "`valid.txt` is called `dev.txt`; remove `images/dict_feature.pkl`, a cache of features of earlier images",
    ),
    ("UMGF, R-GCN, ITA", "", "", "read object crops, stored features or captions: recompute them from these images"),
]

WEBDATASET = """\
## Files

{files}

Images are JPEG, RGB, {size} x {size}, quality {quality}, {origin}. A post without an image in the arm has only its
JSON. The JSON holds `id`, `split`, `text`, `tokens`, `tags` (as read), `ner_tags` (valid BIO2, by name), `theta`,
`theta_synthesized` (theta of the synthesized image, in arms that use it), `ratio` (the share of the original in the
image), losses, cosine, prompt, seed and statuses. The key is the id, or a valid file name if the id has a dot, a slash
or the like: `webdataset` splits a name at its first dot.

```python
import glob
import webdataset

shards = sorted(glob.glob("{arm}/train-*.tar"))
for post in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
    print(post["json"]["text"], post.get("jpg"))
```
"""
