"""What the demo's CLIP and generator know: theta by the names of a post, and the types that synthesized images show.

`python -m tests.benchmarks.bench_demo_world [--posts N] [--known K ...] [--mismatched M ...] [--grid FILE]`

All posts are from the test split of demo corpora. A type probe, which never saw a synthesized image, decides which
types an image shows; the measured k is the share of test mentions whose type the synthesized image of their post shows.
Theta is fitted on the training split of each corpus.
"""

import argparse
import json
import tempfile
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image, ImageDraw

from amia.demo import BERT_DIR, CLIP_DIR, GENERATOR_DIR, RESNET_DIR, write_corpus
from amia.demo.names import KINDS
from tests.benchmarks.bench_corpus_shares import read_sentences
from tests.helpers.demo_encoding import ClipEmbedder, load_generator, synthesize
from tests.helpers.probing import ResNetFeatures
from tests.helpers.theta_reference import auc, expected_losses, fit_theta
from tests.helpers.type_probe import TypeProbe, draw_images

FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


def read_corpus(folder):
    """Return the truth of the posts of a corpus, each with its `text`, and `image` if it is usable."""
    texts = {}
    for split, name in FILES.items():
        texts[split] = [" ".join(token for token, _ in sentence) for sentence in read_sentences(folder / name)]
    posts = [json.loads(line) for line in (folder / "truth.ndjson").read_text(encoding="utf-8").splitlines()]
    for split, of_split in texts.items():
        for post, text in zip([post for post in posts if post["split"] == split], of_split, strict=True):
            post["text"] = text
            if post["matched"] is not None:
                (file,) = (folder / "images").glob(f"{post['id']}.*")
                post["image"] = Image.open(file).convert("RGB")
    return posts


def knowledge(post):
    """Return whether CLIP and generator know all names of a post, some or none."""
    known = [entity["known"] is not False for entity in post["entities"]]
    return "all known" if all(known) else "some unknown" if any(known) else "none known"


def matching(encoder, folder):
    """Return theta's AUC and the raw cosine's on a corpus: over all test posts with an image, and by their names."""
    posts = [post for post in read_corpus(folder) if post["matched"] is not None]
    texts, images = encoder.embed_texts(p["text"] for p in posts), encoder.embed_images([p["image"] for p in posts])
    train = np.array([post["split"] == "train" for post in posts])
    test = np.array([post["split"] == "test" for post in posts])
    bank = texts[train], images[train]
    own = expected_losses(*bank, *bank, exclude_self=True)
    theta = fit_theta(own, expected_losses(texts[test], images[test], *bank))
    cosine = (texts * images).sum(1)[test]
    tested = [post for post in posts if post["split"] == "test"]
    matched = np.array([post["matched"] for post in tested])
    groups = {"all": np.ones(len(tested), bool)}
    for name in ("all known", "some unknown", "none known"):
        groups[name] = np.array([knowledge(post) == name for post in tested])
    for name, count in (("one entity", 1), ("several", 2)):
        groups[name] = np.array([min(len(post["entities"]), 2) == count for post in tested])
    return {
        name: (int(group.sum()), auc(matched[group], theta[group]), auc(matched[group], cosine[group]))
        for name, group in groups.items()
        if len(set(matched[group])) > 1
    }


def print_matching(encoder, corpora):
    """Print a row for each corpus and group of posts."""
    print(f"\ntheta on test posts\n{'mismatched':>11}{'k':>5}  {'names':14}{'posts':>6}{'theta AUC':>11}", end="")
    print(f"{'cosine AUC':>12}")
    for (mismatched, known), folder in corpora.items():
        for name, (count, theta, cosine) in matching(encoder, folder).items():
            print(f"{mismatched:11.0%}{known:5.2g}  {name:14}{count:6}{theta:11.3f}{cosine:12.3f}")


def print_types(pipeline, probe, corpora):
    """Print the share of test mentions whose type the synthesized image shows, by frequency and by other entities."""
    images, shown = draw_images(800, seed=1)
    right = probe.shown(images)
    shares = ", ".join(f"{kind} {right[shown[:, row], row].mean():.3f}" for row, kind in enumerate(KINDS))
    print(f"\ntype probe on drawings: {(right == shown).mean():.3f} of all decisions are right; it sees {shares}")
    print("share of test mentions whose type the synthesized image shows")
    print(f"{'k':>5}  {'names':22}{'mentions':>9}{'one':>8}{'several':>9}{'all':>8}   other types shown")
    for known, folder in {known: folder for (_, known), folder in corpora.items()}.items():
        posts = [post for post in read_corpus(folder) if post["split"] == "test"]
        types = probe.shown(synthesize(pipeline, [post["text"] for post in posts]))
        rows: dict[str, list[tuple[bool, bool, float]]] = {}
        for post, row in zip(posts, types, strict=True):
            own = {entity["type"] for entity in post["entities"]}
            others = np.mean([shown for kind, shown in zip(KINDS, row, strict=True) if kind not in own])
            for entity in post["entities"]:
                right = bool(row[KINDS.index(entity["type"])])
                knows = {True: "rare, known", False: "rare, unknown", None: entity["frequency"]}[entity["known"]]
                for name in ("all", knows, *([f"known {entity['type']}"] if knows == "rare, known" else [])):
                    rows.setdefault(name, []).append((len(post["entities"]) == 1, right, float(others)))
        for name, values in sorted(rows.items()):
            one, right, others = np.array(values, float).T
            shares = right[one == 1].mean(), right[one == 0].mean(), right.mean()
            cells = "{:8.3f}{:9.3f}{:8.3f}{:10.3f}".format(*shares, others.mean())
            print(f"{known:5.2g}  {name:22}{len(values):9}{cells}")


def grid(pipeline, folder, path, count=24):
    """Save own images of test posts beside their synthesized images with two seeds."""
    posts = [post for post in read_corpus(folder) if post["split"] == "test" and post["matched"] is not None][:count]
    texts = [post["text"] for post in posts]
    columns = [[post["image"] for post in posts], *(synthesize(pipeline, texts, seed) for seed in (1, 2))]
    sheet = Image.new("RGB", (4 * 420, (count + 3) // 4 * 176), "white")
    pen = ImageDraw.Draw(sheet)
    for index, post in enumerate(posts):
        x, y = index % 4 * 420, index // 4 * 176
        for column, images in enumerate(columns):
            sheet.paste(images[index].resize((132, 132)), (x + 135 * column, y))
        names = ", ".join(
            f"{entity['surface']}/{entity['type']}{'' if entity['known'] is not False else ' (unknown)'}"
            for entity in post["entities"]
        )
        matched = "" if post["matched"] else "mismatched: "
        for line, text in enumerate((matched + names, post["text"])):
            pen.text((x, y + 134 + 14 * line), text.encode("ascii", "ignore").decode()[:68], fill="black")
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=2400, help="posts of each corpus (default 2400)")
    parser.add_argument("--known", type=float, nargs="+", default=[0.5, 0.8, 1.0], help="shares of known names")
    parser.add_argument("--mismatched", type=float, nargs="+", default=[0.2, 0.4, 0.6], help="shares of mismatches")
    parser.add_argument("--grid", type=Path, help="also save a sheet of 24 posts as this PNG")
    arguments = parser.parse_args()
    folders = (CLIP_DIR, GENERATOR_DIR, RESNET_DIR, BERT_DIR)
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    start = monotonic()
    encoder, pipeline = ClipEmbedder(CLIP_DIR), load_generator(GENERATOR_DIR)
    ResNetFeatures(RESNET_DIR)
    print(f"weights {size / 1e6:.1f} MB; CLIP, generator and ResNet loaded in {monotonic() - start:.2f} s")
    with tempfile.TemporaryDirectory() as scratch:
        corpora = {}
        for known in arguments.known:
            for mismatched in arguments.mismatched:
                folder = Path(scratch) / f"{known}-{mismatched}"
                write_corpus(folder, posts=arguments.posts, mismatched=mismatched, known=known)
                corpora[mismatched, known] = folder
        print_matching(encoder, corpora)
        print_types(pipeline, TypeProbe(), corpora)
        if arguments.grid:
            grid(pipeline, next(iter(corpora.values())), arguments.grid)


if __name__ == "__main__":
    main()
