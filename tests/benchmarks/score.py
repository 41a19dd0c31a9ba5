"""score: expected negatives, compared with a plain NumPy loop over posts, and with one pass in batches."""

import numpy as np

from amia.matching.bank import Bank, Embeddings, image_key, text_key
from amia.matching.triplet import TripletSettings, hardest_weights, losses
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare

BANK, WIDTH = 4096, 512
NOISE = 1.0, 3.0
"""Noise relative to the common part of text and image, for matched and mismatched posts by turns."""

Scores = np.ndarray
"""`[n, 3]`: both losses and the cosine."""


def run(bench: Bench) -> None:
    """Measure with half of the posts matched: losses that are all zero would favor code that skips zeros."""
    count = 512
    bank = Bank.of([random_embeddings(BANK, "bank", 0)], BANK)
    posts = random_embeddings(count, "post", 1)
    _ = bank.unit_texts, bank.unit_images, bank.row_index  # cached: an actor computes them once
    settings = TripletSettings(bank=BANK)

    def stage() -> Scores:
        result = losses(posts.select(range(count)), bank, settings)
        return np.stack([result.i2t, result.t2i, result.cosine], 1)

    work = f"{count} posts, bank of {BANK:,}, {WIDTH} dimensions, one thread"
    expected = compare(
        "score, expected negatives",
        Side("amia, blocks of posts against the bank", stage),
        Side("a plain NumPy loop over the posts", lambda: loop(posts, bank, settings)),
        check_losses,
        aim=40,
        rounds=bench.rounds(9),
        note=work,
    )
    bench.add(expected.line)
    bench.rates["score"] = {"posts_per_s": count / expected.ours_s, "bank": BANK, "width": WIDTH, "device": "cpu"}

    def batches() -> Scores:
        result = losses(posts.select(range(count)), bank, TripletSettings(negatives="batch"))
        return np.stack([result.i2t, result.t2i, result.cosine], 1)

    in_batches = compare(
        "score, expected negatives : batches",
        Side("amia, expected negatives", stage),
        Side("amia, one pass in batches of 64", batches),
        check_cosines,
        rounds=bench.rounds(9),
        note=f"{work}; the other side computes 64 times fewer comparisons: this is the cost of an exact expectation",
    )
    bench.add(in_batches.line)


def random_embeddings(count: int, name: str, seed: int) -> Embeddings:
    """Return random embeddings as a shard stores them."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(count, WIDTH))
    noise = np.where(np.arange(count) % 2, *NOISE)[:, None]
    texts, images = (shared + noise * rng.normal(size=(count, WIDTH)) for _ in range(2))
    ids = [f"{name}{number}" for number in range(count)]
    return Embeddings(
        ids=ids,
        texts=(texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float16),
        images=(images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float16),
        text_keys=np.array([text_key(post_id) for post_id in ids], "S16"),
        image_keys=np.array([image_key(post_id.encode()) for post_id in ids], "S16"),
    )


def loop(posts: Embeddings, bank: Bank, settings: TripletSettings) -> Scores:
    """Compute eqs. 1-7 post by post in the obvious way: float32 similarities, fully sorted."""
    bank_ids = np.array(bank.ids)
    table = np.empty((len(posts), 3))
    for row, post_id in enumerate(posts.ids):
        text, image = (vectors[row].astype(np.float32) for vectors in (posts.texts, posts.images))
        text, image = text / np.linalg.norm(text), image / np.linalg.norm(image)
        allowed = bank_ids != post_id
        allowed &= bank.text_keys != posts.text_keys[row]
        allowed &= bank.image_keys != posts.image_keys[row]
        positive = float(text @ image)
        for column, (anchor, negatives) in enumerate(((image, bank.unit_texts), (text, bank.unit_images))):
            descending = np.sort((negatives @ anchor)[allowed])[::-1]
            weights = hardest_weights(len(descending), settings.hardest_of)
            table[row, column] = weights @ np.maximum(0, settings.margin - positive + descending[: len(weights)])
        table[row, 2] = positive
    return table


def check_losses(ours: Scores, theirs: Scores) -> str:
    difference = float(np.abs(ours - theirs).max())
    assert difference < 1e-6, f"losses differ by {difference}"
    assert (ours[:, :2] > 0).mean() > 0.3, "too few posts have a nonzero loss"
    return f"losses equal to {difference:.0e}"


def check_cosines(ours: Scores, theirs: Scores) -> str:
    difference = float(np.abs(ours - theirs)[:, 2].max())
    assert difference < 1e-6, f"cosines differ by {difference}"
    return "equal cosines; losses differ by design"
