"""Test that streamed posts reach exactly one worker, with equal steps; `test_train.py` trains on them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.store import Store
from ray_jobs.training.streaming import StreamingLoader, UnequalSplit, stream_posts
from tests.helpers.learnable import word_recognizer

BATCH, WORKERS = 16, 2


def test_every_post_reaches_one_worker(augmented: Path) -> None:
    arm = open_arm(Store(augmented), "original")
    ids = sorted(example.id for example in arm.examples(arm.keys("train")))
    dataset = stream_posts(arm.store, arm.keys("train"), seed=0)
    shares = UnequalSplit().configure({"train": dataset}, WORKERS)
    tokenizer = word_recognizer().tokenizer

    def read(share: dict[str, Any]) -> list[list[str]]:
        loader = StreamingLoader(share["train"], tokenizer, posts=len(ids), batch=BATCH, seed=0, workers=WORKERS)
        assert loader.steps_per_epoch == -(-len(ids) // BATCH)
        return [[feature.encoded.id for feature in step] for step in loader.iter_epoch(1)]

    with ThreadPoolExecutor(WORKERS) as pool:  # the shares of an epoch start together
        steps = list(pool.map(read, shares))
    assert all(steps), "a worker has no posts"
    assert sorted(name for share in steps for step in share for name in step) == ids
    for share in steps:
        sizes = [len(step) for step in share]
        assert max(sizes) == BATCH // WORKERS
        assert sum(size < BATCH // WORKERS for size in sizes) <= 1
