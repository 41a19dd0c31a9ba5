"""Run one micro-batch through the pipeline: from prompts and seeds to uint8 pixels on their way to the host."""

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

__all__ = ["DiffusionRunner", "PendingImages", "batch_modules"]


@dataclass(frozen=True, slots=True)
class PendingImages:
    """Images that the device may not have finished yet. Call `wait` before reading the tensors."""

    pixels: torch.Tensor
    """uint8 `[b, size, size, 3]`."""
    extremes: torch.Tensor
    """Smallest and largest value of each image before conversion, `[b, 2]`."""
    refused: Sequence[bool]
    """Whether the model's safety check refused the image."""
    wait: Callable[[], None]


class DiffusionRunner:
    """Calls a text-to-image pipeline for one micro-batch at a time."""

    def __init__(self, pipeline: Any, settings: GeneratorSettings, size: int, gpu_options: GpuOptions) -> None:
        self._pipeline, self._settings, self._size, self._gpu_options = pipeline, settings, size, gpu_options
        self.compiled = CompileWithFallback(batch_modules(pipeline) if gpu_options.compiled else {})

    def prompt_cache(self, prompts: Sequence[str]) -> PromptCache | None:
        """Return a cache that encodes each distinct prompt once, or None if prompts are not deduplicated."""
        if not self._gpu_options.dedupe_prompts:
            return None
        return PromptCache(self._pipeline, prompts, self._settings.guidance)

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[str], seeds: Sequence[int], cache: PromptCache | None, batch_size: int
    ) -> PendingImages:
        """Generate one image for each prompt, at most `batch_size` of them.

        If the model is compiled, the batch is padded to `batch_size`, since a graph has one shape.
        """
        count = len(prompts)
        padding = batch_size - count if self._gpu_options.compiled else 0
        prompts, seeds = [*prompts, *[prompts[-1]] * padding], [*seeds, *[seeds[-1]] * padding]
        # Noise is generated on the CPU, so that a seed gives the same noise on every device.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # The tokenizers log what they truncate; the safety check casts NaN to pixels and logs what it refuses.
        with silence_libraries(transformers_logging, diffusers_logging), np.errstate(invalid="ignore"):
            embeddings = (
                cache.embeddings(prompts, batch_size, pad=self._gpu_options.compiled) if cache is not None else {}
            )
            output = self._pipeline(
                None if embeddings else prompts,
                num_inference_steps=self._settings.steps,
                guidance_scale=self._settings.guidance,
                generator=generators,
                output_type="pt",
                **embeddings,
            )
        images = output.images[:count].float()  # [b, 3, h, w] in [0, 1]
        refused = getattr(output, "nsfw_content_detected", None) or [False] * count
        (pixels, extremes), wait = copy_to_host([to_pixels(images, self._size), pixel_extremes(images)])
        return PendingImages(pixels, extremes, refused, wait)


def batch_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the modules of a pipeline that process every image, by name."""
    names = ("text_encoder", "text_encoder_2", "unet", "transformer")
    modules = {name: module for name in names if isinstance(module := getattr(pipeline, name, None), torch.nn.Module)}
    decoder = getattr(getattr(pipeline, "vae", None), "decoder", None)
    return modules | ({"decoder": decoder} if isinstance(decoder, torch.nn.Module) else {})
