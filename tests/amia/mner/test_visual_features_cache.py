"""Test `FeatureCache`: shared, persistent, and limited in size."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from amia.mner.visual_features import FeatureCache

LIMIT = 10**9


def test_get_returns_stored_keys(tmp_path: Path) -> None:
    values = {str(number): os.urandom(number) for number in range(1200)}
    with FeatureCache(tmp_path / "cache.sqlite", LIMIT) as cache:
        cache.put(values)
        assert cache.get([*values, "another"]) == values
        assert cache.get(["7", "another", "9"]) == {"7": values["7"], "9": values["9"]}
        assert cache.get(["another"]) == {}
        assert cache.get([]) == {}


def test_put_does_not_overwrite(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", LIMIT) as cache:
        cache.put({"a": b"first"})
        cache.put({"a": b"second", "b": b"new"})
        assert cache.get(["a", "b"]) == {"a": b"first", "b": b"new"}


def test_persists_and_creates_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "cache.sqlite"
    with FeatureCache(path, LIMIT) as cache:
        cache.put({"a": b"1" * 9000})
    with FeatureCache(path, LIMIT) as cache:
        assert cache.get(["a"]) == {"a": b"1" * 9000}


def test_respects_the_limit(tmp_path: Path) -> None:
    path, limit = tmp_path / "cache.sqlite", 200_000
    with FeatureCache(path, limit) as cache:
        for number in range(40):
            cache.put({str(number): os.urandom(10_000)})
        stored = cache.get([str(number) for number in range(40)])
        assert 10 <= len(stored) < 20
        assert set(stored) == {str(number) for number in range(len(stored))}, "the first ones"
    assert path.stat().st_size <= limit + 10_000 + 4096, "rounded up to pages"
    with FeatureCache(path, limit) as cache:
        cache.put({"more": b"x" * 10_000})
        assert cache.get(["more", *stored]) == stored
    with FeatureCache(path, 0) as cache:
        cache.put({"empty": b""})
        assert cache.get(["empty"]) == {}


def test_concurrent_connections(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, LIMIT) as first, FeatureCache(path, LIMIT) as second:
        first.put({"a": b"1"})
        assert second.get(["a"]) == {"a": b"1"}
        second.put({"a": b"2", "b": b"2"})
        assert first.get(["a", "b"]) == {"a": b"1", "b": b"2"}

        def fill(cache: FeatureCache) -> None:
            for number in range(100):
                cache.put({f"key {number}": bytes([number])})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fill, [first, second]))
        values = first.get([f"key {number}" for number in range(100)])
        assert values == {f"key {number}": bytes([number]) for number in range(100)}
        assert second.get(list(values)) == values


def test_ignores_unfinished_transactions(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    FeatureCache(path, LIMIT).close()
    unfinished = sqlite3.connect(path, isolation_level=None)
    unfinished.execute("BEGIN")
    unfinished.execute("INSERT INTO features VALUES ('key', x'00')")
    with FeatureCache(path, LIMIT) as cache:
        assert cache.get(["key"]) == {}
    unfinished.close()
    with FeatureCache(path, LIMIT) as cache:
        cache.put({"key": b"value"})
        assert cache.get(["key"]) == {"key": b"value"}


def test_full_disk_disables_the_cache(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "features", 10**9) as cache:
        cache.put({"first": b"1"})
        pages = sqlite3.connect(tmp_path / "features").execute("PRAGMA page_count").fetchone()[0]
        cache._database.execute(f"PRAGMA max_page_count={pages}")  # makes SQLite report a full disk
        cache.put({"second": bytes(1_000_000)})
        cache.put({"third": b"3"})
        assert cache.get(["first", "second", "third"]) == {"first": b"1"}
