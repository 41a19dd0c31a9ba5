"""One seed a post, from the run's seed and the post's id alone: no order, batch or machine takes part."""

import hashlib

__all__ = ["post_seed", "redraw_seed"]

_BITS = 63
"""`torch.Generator.manual_seed` and Parquet's int64 both hold 63 bits without a sign."""


def post_seed(run_seed: int, post_id: str) -> int:
    """The seed of a post's first image, in [0, 2**63)."""
    return _hashed(f"{run_seed}\x1f{post_id}")


def redraw_seed(seed: int, redraw: int) -> int:
    """The seed of the `redraw`-th attempt (1, 2, ...) after the image from `seed` was unusable."""
    return _hashed(f"redraw\x1f{seed}\x1f{redraw}")


def _hashed(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)
