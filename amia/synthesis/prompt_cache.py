"""Cache of prompt embeddings: each distinct prompt is encoded once."""

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["PromptCache"]

_ENCODE_PROMPT_OUTPUTS = {
    "StableDiffusionPipeline": ("prompt_embeds", None),
    "StableDiffusionXLPipeline": ("prompt_embeds", None, "pooled_prompt_embeds", None),
}
"""By pipeline, the return values of its `encode_prompt`, by the argument names of its `__call__`."""


class PromptCache:
    """The prompts of one call of the generator.

    Prompts are encoded when a micro-batch first needs them, a whole batch of new ones at a time, and their embeddings
    are kept on the device: 0.15 MB a prompt for sd-turbo.
    """

    def __init__(self, pipeline: Any, prompts: Sequence[str], guidance: float) -> None:
        self._pipeline = pipeline
        self._outputs = _ENCODE_PROMPT_OUTPUTS.get(type(pipeline).__name__, ())
        if guidance > 1:  # needs the empty prompt next to each one, which the pipeline encodes itself
            self._outputs = ()
        self._pending = list(dict.fromkeys(prompts))
        self._encoded: dict[str, list[torch.Tensor]] = {}

    def embeddings(self, prompts: Sequence[str], batch_size: int, *, pad: bool) -> dict[str, Any]:
        """Return the embeddings of some of the prompts as arguments of the pipeline.

        Returns an empty dictionary if the pipeline must encode the prompts itself. Prompts are encoded `batch_size` at
        a time; with `pad` a short batch is padded to that size.
        """
        if not self._outputs:
            return {}
        while any(prompt not in self._encoded for prompt in prompts):
            self._encode_next(batch_size, pad)
        rows = [self._encoded[prompt] for prompt in prompts]
        names = [name for name in self._outputs if name is not None]
        return {name: torch.stack(parts) for name, *parts in zip(names, *rows, strict=True)}

    def _encode_next(self, batch_size: int, pad: bool) -> None:
        batch = self._pending[:batch_size]
        padded = batch + batch[-1:] * (batch_size - len(batch) if pad else 0)
        outputs = self._pipeline.encode_prompt(
            prompt=padded,
            device=self._pipeline._execution_device,  # as the pipeline itself does
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        tensors = [output for output, name in zip(outputs, self._outputs, strict=True) if name is not None]
        self._encoded |= {prompt: [tensor[row] for tensor in tensors] for row, prompt in enumerate(batch)}
        del self._pending[: len(batch)]
