"""An equal identity is accepted; any other is refused with the differences."""

from pathlib import Path

import pytest

from amia.errors import IdentityError, RunError
from ray_jobs.storage.fingerprint import check_or_write_identity, difference, digest, read_identity
from ray_jobs.storage.store import Store

IDENTITY = {
    "stage": "embeddings",
    "version": 1,
    "settings": {"clip": {"micro_batch": 64, "dtype": "float32"}, "threads": 1},
    "input": {"posts": "abc"},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def test_first_identity_is_written_and_accepted_again(store: Store) -> None:
    assert read_identity(store, "embeddings") is None
    assert check_or_write_identity(store, "embeddings", IDENTITY) == digest(IDENTITY)
    assert read_identity(store, "embeddings") == IDENTITY
    assert check_or_write_identity(store, "embeddings", dict(reversed(IDENTITY.items()))) == digest(IDENTITY)


def test_other_identity_is_refused_with_all_differences(store: Store) -> None:
    check_or_write_identity(store, "embeddings", IDENTITY)
    other = IDENTITY | {"settings": {"clip": {"micro_batch": 32, "dtype": "float32"}, "steps": None}}
    with pytest.raises(IdentityError) as caught:
        check_or_write_identity(store, "embeddings", other)
    message = str(caught.value)
    assert "embeddings/ in" in message
    assert "settings.clip.micro_batch: 64 in the run, 32 now" in message
    assert "settings.threads: 1 in the run, nothing now" in message
    assert "settings.steps: nothing in the run, null now" in message
    assert "dtype" not in message
    assert read_identity(store, "embeddings") == IDENTITY


def test_digest_ignores_the_order_of_names() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_no_difference_between_equal_identities() -> None:
    assert difference(IDENTITY, dict(IDENTITY)) == []


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_foreign_identity_is_refused(store: Store, content: bytes) -> None:
    store.create("posts/identity.json", content)
    with pytest.raises(RunError, match=r"posts/identity\.json in .* was not written by amia"):
        read_identity(store, "posts")
