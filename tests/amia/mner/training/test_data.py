"""Each post once an epoch, by one worker; the same posts a step, however many workers share it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.features import EncodedPost, Feature
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext


def items(count: int) -> list[Feature]:
    return [
        Feature(EncodedPost(id=str(number), words=tuple(range(1 + number * 7 % 11))), str(number).encode())
        for number in range(count)
    ]


def feed(count: int, batch: int, seed: int = 0, rank: int = 0, size: int = 1) -> InMemoryLoader:
    world = DistContext(torch.device("cpu"))
    world.rank, world.size = rank, size
    return InMemoryLoader(items(count), batch, seed, world)


def steps(feed: InMemoryLoader, epoch: int) -> list[list[str]]:
    return [[item.text.id for item in share] for share in feed.epoch(epoch)]


@given(
    count=st.integers(0, 70), batch=st.integers(1, 12), seed=st.integers(0, 2**31 - 1), epoch=st.integers(1, 30),
    size=st.integers(1, 5),
)  # fmt: skip
def test_workers_share_what_one_alone_would_take(count: int, batch: int, seed: int, epoch: int, size: int) -> None:
    alone = steps(feed(count, batch, seed), epoch)
    assert len(alone) == feed(count, batch, seed).steps
    assert sorted(post for step in alone for post in step) == sorted(map(str, range(count)))
    shares = [steps(feed(count, batch, seed, rank, size), epoch) for rank in range(size)]
    for step, together in zip(alone, zip(*shares, strict=True), strict=True):
        assert sorted(post for share in together for post in share) == sorted(step)
        assert max(map(len, together)) - min(map(len, together)) <= 1


def test_every_epoch_and_every_seed_in_another_order_that_repeats() -> None:
    orders = {(seed, epoch): steps(feed(64, 8, seed), epoch) for seed in range(3) for epoch in range(1, 6)}
    assert len({str(order) for order in orders.values()}) == 15
    assert all(steps(feed(64, 8, seed), epoch) == order for (seed, epoch), order in orders.items())


def test_each_post_comes_with_its_own_image() -> None:
    for share in feed(20, 6).epoch(1):
        assert all(item.image == item.text.id.encode() for item in share)
