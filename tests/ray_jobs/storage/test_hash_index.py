"""Sorted hashes: every range holds what a plain filter finds, with what belongs to each hash."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import StoreError
from ray_jobs.storage.earlier import hash_range
from ray_jobs.storage.hash_index import RANGES, encode_hashes, find, is_in, read_hashes
from ray_jobs.storage.store import Store

HASHES = st.lists(st.binary(min_size=16, max_size=16) | st.sampled_from([b"\0" * 16, b"\xff" * 16, b"a" * 15 + b"\0"]))


@given(st.lists(st.tuples(HASHES.map(lambda rows: (rows or [b"x" * 16])[0]), st.binary(min_size=16, max_size=16))))
def test_every_range_holds_its_hashes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bytes, bytes]]
) -> None:
    store = Store(tmp_path_factory.mktemp("hashes"))
    hashes, payload = (np.array([row[column] for row in rows], "S16") for column in (0, 1))
    store.create("pairs", encode_hashes(hashes, payload))
    store.create("alone", encode_hashes(hashes))
    for buckets in (1, 3, 4, 256, 1024):
        bucket = buckets // 2
        low, high = hash_range(bucket, buckets)
        expected = sorted(row for row in rows if low <= row[0][0] < high)
        found, belonging = read_hashes(store, "pairs", low, high, width=32)
        pairs = [(one.ljust(16, b"\0"), two.ljust(16, b"\0")) for one, two in zip(found, belonging, strict=True)]
        assert [pair[0] for pair in pairs] == [row[0] for row in expected]
        assert sorted(pairs) == expected
        assert read_hashes(store, "alone", low, high)[0].tolist() == found.tolist()


@pytest.mark.parametrize("buckets", [1, 2, 8, 256, 1024])
def test_ranges_cover_the_first_bytes_of_their_bucket(buckets: int) -> None:
    for first in range(RANGES):
        for rest in (0, 0xFFFFFF):
            bucket = (first << 24 | rest) * buckets >> 32
            low, high = hash_range(bucket, buckets)
            assert low <= first < high


@given(HASHES, HASHES)
def test_lookup_is_membership(looked_up: list[bytes], held: list[bytes]) -> None:
    hashes, ascending = np.array(looked_up, "S16"), np.sort(np.array(held, "S16"))
    assert is_in(hashes, ascending).tolist() == [one in held for one in looked_up]
    for one, position in zip(looked_up, find(hashes, ascending), strict=True):
        assert position == -1 or ascending[position] == one.rstrip(b"\0")


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(StoreError, match="index/x could not be read"):
        read_hashes(Store(tmp_path / "run"), "index/x", 0, 256)
