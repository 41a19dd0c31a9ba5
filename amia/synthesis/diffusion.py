"""One micro-batch through the pipeline: from prompts and seeds to gray levels on their way back from the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from amia.accelerator import CompileWithFallback, GpuOptions, copy_to_host
from amia.hub import silence_libraries
from amia.synthesis.defects import pixel_extremes, to_pixels
from amia.synthesis.prompt_cache import PromptCache
from amia.synthesis.settings import GeneratorSettings

__all__ = ["DiffusionRunner", "PendingImages", "parts_of"]


@dataclass(frozen=True, slots=True)
class PendingImages:
    """Images that the device may not have finished yet: not to be looked at before `wait` has returned."""

    pixels: torch.Tensor
    """uint8 `[b, size, size, 3]`."""
    extremes: torch.Tensor
    """Their darkest and lightest values before that, `[b, 2]`."""
    refused: Sequence[bool]
    """By the model's safety check."""
    wait: Callable[[], None]


class DiffusionRunner:
    """A pipeline, and how it is called."""

    def __init__(self, pipeline: Any, settings: GeneratorSettings, size: int, tuning: GpuOptions) -> None:
        self._pipeline, self._settings, self._size, self._tuning = pipeline, settings, size, tuning
        self.compiled = CompileWithFallback(parts_of(pipeline) if tuning.compiled else {})

    def texts(self, prompts: Sequence[str]) -> PromptCache | None:
        """All prompts of a call, where equal ones are to be encoded once."""
        return PromptCache(self._pipeline, prompts, self._settings.guidance) if self._tuning.distinct else None

    @torch.inference_mode()
    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], texts: PromptCache | None, batch: int
    ) -> PendingImages:
        """An image a prompt, at most `batch`; compiled, the pass is filled up to that, since a graph has one shape."""
        count = len(prompts)
        more = batch - count if self._tuning.compiled else 0
        prompts, seeds = [*prompts, *[prompts[-1]] * more], [*seeds, *[seeds[-1]] * more]
        # Noise is drawn on the CPU, so that a seed means the same noise on every device.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # The tokenizers log what they cut off; a safety check casts NaN to pixels and logs what it refuses.
        with silence_libraries(transformers_logging, diffusers_logging), np.errstate(invalid="ignore"):
            named = texts.inputs(prompts, batch, full=self._tuning.compiled) if texts is not None else {}
            output = self._pipeline(
                None if named else prompts,
                num_inference_steps=self._settings.steps,
                guidance_scale=self._settings.guidance,
                generator=generators,
                output_type="pt",
                **named,
            )
        pictures = output.images[:count].float()  # [b, 3, h, w] in [0, 1]
        refused = getattr(output, "nsfw_content_detected", None) or [False] * count
        (pixels, extremes), wait = copy_to_host([to_pixels(pictures, self._size), pixel_extremes(pictures)])
        return PendingImages(pixels, extremes, refused, wait)


def parts_of(pipeline: Any) -> dict[str, torch.nn.Module]:
    """What of a pipeline works on every image, by name."""
    names = ("text_encoder", "text_encoder_2", "unet", "transformer")
    found = {name: part for name in names if isinstance(part := getattr(pipeline, name, None), torch.nn.Module)}
    decoder = getattr(getattr(pipeline, "vae", None), "decoder", None)
    return found | ({"decoder": decoder} if isinstance(decoder, torch.nn.Module) else {})
