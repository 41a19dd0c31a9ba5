"""What was put is there, for others too, until the limit is reached."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from amia.mner.visual_features import FeatureCache

PLENTY = 10**9


def test_what_was_put_is_found_and_nothing_else(tmp_path: Path) -> None:
    values = {str(number): os.urandom(number) for number in range(1200)}
    with FeatureCache(tmp_path / "cache.sqlite", PLENTY) as cache:
        cache.put(values)
        assert cache.get([*values, "another"]) == values
        assert cache.get(["7", "another", "9"]) == {"7": values["7"], "9": values["9"]}
        assert cache.get(["another"]) == {}
        assert cache.get([]) == {}


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", PLENTY) as cache:
        cache.put({"a": b"first"})
        cache.put({"a": b"second", "b": b"new"})
        assert cache.get(["a", "b"]) == {"a": b"first", "b": b"new"}


def test_it_survives_closing_in_a_folder_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "cache.sqlite"
    with FeatureCache(path, PLENTY) as cache:
        cache.put({"a": b"1" * 9000})
    with FeatureCache(path, PLENTY) as cache:
        assert cache.get(["a"]) == {"a": b"1" * 9000}


def test_the_limit_is_kept_and_what_is_there_stays(tmp_path: Path) -> None:
    path, limit = tmp_path / "cache.sqlite", 200_000
    with FeatureCache(path, limit) as cache:
        for number in range(40):
            cache.put({str(number): os.urandom(10_000)})
        kept = cache.get([str(number) for number in range(40)])
        assert 10 <= len(kept) < 20
        assert set(kept) == {str(number) for number in range(len(kept))}, "the first ones"
    assert path.stat().st_size <= limit + 10_000 + 4096, "rounded up to pages"
    with FeatureCache(path, limit) as cache:
        cache.put({"more": b"x" * 10_000})
        assert cache.get(["more", *kept]) == kept
    with FeatureCache(path, 0) as cache:
        cache.put({"least": b""})
        assert cache.get(["least"]) == {}


def test_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, PLENTY) as one, FeatureCache(path, PLENTY) as other:
        one.put({"a": b"1"})
        assert other.get(["a"]) == {"a": b"1"}
        other.put({"a": b"2", "b": b"2"})
        assert one.get(["a", "b"]) == {"a": b"1", "b": b"2"}

        def fill(cache: FeatureCache) -> None:
            for number in range(100):
                cache.put({f"key {number}": bytes([number])})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fill, [one, other]))
        found = one.get([f"key {number}" for number in range(100)])
        assert found == {f"key {number}": bytes([number]) for number in range(100)}
        assert other.get(list(found)) == found


def test_what_a_killed_process_had_begun_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    FeatureCache(path, PLENTY).close()
    begun = sqlite3.connect(path, isolation_level=None)
    begun.execute("BEGIN")
    begun.execute("INSERT INTO features VALUES ('half', x'00')")
    with FeatureCache(path, PLENTY) as cache:
        assert cache.get(["half"]) == {}
    begun.close()
    with FeatureCache(path, PLENTY) as cache:
        cache.put({"half": b"whole"})
        assert cache.get(["half"]) == {"half": b"whole"}


def test_a_full_disk_ends_the_keeping_and_not_the_training(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "features", 10**9) as cache:
        cache.put({"first": b"1"})
        pages = sqlite3.connect(tmp_path / "features").execute("PRAGMA page_count").fetchone()[0]
        cache._base.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own words for a full disk
        cache.put({"second": bytes(1_000_000)})
        cache.put({"third": b"3"})
        assert cache.get(["first", "second", "third"]) == {"first": b"1"}
