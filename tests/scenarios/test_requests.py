"""Requests of a driver to the object store, counted at a proxy: no footer is read twice; a second start makes few."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.settings.job import Settings
from ray_jobs.storage.store import Store
from tests.helpers.buckets import upload
from tests.helpers.drivers import finish, read_files, start
from tests.helpers.faulty_s3 import FaultyS3, faulty_s3
from tests.helpers.head import started_head

MAX_REQUESTS = 20


@pytest.fixture
def proxy(bucket: str) -> Iterator[FaultyS3]:
    """A proxy that counts. Only who gets its address goes through it."""
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        yield proxy


def requests(proxy: FaultyS3) -> Counter[tuple[str, str]]:
    """Return the requests so far by method and key; listings as `LIST` and their folder. Forgets them."""
    counts: Counter[tuple[str, str]] = Counter()
    for method, path, _ in proxy.requests:
        url = urlsplit(path)
        if "list-type" in url.query:
            prefix = next(part for part in url.query.split("&") if part.startswith("prefix="))
            counts["LIST", unquote(prefix.removeprefix("prefix="))] += 1
        else:
            counts[method, unquote(url.path)] += 1
    proxy.requests.clear()
    return counts


def split_listings(counts: Counter[tuple[str, str]]) -> tuple[int, Counter[tuple[str, str]]]:
    """Return the number of requests that are no listings, and the listings."""
    listings = Counter({key: count for key, count in counts.items() if key[0] == "LIST"})
    return counts.total() - listings.total(), listings


@pytest.mark.promise(39)
@pytest.mark.usefixtures("cluster")
def test_finished_run_starts_again_with_few_requests(
    augmented: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    proxy: FaultyS3,
    small: Callable[..., Settings],
) -> None:
    run = upload(augmented, f"{bucket}/again")
    before = Store(run).list("")
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    result = augment(run, small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    assert result.posts == 96
    counts = requests(proxy)
    others, listings = split_listings(counts)
    assert others <= MAX_REQUESTS, sorted(counts.items())
    assert set(listings.values()) == {1}, listings
    assert [key for _, key in counts if key.endswith(".parquet") and "/facts/" not in key] == []
    assert Store(run).list("") == before


@pytest.mark.promise(39)
@pytest.mark.slow
def test_driver_reads_no_footer(
    augmented: Path, ingested: Path, bucket: str, proxy: FaultyS3, small_words: Sequence[str], tmp_path: Path
) -> None:
    """The actors reach the storage directly, the driver through the proxy."""
    run = upload(ingested, f"{bucket}/first")
    words = ("augment", "--run", run, "--config", "demo", *small_words, "--accept-mixture")
    with started_head(2) as head:
        env = {"RAY_ADDRESS": head.address, "RAY_AUTH_MODE": "disabled", "AWS_ENDPOINT_URL": proxy.endpoint}
        assert finish(start(*words, **env))[::2] == (0, "")
        first = requests(proxy)
        shards = [(method, key) for method, key in first if key.endswith(".parquet") and "/facts/" not in key]
        # The bank and the losses are so few here that the driver reads the columns themselves, not histograms.
        assert {key.split("/")[3] for _, key in shards} == {"embeddings", "scores"}, shards
        assert {method for method, _ in shards} == {"GET"}, "the sizes are known from listings"
        assert finish(start(*words, **env))[::2] == (0, "")
        others, listings = split_listings(requests(proxy))
        assert others <= MAX_REQUESTS
        assert set(listings.values()) == {1}
    files = {key: Store(run).read(key) for key in Store(run).list("")}
    expected = read_files(augmented, "embeddings", "scores", "mixture", "synthesized", "augmented/adaptive")
    assert {key: files[key] for key in expected} == expected
