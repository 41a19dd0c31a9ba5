"""Status strings of posts: what they mean, which are failures, and which failures `amia retry` repeats.

Column `image_status` holds `ok`, `no_image` or `bad_image(<reason>)`; column `synthesis_status` holds `ok`,
`no_prompt`, `not_needed`, `not_asked` or `failed(<reason>)`. Shard footers and manifests count posts by the status of
one column (`image=ok`), or of both (`image=ok|synthesis=failed(black)`).
"""

from collections import Counter
from collections.abc import Mapping

from amia.synthesis.seeds import redraw_seed

__all__ = [
    "count_failures",
    "describe_status",
    "group_by_part",
    "is_failure",
    "is_image_retryable",
    "is_synthesis_retryable",
    "next_seed",
]

DESCRIPTIONS = {
    "image=ok": "with a usable image",
    "image=no_image": "without an image",
    "image=bad_image(http)": "with an image that is a link: amia fetches none; img2dataset writes tars that it reads",
    "synthesis=ok": "with a synthesized image",
    "synthesis=no_prompt": "whose text is no prompt",
    "synthesis=not_asked": "not synthesized: no arm asked for it",
}


def is_failure(status: str) -> bool:
    """Return whether a status, with or without its column, reports a failure: only failures have a reason."""
    return "(" in status


def count_failures(counts: Mapping[str, int]) -> int:
    """Return the number of posts with at least one failure, from counts by status."""
    return sum(count for status, count in counts.items() if is_failure(status))


def is_image_retryable(status: str) -> bool:
    """Return whether reading the image again may succeed: a broken source may have been repaired since.

    `no_image` means that the post has no image.
    """
    return status.startswith("bad_image(")


def is_synthesis_retryable(status: str) -> bool:
    """Return whether another seed may give a better image. Images refused by the safety check are not retried."""
    return status.startswith("failed(") and status != "failed(refused)"


def next_seed(status: str, previous: int) -> int:
    """Return the seed of a retry: the successor of `previous`, or `previous` itself if no image was generated."""
    return previous if status == "failed(out_of_memory)" else redraw_seed(previous, 1)


def describe_status(status: str) -> str:
    """Describe a status in words: `image=bad_image(truncated)` -> `with a broken image (truncated)`."""
    if status in DESCRIPTIONS:
        return DESCRIPTIONS[status]
    reason = status.partition("(")[2].rstrip(")")
    return f"with a broken image ({reason})" if status.startswith("image") else f"whose synthesis failed ({reason})"


def group_by_part(counts: Mapping[str, int], part: str) -> Counter[str]:
    """Sum counts by pairs of statuses over one `part` of the pair, `image` or `synthesis`."""
    total: Counter[str] = Counter()
    for pair, count in counts.items():
        total[next(status for status in pair.split("|") if status.startswith(part))] += count
    return total
