"""What became of posts, in words."""

from collections import Counter

__all__ = ["by_part", "why"]

REASONS = {
    "image=ok": "with a usable image",
    "image=no_image": "without an image",
    "synthesis=ok": "with a synthesized image",
    "synthesis=no_prompt": "whose text is no prompt",
    "synthesis=not_asked": "not synthesized: no arm asked for it",
}


def why(status: str) -> str:
    """A status in words: `image=bad_image(truncated)` -> `with a broken image (truncated)`."""
    if status in REASONS:
        return REASONS[status]
    reason = status.partition("(")[2].rstrip(")")
    return f"with a broken image ({reason})" if status.startswith("image") else f"whose synthesis failed ({reason})"


def by_part(counts: Counter[str], part: str) -> Counter[str]:
    """Posts by one `part` of their pair of statuses, `image` or `synthesis`, from counts of a footer."""
    total: Counter[str] = Counter()
    for pair, count in counts.items():
        total[next(each for each in pair.split("|") if each.startswith(part))] += count
    return total
