"""Identities: the same again is let in, anything else is refused with its difference."""

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


def test_the_first_claim_is_written_down_and_the_same_is_let_in_again(store: Store) -> None:
    assert read_identity(store, "embeddings") is None
    assert check_or_write_identity(store, "embeddings", IDENTITY) == digest(IDENTITY)
    assert read_identity(store, "embeddings") == IDENTITY
    assert check_or_write_identity(store, "embeddings", dict(reversed(IDENTITY.items()))) == digest(IDENTITY)


def test_another_claim_is_refused_with_every_difference(store: Store) -> None:
    check_or_write_identity(store, "embeddings", IDENTITY)
    other = IDENTITY | {"settings": {"clip": {"micro_batch": 32, "dtype": "float32"}, "steps": None}}
    with pytest.raises(IdentityError) as caught:
        check_or_write_identity(store, "embeddings", other)
    said = str(caught.value)
    assert "embeddings/ in" in said
    assert "settings.clip.micro_batch: 64 in the run, 32 now" in said
    assert "settings.threads: 1 in the run, nothing now" in said
    assert "settings.steps: nothing in the run, null now" in said
    assert "dtype" not in said
    assert read_identity(store, "embeddings") == IDENTITY


def test_digests_do_not_depend_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_no_difference_between_equals() -> None:
    assert difference(IDENTITY, dict(IDENTITY)) == []


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_foreign_identity_is_named(store: Store, content: bytes) -> None:
    store.create("posts/identity.json", content)
    with pytest.raises(RunError, match=r"posts/identity\.json in .* was not written by amia"):
        read_identity(store, "posts")
