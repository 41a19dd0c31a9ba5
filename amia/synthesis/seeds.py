"""Seeds of images, computed from the run's seed and the post's id alone: independent of order, batch and machine."""

import hashlib

__all__ = ["post_seed", "redraw_seed"]

_BITS = 63
"""`torch.Generator.manual_seed` and Parquet's int64 both hold 63 bits without a sign."""


def post_seed(run_seed: int, post_id: str) -> int:
    """Return the seed of a post's first image, in [0, 2**63)."""
    return _hash_to_seed(f"{run_seed}\x1f{post_id}")


def redraw_seed(seed: int, redraw: int) -> int:
    """Return the seed of the `redraw`-th retry (1, 2, ...) after the image from `seed` was unusable."""
    return _hash_to_seed(f"redraw\x1f{seed}\x1f{redraw}")


def _hash_to_seed(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)
