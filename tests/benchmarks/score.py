"""score: expected negatives against a plain NumPy loop over posts, and against one pass in batches."""

import numpy as np

from amia.matching.bank import Bank, Embeddings, image_key, text_key
from amia.matching.triplet import TripletSettings, hardest_weights, losses
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare

BANK, WIDTH = 4096, 512
SHARED = 1.0, 3.0
"""Noise beside what text and image share, of every other post: matched and mismatched ones."""

Table = np.ndarray
"""`[n, 3]`: both losses and the cosine."""


def run(bench: Bench) -> None:
    """Half of the posts match: a hinge that is zero everywhere would flatter whoever skips zeros."""
    count = 512
    bank = Bank.of([drawn(BANK, "bank", 0)], BANK)
    posts = drawn(count, "post", 1)
    _ = bank.unit_texts, bank.unit_images, bank.places  # of an actor's first shard, and of no later one
    settings = TripletSettings(bank=BANK)

    def stage() -> Table:
        found = losses(posts.select(range(count)), bank, settings)
        return np.stack([found.i2t, found.t2i, found.cosine], 1)

    work = f"{count} posts, bank of {BANK:,}, {WIDTH} dimensions, one thread"
    expected = compare(
        "score, expected negatives",
        Side("amia, blocks of posts against the bank", stage),
        Side("a plain NumPy loop over the posts", lambda: loop(posts, bank, settings)),
        alike,
        aim=40,
        rounds=bench.rounds(9),
        note=work,
    )
    bench.add(expected.line)
    bench.rates["score"] = {"posts_per_s": count / expected.ours_s, "bank": BANK, "width": WIDTH, "device": "cpu"}

    def batches() -> Table:
        found = losses(posts.select(range(count)), bank, TripletSettings(negatives="batch"))
        return np.stack([found.i2t, found.t2i, found.cosine], 1)

    once = compare(
        "score, expected negatives : batches",
        Side("amia, expected negatives", stage),
        Side("amia, one pass in batches of 64", batches),
        cosines_alike,
        rounds=bench.rounds(9),
        note=f"{work}; 64 times fewer comparisons on the other side: what an exact expectation costs",
    )
    bench.add(once.line)


def drawn(count: int, name: str, seed: int) -> Embeddings:
    """Embeddings as a shard stores them."""
    chance = np.random.default_rng(seed)
    shared = chance.normal(size=(count, WIDTH))
    noise = np.where(np.arange(count) % 2, *SHARED)[:, None]
    texts, images = (shared + noise * chance.normal(size=(count, WIDTH)) for _ in range(2))
    ids = [f"{name}{number}" for number in range(count)]
    return Embeddings(
        ids=ids,
        texts=(texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float16),
        images=(images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float16),
        text_keys=np.array([text_key(one) for one in ids], "S16"),
        image_keys=np.array([image_key(one.encode()) for one in ids], "S16"),
    )


def loop(posts: Embeddings, bank: Bank, settings: TripletSettings) -> Table:
    """Eqs. 1-7 post by post, as one would write them down: float32 similarities, all of them sorted."""
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
            falling = np.sort((negatives @ anchor)[allowed])[::-1]
            weights = hardest_weights(len(falling), settings.hardest_of)
            table[row, column] = weights @ np.maximum(0, settings.margin - positive + falling[: len(weights)])
        table[row, 2] = positive
    return table


def alike(ours: Table, theirs: Table) -> str:
    worst = float(np.abs(ours - theirs).max())
    assert worst < 1e-6, f"losses differ by {worst}"
    assert (ours[:, :2] > 0).mean() > 0.3, "hardly any post has a loss: nothing was computed"
    return f"losses equal to {worst:.0e}"


def cosines_alike(ours: Table, theirs: Table) -> str:
    worst = float(np.abs(ours - theirs)[:, 2].max())
    assert worst < 1e-6, f"cosines differ by {worst}"
    return "the same posts; losses differ by design"
