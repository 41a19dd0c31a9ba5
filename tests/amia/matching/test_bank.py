"""The bank of negatives: files, concatenation, keys."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import MixtureError
from amia.matching.bank import Bank, Embeddings, image_key, text_key


@given(st.lists(st.text(), min_size=1, max_size=5), st.sampled_from(["f2", "f4"]), st.binary(min_size=32, max_size=32))
def test_bytes_round_trip(ids, dtype, keys):
    n = len(ids)
    # NumPy strings would lose the trailing zero bytes of a digest.
    digests = np.array([keys[:16], b"\0" * 16, keys[16:24] + b"\0" * 8, b"a", keys[16:]][:n], "S16")
    bank = Bank(ids, np.ones((n, 3), dtype), np.full((n, 3), 2, dtype), digests, digests[::-1])
    restored = Bank.from_bytes(bank.to_bytes())
    assert restored.ids == ids
    assert restored.to_bytes() == bank.to_bytes()
    for name in ("texts", "images", "text_keys", "image_keys"):
        assert np.array_equal(getattr(restored, name), getattr(bank, name))
        assert getattr(restored, name).dtype == getattr(bank, name).dtype


def test_of_takes_first_posts(posts):
    a, b = posts(3, name="a"), posts(4, name="b")
    bank = Bank.of([posts(0), a, b], 5)
    assert bank.ids == ["a0", "a1", "a2", "b0", "b1"]
    assert np.array_equal(bank.images[3:], b.images[:2])
    assert len(Bank.of([a, b], 99)) == 7
    with pytest.raises(MixtureError, match="needs posts with an image"):
        Bank.of([posts(0)], 5)


def test_file_round_trip(posts, tmp_path):
    bank = Bank.of([posts(3)], 3)
    bank.save(tmp_path / "bank.safetensors")
    assert Bank.load(tmp_path / "bank.safetensors").ids == bank.ids
    with pytest.raises(MixtureError, match="cannot read a bank of negatives"):
        Bank.load(tmp_path / "missing")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not safetensors",
        safetensors.numpy.save({"weight": np.ones(3)}),
        safetensors.numpy.save({"ids": np.ones(3)}),
    ],
)
def test_rejects_other_data(data):
    with pytest.raises(MixtureError, match="x is not a bank"):
        Bank.from_bytes(data, where="x")


def test_rejects_inconsistent_shapes(posts):
    a = posts(3)
    with pytest.raises(MixtureError, match="2 posts"):
        Embeddings(a.ids[:2], a.texts, a.images, a.text_keys, a.image_keys)
    with pytest.raises(MixtureError, match="keys"):
        Embeddings(a.ids, a.texts, a.images, a.text_keys[:2], a.image_keys)


def test_keys_depend_on_contents():
    assert len(text_key("")) == len(image_key(b"")) == 16
    assert text_key("a") == text_key("a") != text_key("b")
