"""Which failures of posts it is worth trying again: `amia retry` and the stages that it leads to agree on it here."""

__all__ = ["EARLIER", "image_curable", "synthesis_curable"]

EARLIER = "retry/synthesized"
"""Where a retried run holds the old shards of pictures in which some are to be drawn again."""


def image_curable(status: str) -> bool:
    """A broken image may have been mended where it came from; `no_image` says that the post has none."""
    return status.startswith("bad_image(")


def synthesis_curable(status: str) -> bool:
    """Another seed may give a better picture; one that the model's safety check refused is not asked for again."""
    return status.startswith("failed(") and status != "failed(refused)"
