"""The README of an export: what lies where, what each public system needs, and what was changed to fit the layout."""

from collections.abc import Sequence

from amia.export.shard import ExportSummary
from amia.export.umt import MIN_SIZE
from amia.mixing.arms import describe_arm
from amia.mner.spans import TYPES
from amia.posts import ordered_splits
from amia.report.card import SYNTHETIC
from amia.report.markdown import DEMO_NOTICE, table

__all__ = ["FILES", "SYSTEMS", "UMT", "WEBDATASET", "readme"]


# MERGED FROM amia.export.readme: The words of an export's README: what lies where, and what each public system needs.
def readme(about: ExportSummary) -> str:
    """Markdown; the same for the same export."""
    template = {"umt": UMT, "webdataset": WEBDATASET}[about.layout]
    body = template.format(
        arm=next(iter(about.arms)),
        files=_aligned(FILES[about.layout], about.folder),
        size=about.size,
        quality=about.quality,
        origin="the run's own bytes" if about.unchanged else "resized or encoded again from the run's",
        systems=table(SYSTEMS),
        least=MIN_SIZE,
        seen=min(1.0, (MIN_SIZE / about.size) ** 2),
    )
    return "\n".join([_opening(about), body, *_changes(about)])


def _aligned(files: Sequence[tuple[str, str]], folder: str | None) -> str:
    named = [(name.format(folder=folder), what) for name, what in files]
    width = max(len(name) for name, _ in named)
    return "\n".join(f"    {name.ljust(width)}    {what}" for name, what in named)


def _opening(about: ExportSummary) -> str:
    notice = [DEMO_NOTICE] if about.demo else []
    arms = "\n".join(f"- `{arm}` shows {describe_arm(arm)}" for arm in about.arms)
    drawn = [f"{about.generator.line()}\n{SYNTHETIC.rstrip()}"] if about.generator else []
    written = f"Written by `amia export --layout {about.layout}`."
    return "\n\n".join(["# Augmented posts", written, *notice, arms, _counts(about).rstrip(), *drawn]) + "\n"


def _counts(about: ExportSummary) -> str:
    splits = ordered_splits({split for each in about.arms.values() for split in each.posts})
    rows = [("arm", *(f"#{split}" for split in splits), "#without an image")]
    for arm, each in about.arms.items():
        rows.append((arm, *(f"{each.posts[split]:,}" for split in splits), f"{each.without_image:,}"))
    return table(rows)


def _changes(about: ExportSummary) -> list[str]:
    """What a reader of this export must know that is not so in every one."""
    first = next(iter(about.arms.values()))  # all arms have the same posts
    lines: list[str] = []
    if first.untagged:
        lines.append(
            f"{first.untagged:,} posts are left out: they have no tags, and these files have no place for them."
        )
    if first.renamed:
        lines.append(f"{first.renamed:,} posts have another name than their id.")
    if first.altered:
        lines.append(
            f"{first.altered:,} tokens are changed: a space, TAB or end of line inside a token became a no-break space "
            "(U+00A0), and a token that begins like `IMGID:` got a zero-width space (U+200B) before it. BERT's "
            "tokenizer reads both as it would the original."
        )
    if about.layout == "umt" and (other := [kind for kind in about.types if kind not in TYPES]):
        listed = ", ".join(f"`{kind}`" for kind in other)
        lines.append(f"UMT, MAF, HVPNeT and RpBERT do not know the types {listed}: add them to the script's labels.")
    return ["## These posts\n", *(f"- {line}" for line in lines), ""] if lines else []


FILES = {
    "umt": [
        ("<arm>/train.txt, valid.txt, test.txt", "the posts"),
        ("<arm>/{folder}/<id>.jpg", "their images"),
        ("<arm>/{folder}/17_06_4705.jpg, inf.png", "plain gray, for code that cannot open an image"),
        ("<arm>/without_image.txt", "posts that have no image in the arm, where there are any"),
        ("<arm>/renamed.jsonl", "ids that are no file names and the names they have here, where there are any"),
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

A post is a line `IMGID:<id>`, then a line for each token, with a TAB before its tag, then a blank line; posts stand in
the run's order, which is not their source's. Tags are as they were read: Twitter-2015 keeps its `OTHER` and its
entities that begin with `I-`. Every arm has the same posts, the same text files and images of one size, so that a
difference between two arms is one of what the images show.

## Where public code looks

Folders are as each system names them for Twitter-2015. `<arm>` is the one you want; links serve as well as copies.

{systems}
- **No image.** UMT and MAF show `17_06_4705.jpg` where they cannot open an image, HVPNeT shows `inf.png`. RpBERT and
  SMVAE stop instead: copy the placeholder to `<name>.jpg` for each name in `without_image.txt`.
- **Size.** UMT and MAF cut {least} x {least} pixels out of an image, at a random place, and do not resize it first:
  here they see {seen:.0%} of each. Instead of an image with a side below {least} they show the placeholder. HVPNeT
  resizes to 256 and cuts out the middle 224; RpBERT and SMVAE resize to 224.
- **Ids.** Public code makes a file name of an id, so ids are letters, digits, `_` and `-` here. `17_06_4705`, a post of
  Twitter-2017, is renamed: its image would be everyone's placeholder. Take text files and images from one export.
"""

SYSTEMS = [
    ("system", "texts", "images", "besides"),
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

WEBDATASET = """\
## Files

{files}

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
