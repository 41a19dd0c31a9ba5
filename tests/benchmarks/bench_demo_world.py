"""Quality of the demo's weights: matching of CLIP, images of the generator, features of ResNet and BERT.

`python -m tests.benchmarks.bench_demo_world --judge DIR [--grid FILE]`

All posts have templates and pairs of entities that were not in the training data. Images are judged by a second CLIP,
which is trained with another seed into `--judge` if that folder is empty (about eight minutes); the generator was not
trained with it.
"""

import argparse
import random
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image, ImageDraw

from amia.demo import BERT_DIR, CLIP_DIR, GENERATOR_DIR, RESNET_DIR
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import KINDS
from amia.demo.training.clip import train_clip
from amia.demo.world import held_out_posts
from tests.helpers.demo_encoding import ClipEmbedder, load_generator, synthesize
from tests.helpers.probing import FIELDS, BertFeatures, ResNetFeatures, probe_attributes, probe_types
from tests.helpers.theta_reference import auc, batch_losses, expected_losses, fit_theta

JUDGE_SEED = 1
GROUP = 64


def make_groups(posts, count):
    """Return `count` groups of 64 posts whose entity sets differ pairwise."""
    groups = []
    posts = iter(posts)
    for _ in range(count):
        group = {}
        while len(group) < GROUP:
            post = next(posts)
            group.setdefault(frozenset(post.entities), post)
        groups.append(list(group.values()))
    return groups


def is_own_text_first(judge, groups, images):
    """Return for every post of every group whether its image is closest to its own text, [G, 64]."""
    hits = []
    for index, group in enumerate(groups):
        similarities = (
            judge.embed_images(images[index * GROUP : (index + 1) * GROUP]) @ judge.embed_texts(p.text for p in group).T
        )
        hits.append(similarities.argmax(1) == np.arange(GROUP))
    return np.array(hits)


def interval(values, statistic, rng, draws=1000):
    """Format a statistic of the rows of `values` and its 95 % bootstrap interval."""
    samples = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(draws)]
    low, high = np.percentile(samples, [2.5, 97.5])
    return f"{statistic(values):.3f} [{low:.3f}, {high:.3f}]"


def retrieval(judge, pipeline, count, rng):
    """Print R@1 of real and synthesized images among 64, over all posts, by type and by number of entities."""
    groups = make_groups(held_out_posts(4 * count * GROUP, seed=11), count)
    posts = [post for group in groups for post in group]
    photo_rng = random.Random("retrieval")
    real = is_own_text_first(judge, groups, [draw_photograph(post.entities, photo_rng) for post in posts]).ravel()
    synthesized = is_own_text_first(judge, groups, synthesize(pipeline, [post.text for post in posts])).ravel()
    rows = {"all": np.ones(len(posts), bool)}
    for kind in KINDS:
        rows[kind] = np.array([any(entity.kind == kind for entity in post.entities) for post in posts])
    for number in (1, 2, 3):
        rows[f"{number} entities"] = np.array([len(post.entities) == number for post in posts])
    rows["ambiguous"] = np.array([post.is_ambiguous for post in posts])
    print(f"\nR@1 among {GROUP}, judge with seed {JUDGE_SEED}\n{'':14}{'posts':>6}  {'real':24}{'synthesized':24}ratio")
    for name, mask in rows.items():
        real_hits, synthesized_hits = real[mask].astype(float), synthesized[mask].astype(float)
        ratio = synthesized_hits.mean() / real_hits.mean()
        print(
            f"{name:14}{mask.sum():6}  {interval(real_hits, np.mean, rng):24}"
            f"{interval(synthesized_hits, np.mean, rng):24}{ratio:.2f}"
        )


def mismatched_images(posts, share, rng):
    """Draw photographs of `posts`, a fraction of them of posts without a common name. Return them and which match."""
    matched = np.ones(len(posts), bool)
    matched[rng.sample(range(len(posts)), round(share * len(posts)))] = False
    images = []
    for post, is_matched in zip(posts, matched, strict=True):
        other = post
        surfaces = {entity.surface for entity in post.entities}
        while not is_matched and surfaces & {entity.surface for entity in other.entities}:
            other = rng.choice(posts)
        images.append(draw_photograph(other.entities, rng))
    return images, matched


def matching(encoder, count, rng):
    """Print AUC and accuracy of theta beside the raw cosine and one shuffled batch, at three shares of mismatches."""
    print(f"\ntheta on {count} posts; bank and fit: 1,024 others\n{'':6}{'score':18}{'AUC':24}{'accuracy':24}")
    for share in (0.1, 0.3, 0.5):
        posts = held_out_posts(count + 1024, seed=12)
        images, matched = mismatched_images(posts, share, random.Random(f"mismatched {share}"))
        texts, image_vectors = encoder.embed_texts(post.text for post in posts), encoder.embed_images(images)
        fit, test = slice(0, 1024), slice(1024, None)
        bank = texts[fit], image_vectors[fit]
        cosine = -(texts * image_vectors).sum(1)
        shuffled = batch_losses(texts, image_vectors, np.random.default_rng(0))
        expected = (
            expected_losses(*bank, *bank, exclude_self=True),
            expected_losses(texts[test], image_vectors[test], *bank),
        )
        thetas = {
            "theta (expected)": fit_theta(*expected),
            "one batch of 64": fit_theta(shuffled[fit], shuffled[test]),
            "raw cosine": fit_theta(cosine[fit], cosine[test]),
        }
        orders = {**thetas, "raw cosine": -cosine[test]}
        for name, theta in thetas.items():
            rows = np.stack([matched[test], orders[name], (theta > 0.5) == matched[test]], 1)
            area = interval(rows, lambda sample: auc(sample[:, 0], sample[:, 1]), rng, 300)
            print(f"{share:<6.0%}{name:18}{area:24}{interval(rows[:, 2], np.mean, rng):24}")


def encoders(resnet, bert):
    """Print the accuracy of linear probes on the features of ResNet and BERT, and the speed of ResNet."""
    print(
        "\nResNet, photographs of the demo; probe trained on random appearances\n"
        f"{'':6}{'attribute':14}probe   majority"
    )
    for kind, fields in FIELDS.items():
        for field, (accuracy, majority) in probe_attributes(resnet, kind, fields, random.Random(kind)).items():
            print(f"{kind:6}{field:14}{accuracy:.3f}   {majority:.3f}")
    accuracy, majority = probe_types(bert, random.Random(0))
    print(f"BERT, types of unseen names in unseen sentences: {accuracy:.3f}, majority {majority:.3f}")
    start = monotonic()
    resnet.feature_maps([Image.new("RGB", (64, 64))] * 64)
    print(f"64 images through the ResNet: {monotonic() - start:.2f} s")
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) / 1e6 for folder in (RESNET_DIR, BERT_DIR)]
    print("ResNet {:.2f} MB, BERT {:.2f} MB".format(*sizes))


def grid(pipeline, path, count=24):
    """Save photographs of held-out posts beside their synthesized images with two seeds."""
    posts = held_out_posts(count, seed=13)
    texts = [post.text for post in posts]
    photo_rng = random.Random("grid")
    columns = [
        [draw_photograph(post.entities, photo_rng) for post in posts],
        *(synthesize(pipeline, texts, s) for s in (1, 2)),
    ]
    sheet = Image.new("RGB", (4 * 420, (count + 3) // 4 * 162), "white")
    pen = ImageDraw.Draw(sheet)
    for index, post in enumerate(posts):
        x, y = index % 4 * 420, index // 4 * 162
        for column, images in enumerate(columns):
            sheet.paste(images[index].resize((132, 132)), (x + 135 * column, y))
        kinds = "+".join(entity.kind for entity in post.entities)
        pen.text((x, y + 136), f"{kinds}: {post.text}".encode("ascii", "ignore").decode()[:66], fill="black")
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=Path, required=True, help="folder of the judge; trained there if empty")
    parser.add_argument("--groups", type=int, default=24, help="groups of 64 posts for R@1 (default 24)")
    parser.add_argument("--posts", type=int, default=2048, help="posts for theta (default 2048)")
    parser.add_argument("--grid", type=Path, help="also save a sheet of 24 posts as this PNG")
    arguments = parser.parse_args()
    if not (arguments.judge / "config.json").exists():
        train_clip(arguments.judge, JUDGE_SEED)
    rng = np.random.default_rng(0)
    start = monotonic()
    encoder, pipeline = ClipEmbedder(CLIP_DIR), load_generator(GENERATOR_DIR)
    resnet, bert = ResNetFeatures(RESNET_DIR), BertFeatures(BERT_DIR)
    print(f"all four models loaded in {monotonic() - start:.2f} s")
    encoders(resnet, bert)
    matching(encoder, arguments.posts, rng)
    retrieval(ClipEmbedder(arguments.judge), pipeline, arguments.groups, rng)
    if arguments.grid:
        grid(pipeline, arguments.grid)


if __name__ == "__main__":
    main()
