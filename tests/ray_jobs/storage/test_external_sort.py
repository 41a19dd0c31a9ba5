"""The external sort compared with a sort in memory: one plan for any order of posts, buckets and buffer sizes."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import StoreError
from amia.posts import Post, RawPost, Rejected, content_hash, validate_post
from ray_jobs.storage.external_sort import (
    MAX_BUCKETS,
    UNKNOWN_BUCKETS,
    BucketReader,
    BucketWriter,
    bucket_count,
    bucket_slices,
    order_key,
)
from ray_jobs.storage.store import Store

TEXTS = ["a", "b b", " x\u2028y ", "🎉\ufe0f", "", "  "]
IDS = [None, "1", "2", "3", "1-1", "ü/..\\"]

raw_posts = st.builds(
    RawPost,
    location=st.just(""),
    id=st.sampled_from(IDS),
    split=st.sampled_from([None, "train", "dev", "test", "extra_1"]),
    text=st.sampled_from(TEXTS),
    tokens=st.none() | st.lists(st.sampled_from(["x", "", "\xa0"]), max_size=2),
    image=st.none() | st.sampled_from([b"", b"\xff\xd8", b"x" * 50]),
    image_path=st.none() | st.sampled_from(["a.jpg", "b.jpg"]),
)
corpora = st.lists(raw_posts, max_size=25).map(
    lambda raws: [
        RawPost(
            **{name: getattr(raw, name) for name in RawPost.__slots__}
            | {"location": f"posts#{number}", "tags": raw.tokens and ["O"] * len(raw.tokens)}
        )
        for number, raw in enumerate(raws)
    ]
)

Key = tuple[bytes, bool, str]


def plan_in_memory(raws: Sequence[RawPost], seed: int) -> tuple[dict[str, list[Post]], Counter[str]]:
    """Sort one list. Returns the ordered posts by split, and the number of rejected rows by reason."""
    with_id: dict[str, tuple[str, Post]] = {}
    without_id: list[tuple[str, Post]] = []
    reasons: Counter[str] = Counter()
    for raw in raws:
        post, content = validate_post(raw), content_hash(raw)
        if isinstance(post, Rejected):
            reasons[post.reason] += 1
        elif raw.id is None:
            without_id.append((content, post))
        elif raw.id in with_id:
            reasons["duplicate id"] += 1
            with_id[raw.id] = min(with_id[raw.id], (content, post), key=lambda pair: pair[0])
        else:
            with_id[raw.id] = content, post
    keyed = [(order_key(seed, post_id), 0, post_id, post) for post_id, (_, post) in with_id.items()]
    for content, copies in groupby(sorted(without_id, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        for number, (_, post) in enumerate(copies):
            keyed.append((order_key(seed, content), number, f"{content}-{number}" if number else content, post))
    plan: dict[str, list[Post]] = {}
    for _, _, post_id, post in sorted(keyed, key=lambda entry: entry[:2]):
        fields = {name: getattr(post, name) for name in Post.__slots__} | {"id": post_id, "location": "", "repaired": 0}
        plan.setdefault(post.split, []).append(Post(**fields))
    return plan, reasons


def plan_in_buckets(
    store: Store, raws: Sequence[RawPost], seed: int, count: int, **limits: int
) -> tuple[dict[str, list[Post]], Counter[str], str]:
    """Sort in buckets on disk and read shards of three posts. Also returns a digest of the order."""
    buckets = BucketWriter(store, "scratch/x", seed=seed, count=count, **limits)
    for raw in raws:
        post = validate_post(raw)
        if isinstance(post, Rejected):
            buckets.reject(post)
        else:
            buckets.add(post, has_source_id=raw.id is not None, content=content_hash(raw))
    buckets.flush()
    segments: dict[str, list[int]] = {}
    digest = hashlib.sha256()
    for bucket in range(count):
        result = buckets.sort(bucket)
        for rejected in result.duplicates:
            buckets.reject(rejected)
        for split in ("train", "validation", "test", "extra_1"):
            order = result.orders.get(split)
            segments.setdefault(split, []).append(0 if order is None else order.num_rows)
    buckets.flush()
    reader = BucketReader(store, "scratch/x")
    plan: dict[str, list[Post]] = {}
    for split, counts in segments.items():
        for first in range(0, sum(counts), 3):
            for bucket, part in bucket_slices(counts, slice(first, min(first + 3, sum(counts)))):
                for row in reader.read(bucket, split, part):
                    for name in ("tokens", "tags", "ner_tags"):
                        row[name] = row[name] if row[name] is None else tuple(row[name])
                    plan.setdefault(split, []).append(Post(**row))
                    digest.update(repr(row).encode())
    reasons: Counter[str] = Counter()
    for key in store.list("scratch/x/quarantine"):
        for line in store.read(key).decode().split("\n")[:-1]:
            rejected_row = json.loads(line)
            assert rejected_row["where"].startswith("posts#")
            reasons[rejected_row["reason"]] += 1
    return plan, reasons, digest.hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    raws=corpora,
    seed=st.sampled_from([0, 7, 2**63 - 1]),
    count=st.sampled_from([1, 2, 7]),
    limits=st.sampled_from([{}, {"buffer_bytes": 1}, {"buffer_bytes": 6_000}, {"part_bytes": 4_000}]),
    data=st.data(),
)
def test_same_plan_as_sorting_in_memory(
    raws: list[RawPost], seed: int, count: int, limits: dict[str, int], data: st.DataObject
) -> None:
    expected, reasons = plan_in_memory(raws, seed)
    shuffled = data.draw(st.permutations(raws))
    with tempfile.TemporaryDirectory() as folder:
        plan, bucket_reasons, digest = plan_in_buckets(Store(Path(folder) / "a"), raws, seed, count, **limits)
        _, _, shuffled_digest = plan_in_buckets(Store(Path(folder) / "b"), shuffled, seed, 1)
    assert plan == expected
    assert bucket_reasons == reasons
    assert digest == shuffled_digest, "the order of the posts changed the plan"
    assert sum(map(len, plan.values())) + bucket_reasons.total() == len(raws)


def test_small_split_is_gathered_from_many_buckets(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    raws = [
        RawPost(location=f"posts#{n}", id=f"p{n}", text="t", split="test" if n % 100 == 0 else "train")
        for n in range(2000)
    ]
    plan, _, _ = plan_in_buckets(store, raws, 0, 64, buffer_bytes=200_000)
    assert plan == plan_in_memory(raws, 0)[0]
    assert len(plan["test"]) == 20
    # A shard of the small split reads no posts of the large one.
    assert any("order-test" in key for key in store.list("scratch"))
    assert not any("rows-train" in key and "test" in key for key in store.list("scratch"))


def test_smallest_content_of_equal_ids_is_kept(tmp_path: Path) -> None:
    raws = [
        RawPost(location=f"posts#{n}", id="same", text=f"text {n}", split="test" if n else "train") for n in range(5)
    ]
    smallest = min(raws, key=content_hash)
    plan, reasons, _ = plan_in_buckets(Store(tmp_path / "run"), raws, 0, 3)
    assert [post.text for posts in plan.values() for post in posts] == [smallest.text]
    assert reasons == {"duplicate id": 4}


def test_identical_posts_without_id_are_numbered(tmp_path: Path) -> None:
    raws = [RawPost(location=f"posts#{n}", text="again") for n in range(3)]
    plan, reasons, _ = plan_in_buckets(Store(tmp_path / "run"), raws, 0, 2)
    name = content_hash(raws[0])
    assert [post.id for post in plan["train"]] == [name, f"{name}-1", f"{name}-2"]
    assert not reasons


def test_removed_scratch_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    buckets = BucketWriter(store, "scratch/x", seed=0, count=1)
    buckets.add(Post(id="1", text="t"), has_source_id=True, content="c")
    buckets.flush()
    store.delete("scratch")
    with pytest.raises(StoreError, match=r"0 of the 1 parts.*Start the same command again"):
        buckets.sort(0)


def test_buffer_bounds_the_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    buckets = BucketWriter(store, "scratch/x", seed=0, count=4, buffer_bytes=100_000)
    for number in range(400):
        buckets.add(Post(id=str(number), text="t", image=b"x" * 1_000), has_source_id=True, content=str(number))
        assert sum(len(posts) for posts in buckets._posts.values()) * 2_500 <= 102_600
    assert len([key for key in store.list("scratch") if "rows-" in key]) > 8


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (1, 1), (100, 1), (101, 2), (10**12, MAX_BUCKETS), (None, UNKNOWN_BUCKETS)]
)
def test_bucket_count(size: int | None, count: int) -> None:
    assert bucket_count(size, 100) == count


def test_order_depends_on_the_seed() -> None:
    assert order_key(0, "a") != order_key(1, "a")
    assert len(order_key(2**63 - 1, "ü")) == 16


@given(counts=st.lists(st.integers(0, 5), max_size=8), first=st.integers(0, 20), length=st.integers(0, 20))
def test_bucket_slices_cover_the_rows(counts: list[int], first: int, length: int) -> None:
    flat = [(bucket, row) for bucket, count in enumerate(counts) for row in range(count)]
    expected = flat[first : first + length]
    rows = slice(first, min(first + length, len(flat)))
    result = [(bucket, row) for bucket, part in bucket_slices(counts, rows) for row in range(part.start, part.stop)]
    assert result == expected
