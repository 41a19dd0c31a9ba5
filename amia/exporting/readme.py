"""The README of an export: what lies where, what each public system needs, and what was changed to fit the layout."""

from collections.abc import Sequence

from amia.exporting.summary import ArmSummary, Summary
from amia.exporting.umt import LEAST_SIZE
from amia.mner.labels import TYPES

__all__ = ["readme"]

_ARMS = {
    "text": "no image at all: every post falls back on the placeholder",
    "original": "the posts' own images",
    "synthesized": "images drawn from the texts",
    "adaptive": "original and synthesized image blended by theta, how well image and text match",
    "cosine": "blended by the cosine of image and text",
    "cosine-minmax": "blended by that cosine, stretched over the training posts' range",
}

_UMT = """\
## Files

    <arm>/train.txt, valid.txt, test.txt    the posts
    <arm>/{folder}/<id>.jpg    their images: JPEG, RGB, {size} x {size}, quality {quality}, {origin}
    <arm>/{folder}/17_06_4705.jpg, inf.png    plain grey, for code that cannot open an image
    <arm>/without_image.txt    names of posts that have no image in the arm, where there are any
    <arm>/renamed.jsonl    ids that are no file names, and the names they have here, where there are any
    SHA256SUMS    for `sha256sum --check SHA256SUMS`

A post is a line `IMGID:<id>`, then a line for each token, with a TAB before its tag, then a blank line. Tags are as
they were read: Twitter-2015 keeps its `OTHER` and its entities that begin with `I-`. Every arm has the same posts, the same
text files and images of one size, so that a difference between two arms is one of what the images show.

## Where public code looks

Folders are as each system names them for Twitter-2015. `<arm>` is the one you want; links serve as well as copies.

{systems}
- **No image.** UMT and MAF show `17_06_4705.jpg` where they cannot open an image, HVPNeT shows `inf.png`. RpBERT and
  SMVAE stop instead: copy the placeholder to `<name>.jpg` for each name in `without_image.txt`.
- **Size.** UMT and MAF cut {least} x {least} pixels out of an image, at a random place, and do not resize it first: of
  {size} x {size} they see {seen:.0%}. Instead of an image with a side below {least} they show the placeholder. HVPNeT
  resizes to 256 and cuts out the middle 224; RpBERT and SMVAE resize to 224.
- **Ids.** Public code makes a file name of an id, so ids are letters, digits, `_` and `-` here. `17_06_4705`, a post of
  Twitter-2017, is renamed: its image would be everyone's placeholder. Take text files and images from one export.
"""

_SYSTEMS = [
    ("system", "texts", "images", "besides"),
    ("---", "---", "---", "---"),
    (
        "UMT",
        "`<arm>/` as `--data_dir`",
        "`../pytorch-pretrained-BERT/twitter15_images/`, of 2017 `twitter_subimages/`",
        "the script sets this folder by its task and ignores `--path_image`",
    ),
    (
        "MAF",
        "`<arm>/` as `--data_dir`",
        "`IJCAI2019_data/twitter2015_images/`, of 2017 `twitter2017_images/`",
        "likewise",
    ),
    (
        "HVPNeT",
        "`data/NER_data/twitter2015/`",
        "`data/NER_data/twitter2015_images/`",
        "`twitter2015_{train,val,test}_dict.pth` beside the texts name the object crops in `twitter2015_aux_images/`. "
        "Those crops are of the original images; an empty dictionary, `torch.save({}, path)`, makes it look at whole "
        "images alone",
    ),
    (
        "RpBERT",
        "`resources/datasets/twitter2015/`",
        "`images/` in there",
        "`valid.txt` is called `dev.txt`, `OTHER` must be `MISC`, and no blank line may end a file",
    ),
    (
        "SMVAE",
        "`dataset/twitter2015/`",
        "`images/` in there",
        "`valid.txt` is called `dev.txt`; remove `images/dict_feature.pkl`, which keeps the features of earlier images",
    ),
    ("UMGF, R-GCN, ITA", "", "", "read object crops, stored features or captions: make those anew from these images"),
]

_WEBDATASET = """\
## Files

    <arm>/<split>-00000-of-00007.tar    posts: `<key>.jpg` and `<key>.json`
    SHA256SUMS    for `sha256sum --check SHA256SUMS`

Images are JPEG, RGB, {size} x {size}, quality {quality}, {origin}. A post that has no image in the arm is its JSON
alone. The JSON holds `id`, `split`, `text`, `tokens`, `tags` (as read), `ner_tags` (valid BIO2, by name), `theta`,
`ratio` (the share of the original in the image), losses, cosine, prompt, seed and statuses. The key is the id, or a
safe name where the id has a dot, a slash or the like: `webdataset` cuts a name at its first dot.

```python
import glob
import webdataset

shards = sorted(glob.glob("{arm}/train-*.tar"))
for post in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
    print(post["json"]["text"], post.get("jpg"))
```
"""


def readme(about: Summary) -> str:
    """Markdown; the same for the same export."""
    template = {"umt": _UMT, "webdataset": _WEBDATASET}[about.layout]
    body = template.format(
        arm=next(iter(about.arms)),
        folder=about.folder,
        size=about.size,
        quality=about.quality,
        origin="the run's own bytes" if about.unchanged else "resized or encoded again from the run's",
        systems=_table(_SYSTEMS),
        least=LEAST_SIZE,
        seen=min(1.0, (LEAST_SIZE / about.size) ** 2),
    )
    parts = ["# Augmented posts\n", _opening(about), _counts(about), body, _changes(about)]
    return "\n".join(part for part in parts if part)


def _opening(about: Summary) -> str:
    lines = [f"Written by `amia export --layout {about.layout}`.\n"]
    if about.demo:
        lines.append(
            "**Made with demo weights**, which know a drawn world alone: scores and synthesized images of any other "
            "post mean nothing.\n"
        )
    lines += [f"- `{arm}`: {_described(arm, each)}" for arm, each in about.arms.items()]
    if any(each.generator for each in about.arms.values()):
        lines.append(
            "\nSynthesized and blended images are marked as such in their metadata (IPTC digital source type, in XMP). "
            "They may show likenesses of real people whom a text names. The card beside the arm in the run names the "
            "models and their licences."
        )
    return "\n".join(lines) + "\n"


def _described(arm: str, about: ArmSummary) -> str:
    said = _ARMS.get(arm, f"blended, {arm.removeprefix('fixed-')} of the original")
    return f"{said}; generator `{about.generator}`" if about.generator else said


def _counts(about: Summary) -> str:
    splits = sorted({split for each in about.arms.values() for split in each.posts})
    rows = [("arm", *splits, "without an image"), ("---", *["---:"] * (len(splits) + 1))]
    for arm, each in about.arms.items():
        rows.append((arm, *(f"{each.posts[split]:,}" for split in splits), f"{each.without_image:,}"))
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _changes(about: Summary) -> str:
    """What a reader of this export must know that is not so in every one."""
    first = next(iter(about.arms.values()))
    lines: list[str] = []
    if first.untagged:
        lines.append(f"- {first.untagged:,} posts are left out: they have no tags, and these files no place for them.")
    if first.renamed:
        lines.append(f"- {first.renamed:,} posts have another name than their id.")
    if first.altered:
        lines.append(
            f"- {first.altered:,} tokens are changed: a space, TAB or end of line inside a token became a no-break "
            "space (U+00A0), and a token that begins like `IMGID:` got a zero-width space (U+200B) before it. BERT's "
            "tokenizer reads both as it would the original."
        )
    if about.layout == "umt" and (other := [kind for kind in about.types if kind not in TYPES]):
        listed = ", ".join(f"`{kind}`" for kind in other)
        lines.append(
            f"- Entity types {listed} are here, which UMT, MAF, HVPNeT and RpBERT do not know: add them to the label "
            "list of the script you run."
        )
    return "\n".join(["## About these posts\n", *lines, ""]) if lines else ""
