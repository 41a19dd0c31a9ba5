"""Which failures of posts it is worth trying again: `amia retry` and the stages that it leads to agree on it here."""

from amia.synthesis.seeds import redraw_seed

__all__ = ["EARLIER", "image_curable", "next_seed", "synthesis_curable"]

EARLIER = "retry/synthesized"
"""Where a retried run holds the old shards of pictures in which some are to be drawn again."""


def image_curable(status: str) -> bool:
    """A broken image may have been mended where it came from; `no_image` says that the post has none."""
    return status.startswith("bad_image(")


def synthesis_curable(status: str) -> bool:
    """Another seed may give a better picture; one that the model's safety check refused is not asked for again."""
    return status.startswith("failed(") and status != "failed(refused)"


def next_seed(status: str, last: int) -> int:
    """The seed to draw a failed post from, given its `last` one: the next, or the same where it was never drawn."""
    return last if status == "failed(out_of_memory)" else redraw_seed(last, 1)
