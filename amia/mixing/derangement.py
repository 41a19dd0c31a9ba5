"""Images exchanged among posts, to ask whether a recognizer looks at them: if F1 stays, it does not."""

import hashlib
from collections import Counter
from collections.abc import Sequence

__all__ = ["derange_images"]


def derange_images(ids: Sequence[str], images: Sequence[bytes | None], seed: int) -> list[int | None]:
    """For each post the place of the post whose image it is shown, at random; a post without image is shown none.

    Nobody sees an image equal to its own, and every image is shown once, as long as at most half of the images are
    equal. Beyond that, as of a single image, a post that would see its own is shown none. The order comes from hashes
    of the seed, ids and images, so it is the same on every machine.
    """
    keys = {place: hashlib.sha256(image).hexdigest() for place, image in enumerate(images) if image is not None}
    # Equal images stand side by side, and everyone looks past as many as ever are equal.
    circle = sorted(keys, key=lambda place: (_chance(seed, keys[place]), _chance(seed, ids[place])))
    step = max(Counter(keys.values()).values(), default=0)
    shown: list[int | None] = [None] * len(ids)
    for position, place in enumerate(circle):
        other = circle[(position + step) % len(circle)]
        if keys[other] != keys[place]:
            shown[place] = other
    return shown


def _chance(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
