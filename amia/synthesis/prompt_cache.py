"""Prompts as the pipeline's text encoders read them, each distinct text once."""

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["PromptCache"]

_GIVES = {
    "StableDiffusionPipeline": ("prompt_embeds", None),
    "StableDiffusionXLPipeline": ("prompt_embeds", None, "pooled_prompt_embeds", None),
}
"""By pipeline, what its `encode_prompt` returns, by the names under which the pipeline takes it back."""


class PromptCache:
    """The texts of one call of the generator. They are encoded when the first micro-batch asks for one, a whole batch
    of new ones at a time, and kept on the device: 0.15 MB a text for sd-turbo.
    """

    def __init__(self, pipeline: Any, texts: Sequence[str], guidance: float) -> None:
        self._pipeline = pipeline
        self._gives = _GIVES.get(type(pipeline).__name__, ())
        if guidance > 1:  # wants the empty text beside each, which the pipeline encodes by itself
            self._gives = ()
        self._new = list(dict.fromkeys(texts))
        self._known: dict[str, list[torch.Tensor]] = {}

    def inputs(self, texts: Sequence[str], batch: int, *, full: bool) -> dict[str, Any]:
        """Arguments of the pipeline for some of the texts; none where it must read them itself.

        `batch` are encoded at a time; `full`: never fewer.
        """
        if not self._gives:
            return {}
        while any(text not in self._known for text in texts):
            self._encode(batch, full)
        rows = [self._known[text] for text in texts]
        names = [name for name in self._gives if name is not None]
        return {name: torch.stack(parts) for name, *parts in zip(names, *rows, strict=True)}

    def _encode(self, batch: int, full: bool) -> None:
        some = self._new[:batch]
        filled = some + some[-1:] * (batch - len(some) if full else 0)
        given = self._pipeline.encode_prompt(
            prompt=filled,
            device=self._pipeline._execution_device,  # what it asks itself
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        parts = [part for part, name in zip(given, self._gives, strict=True) if name is not None]
        self._known |= {text: [part[row] for part in parts] for row, text in enumerate(some)}
        del self._new[: len(some)]
