"""Which failures of posts it is worth trying again: `amia retry` and the stages that it leads to agree on it here."""

from amia.synthesis.seeds import redraw_seed

__all__ = ["RETRY_DIR", "is_image_retryable", "is_synthesis_retryable", "next_seed"]

RETRY_DIR = "retry/synthesized"
"""Where a retried run holds the old shards of images in which some are to be drawn again."""


def is_image_retryable(status: str) -> bool:
    """A broken image may have been mended where it came from; `no_image` says that the post has none."""
    return status.startswith("bad_image(")


def is_synthesis_retryable(status: str) -> bool:
    """Another seed may give a better image; one that the model's safety check refused is not asked for again."""
    return status.startswith("failed(") and status != "failed(refused)"


def next_seed(status: str, last: int) -> int:
    """The seed to draw a failed post from, given its `last` one: the next, or the same where it was never drawn."""
    return last if status == "failed(out_of_memory)" else redraw_seed(last, 1)
