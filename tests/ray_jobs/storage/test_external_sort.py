"""The external sort compared with a sort in memory: one plan for any order of posts, buckets and buffer sizes."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import StoreError
from amia.posts import Post, RawPost, Rejected, content_hash, hash_post, validate_post
from ray_jobs.storage.external_sort import (
    MAX_BUCKETS,
    UNKNOWN_BUCKETS,
    BucketReader,
    bucket_count,
    bucket_slices,
    combine_leaves,
    order_file,
    sort_bucket,
    write_bucket_files,
)
from ray_jobs.storage.split_files import SplitWriter, order_key, read_index, to_ipc
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
    store: Store, raws: Sequence[RawPost], seed: int, count: int, *, cuts: Sequence[int] = (), **limits: int
) -> tuple[dict[str, list[Post]], Counter[str], str]:
    """Sort in buckets on disk and read shards of three posts. Also returns a digest of the plan.

    `cuts`: numbers of the posts that begin another split of the source.
    """
    indexes = []
    bounds = [0, *sorted(cuts), len(raws)]
    for number, (first, last) in enumerate(pairwise(bounds)):
        writer = SplitWriter(store, "scratch/x", f"{number:05d}", seed=seed, buckets=count, **limits)
        for raw in raws[first:last]:
            post = validate_post(raw)
            if isinstance(post, Rejected):
                writer.reject(post)
            else:
                content, body = hash_post(raw)
                writer.add(post, has_source_id=raw.id is not None, content=content, body=body)
        indexes.append(writer.finish(lines=0))
    names = write_bucket_files(store, "scratch/x", indexes, {})
    segments: dict[str, list[int]] = {split: [0] * count for split in ("train", "validation", "test", "extra_1")}
    leaves: dict[str, dict[int, str]] = {}
    reasons: Counter[str] = Counter()
    for name in names:
        result = sort_bucket(store, "scratch/x", int(name))
        reasons.update(row.reason for row in result.duplicates)
        for split, order in result.orders.items():
            store.create(order_file("scratch/x", int(name), split), to_ipc(order))
            segments[split][int(name)] = order.num_rows
            leaves.setdefault(split, {}).update(result.leaves[split])
    digest = hashlib.sha256(json.dumps(combine_leaves(leaves)).encode())
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
    for key in store.list("scratch/x/parts"):
        for line in store.read(key).decode().split("\n")[:-1] if key.endswith("-rejected.jsonl") else ():
            rejected_row = json.loads(line)
            assert rejected_row["where"].startswith("posts#")
            reasons[rejected_row["reason"]] += 1
    return plan, reasons, digest.hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    raws=corpora,
    seed=st.sampled_from([0, 7, 2**63 - 1]),
    count=st.sampled_from([1, 2, 8]),
    limits=st.sampled_from([{}, {"part_bytes": 1}, {"part_bytes": 6_000}]),
    data=st.data(),
)
def test_same_plan_as_sorting_in_memory(
    raws: list[RawPost], seed: int, count: int, limits: dict[str, int], data: st.DataObject
) -> None:
    expected, reasons = plan_in_memory(raws, seed)
    shuffled = data.draw(st.permutations(raws))
    cuts = data.draw(st.lists(st.integers(0, len(raws)), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        plan, bucket_reasons, digest = plan_in_buckets(
            Store(Path(folder) / "a"), raws, seed, count, cuts=cuts, **limits
        )
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
    plan, _, _ = plan_in_buckets(store, raws, 0, 64, part_bytes=1_000_000)
    assert plan == plan_in_memory(raws, 0)[0]
    assert len(plan["test"]) == 20


def test_smallest_content_of_equal_ids_is_kept(tmp_path: Path) -> None:
    raws = [
        RawPost(location=f"posts#{n}", id="same", text=f"text {n}", split="test" if n else "train") for n in range(5)
    ]
    smallest = min(raws, key=content_hash)
    plan, reasons, _ = plan_in_buckets(Store(tmp_path / "run"), raws, 0, 4)
    assert [post.text for posts in plan.values() for post in posts] == [smallest.text]
    assert reasons == {"duplicate id": 4}


def test_identical_posts_without_id_are_numbered(tmp_path: Path) -> None:
    raws = [RawPost(location=f"posts#{n}", text="again") for n in range(3)]
    plan, reasons, _ = plan_in_buckets(Store(tmp_path / "run"), raws, 0, 2)
    name = content_hash(raws[0])
    assert [post.id for post in plan["train"]] == [name, f"{name}-1", f"{name}-2"]
    assert not reasons


def test_kept_copy_does_not_depend_on_the_cuts(tmp_path: Path) -> None:
    raws = [RawPost(location=f"posts#{n}", id="same", text="same") for n in range(12)]
    for cuts in ([], [1], [2, 5, 11]):
        store = Store(tmp_path / str(len(cuts)))
        plan_in_buckets(store, raws, 0, 2, cuts=cuts)
        (bucket,) = [int(key[-9:-5]) for key in store.list("scratch/x/buckets")]
        duplicates = sort_bucket(store, "scratch/x", bucket).duplicates
        assert [row.location for row in duplicates] == [f"posts#{n}" for n in range(1, 12)]


def test_index_survives_its_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    writer = SplitWriter(store, "scratch/x", "00000", seed=0, buckets=4)
    for number in range(20):
        tags = ("B-LOC",) if number % 2 else None
        post = Post(id=str(number), text="t", tokens=("t",), tags=tags, ner_tags=tags, repaired=number % 2)
        writer.add(post, has_source_id=True, content="0c", body=b"b" * 16)
    writer.reject(Rejected(location="x:1", id=None, reason="no text"))
    index = writer.finish(lines=21)
    store.create("scratch/x/splits/00000.json", index.to_json())
    assert read_index(store, "scratch/x", "00000") == index
    assert (index.posts, index.labeled, index.repaired, index.types) == (20, 10, 10, ["LOC"])
    assert (index.rejected, index.rejected_parts, index.lines) == (1, 1, 21)


def test_removed_scratch_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    writer = SplitWriter(store, "scratch/x", "00000", seed=0, buckets=1)
    writer.add(Post(id="1", text="t"), has_source_id=True, content="0c", body=b"b" * 16)
    write_bucket_files(store, "scratch/x", [writer.finish(lines=0)], {})
    store.delete("scratch/x/parts")
    with pytest.raises(StoreError, match=r"00000-00000\.arrow could not be read"):
        sort_bucket(store, "scratch/x", 0)
    store.delete("scratch")
    with pytest.raises(StoreError, match=r"0000\.json .* is missing: .*Start the same command again"):
        sort_bucket(store, "scratch/x", 0)


def test_parts_bound_the_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    writer = SplitWriter(store, "scratch/x", "00000", seed=0, buckets=4, part_bytes=100_000)
    for number in range(400):
        writer.add(
            Post(id=str(number), text="t", image=b"x" * 1_000), has_source_id=True, content=str(number), body=b"b" * 16
        )
        assert sum(len(posts) for posts in writer._rows.values()) * 2_500 <= 102_600
    writer.finish(lines=0)
    assert len(store.list("scratch/x/parts")) > 8


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (1, 1), (100, 1), (101, 2), (201, 4), (10**12, MAX_BUCKETS), (None, UNKNOWN_BUCKETS)]
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
