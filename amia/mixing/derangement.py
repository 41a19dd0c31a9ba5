"""Derangement of images among posts, to test whether a recognizer uses them: if it does not, F1 stays the same."""

import hashlib
from collections import Counter
from collections.abc import Sequence

__all__ = ["derange_images"]


def derange_images(ids: Sequence[str], images: Sequence[bytes | None], seed: int) -> list[int | None]:
    """Return for each post the index of the post whose image it shows, at random; None for a post without image.

    No post shows an image equal to its own, and every image is shown once, as long as at most half of the images are
    equal. Otherwise (also for a single image) a post that would show its own image shows none. The order is
    determined by hashes of the seed, ids and images, so it is equal on every machine.
    """
    keys = {index: hashlib.sha256(image).hexdigest() for index, image in enumerate(images) if image is not None}
    # Equal images are neighbors in the circle; a step of the largest group's size leads out of every group.
    circle = sorted(keys, key=lambda index: (_hash(seed, keys[index]), _hash(seed, ids[index])))
    step = max(Counter(keys.values()).values(), default=0)
    shown: list[int | None] = [None] * len(ids)
    for position, index in enumerate(circle):
        other = circle[(position + step) % len(circle)]
        if keys[other] != keys[index]:
            shown[index] = other
    return shown


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
