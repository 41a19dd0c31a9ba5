"""Test that each post is seen once per epoch, and that the posts of a step do not depend on the number of workers."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.features import EncodedPost, Feature
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext


def make_features(count: int) -> list[Feature]:
    return [
        Feature(EncodedPost(id=str(number), word_ids=tuple(range(1 + number * 7 % 11))), str(number).encode())
        for number in range(count)
    ]


def make_loader(count: int, batch: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> InMemoryLoader:
    dist_context = DistContext(torch.device("cpu"))
    dist_context.rank, dist_context.world_size = rank, world_size
    return InMemoryLoader(make_features(count), batch, seed, dist_context)


def step_ids(loader: InMemoryLoader, epoch: int) -> list[list[str]]:
    return [[feature.encoded.id for feature in posts] for posts in loader.iter_epoch(epoch)]


@given(
    count=st.integers(0, 70), batch=st.integers(1, 12), seed=st.integers(0, 2**31 - 1), epoch=st.integers(1, 30),
    world_size=st.integers(1, 5),
)  # fmt: skip
def test_workers_share_each_step(count: int, batch: int, seed: int, epoch: int, world_size: int) -> None:
    expected = step_ids(make_loader(count, batch, seed), epoch)
    assert len(expected) == make_loader(count, batch, seed).steps_per_epoch
    assert sorted(post for step in expected for post in step) == sorted(map(str, range(count)))
    shares = [step_ids(make_loader(count, batch, seed, rank, world_size), epoch) for rank in range(world_size)]
    for step, step_shares in zip(expected, zip(*shares, strict=True), strict=True):
        assert sorted(post for share in step_shares for post in share) == sorted(step)
        assert max(map(len, step_shares)) - min(map(len, step_shares)) <= 1


def test_order_depends_on_seed_and_epoch() -> None:
    orders = {(seed, epoch): step_ids(make_loader(64, 8, seed), epoch) for seed in range(3) for epoch in range(1, 6)}
    assert len({str(order) for order in orders.values()}) == 15
    assert all(step_ids(make_loader(64, 8, seed), epoch) == order for (seed, epoch), order in orders.items())


def test_keeps_the_image_of_each_post() -> None:
    for posts in make_loader(20, 6).iter_epoch(1):
        assert all(feature.image == feature.encoded.id.encode() for feature in posts)
