"""V = SD(T): an image from the text by one-step diffusion (paper 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from amia.device import resolve_device, resolve_dtype
from amia.errors import ModelError
from amia.halving import MicroBatches
from amia.synthesis.fetching import fetch_generator
from amia.synthesis.half import decode_in_float32
from amia.synthesis.pictures import flaw_of, to_pixels
from amia.synthesis.seeds import redraw_seed
from amia.synthesis.settings import GeneratorSettings
from amia.weights import identity_of, loading, quiet

__all__ = ["Drawn", "Generator"]

LARGEST_SIDE = 4096
"""Pixels. The largest that `image.size` may be; what a folder says beyond it would take the machine's memory."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for one text."""

    pixels: NDArray[np.uint8] | None
    """The image `[size, size, 3]`; None when it failed."""
    seed: int
    """The seed of the last attempt."""
    redraws: int
    """How many attempts before it were unusable."""
    failure: str | None
    """None, or why there is no image: `nan`, `black`, `blank`, `refused` by the model's safety check, or
    `out_of_memory` where the device does not hold even this one."""


class Generator:
    """Texts to images. `load` makes one."""

    def __init__(self, pipeline: Any, settings: GeneratorSettings, size: int, folder: Path) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._size = size
        self._folder = folder
        self.halved = 0
        """Prompts so far that were drawn in smaller micro-batches than asked, since memory ran out."""

    fetch = staticmethod(fetch_generator)

    @classmethod
    def load(cls, settings: GeneratorSettings, size: int, *, local_files_only: bool = False) -> Self:
        """The generator that `settings` name, for images of `size` pixels a side.

        With `local_files_only` the hub is not asked. Raises ModelError when the model cannot be had or is no
        text-to-image pipeline, SettingsError for a device that is not there.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.bfloat16)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with quiet(transformers_logging, diffusers_logging), loading("generator", settings.model):
            library: Any = _diffusers().AutoPipelineForText2Image  # its methods have no types
            pipeline = library.from_pretrained(folder, variant=settings.files, dtype=dtype, use_safetensors=True)
            pipeline = pipeline.to(device)
            pipeline.set_progress_bar_config(disable=True)
            decode_in_float32(pipeline)
            if (side := _drawn_side(pipeline)) > LARGEST_SIDE:
                raise ModelError(f"generator: {settings.model} draws {side} pixels a side; {LARGEST_SIDE} are allowed")
        return cls(pipeline, settings, size, folder)

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Drawn]:
        """One image a prompt, in order, each from its own seed: a row does not depend on its neighbours, to 1/255.

        Unusable pictures are drawn again, those of a micro-batch together, each from a seed made of its own. What the
        model's safety check refuses is not. Where memory runs out, the same prompts are drawn half as many at a time.
        """
        batches = MicroBatches(self._settings.micro_batch)
        drawn = batches.run(
            lambda some: self._batch([prompt for prompt, _ in some], [seed for _, seed in some]),
            list(zip(prompts, seeds, strict=True)),
            alone=lambda one: Drawn(None, one[1], 0, "out_of_memory"),
        )
        self.halved += batches.split
        return drawn

    def identity(self) -> dict[str, str]:
        """What tells this generator from any other: a folder's weights, or name and commit at the hub."""
        return {"generator": identity_of(self._settings.model, self._folder)}

    def _batch(self, prompts: list[str], seeds: Sequence[int]) -> list[Drawn]:
        drawn = self._draw(prompts, seeds)
        for redraw in range(1, self._settings.redraws + 1):
            rows = [row for row, one in enumerate(drawn) if one.failure not in (None, "refused")]
            if not rows:
                break
            again = self._draw([prompts[row] for row in rows], [redraw_seed(seeds[row], redraw) for row in rows])
            for row, one in zip(rows, again, strict=True):
                drawn[row] = replace(one, redraws=redraw)
        return drawn

    @torch.inference_mode()
    def _draw(self, prompts: list[str], seeds: Sequence[int]) -> list[Drawn]:
        # Noise is drawn on the CPU, so that a seed means the same noise on every device.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # The tokenizers log what they cut off; a safety check casts NaN to pixels and logs what it refuses.
        with quiet(transformers_logging, diffusers_logging), np.errstate(invalid="ignore"):
            output = self._pipeline(
                prompts,
                num_inference_steps=self._settings.steps,
                guidance_scale=self._settings.guidance,
                generator=generators,
                output_type="pt",
            )
        pictures = output.images.float().cpu()  # [b, 3, h, w] in [0, 1]
        refused = getattr(output, "nsfw_content_detected", None) or [False] * len(prompts)
        return [self._drawn(*one) for one in zip(pictures, seeds, refused, strict=True)]

    def _drawn(self, picture: torch.Tensor, seed: int, refused: bool) -> Drawn:
        failure = "refused" if refused else flaw_of(picture)
        return Drawn(None if failure else to_pixels(picture, self._size), seed, 0, failure)


def _drawn_side(pipeline: Any) -> int:
    """Pixels a side of what a pipeline draws unless told otherwise; 0 where it does not say."""
    drawing = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    said = getattr(getattr(drawing, "config", None), "sample_size", None) or 0
    return int(np.max(said)) * int(getattr(pipeline, "vae_scale_factor", 1))


def _diffusers() -> Any:
    """The library, imported when it is needed: it takes seconds, and says things unless it is quieted."""
    import diffusers

    return diffusers
