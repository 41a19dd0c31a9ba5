"""V = SD(T): an image from the text by one-step diffusion (paper 3.3)."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from amia.accelerator import GpuOptions, resolve_device, resolve_dtype
from amia.errors import ModelError
from amia.hub import fetch_generator, silence_libraries, translate_load_errors, weights_identity
from amia.synthesis.defects import detect_defect
from amia.synthesis.diffusion import DiffusionRunner, PendingImages, parts_of
from amia.synthesis.prompt_cache import PromptCache
from amia.synthesis.seeds import redraw_seed
from amia.synthesis.settings import GeneratorSettings
from amia.synthesis.upcast import decode_in_float32, postprocess_in_float32
from amia.utils.oom import OomSafeBatcher
from amia.utils.prefetch import BackgroundWorker

__all__ = ["Encode", "GeneratedImage", "Generator"]

MAX_SIDE = 4096
"""Pixels. The largest that `image.size` may be; what a folder says beyond it would take the machine's memory."""

Encode = Callable[[int, NDArray[np.uint8]], bytes]
"""From the place of a prompt and the pixels of its image to a file."""


@dataclass(frozen=True, eq=False)
class GeneratedImage:
    """What was drawn for one text."""

    pixels: NDArray[np.uint8] | None
    """The image `[size, size, 3]`; None when it failed, or became a file at once."""
    seed: int
    """The seed of the last attempt."""
    redraws: int
    """How many attempts before it were unusable."""
    failure: str | None
    """None, or why there is no image: `nan`, `black`, `blank`, `refused` by the model's safety check, or
    `out_of_memory` where the device does not hold even this one."""
    file: bytes | None = None
    """The encoded image, where that was asked for."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to draw: the place of its prompt, the prompt, and the seed."""

    place: int
    prompt: str
    seed: int


class Generator:
    """Texts to images. `load` makes one."""

    def __init__(
        self, pipeline: Any, settings: GeneratorSettings, size: int, folder: Path, tuning: GpuOptions | None = None
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._folder = folder
        self._pen = DiffusionRunner(pipeline, settings, size, tuning or GpuOptions())
        self.halved = 0
        """Prompts so far that were drawn in smaller micro-batches than asked, since memory ran out."""

    fetch = staticmethod(fetch_generator)

    @classmethod
    def load(
        cls, settings: GeneratorSettings, size: int, *, local_files_only: bool = False, tuning: GpuOptions | None = None
    ) -> Self:
        """The generator that `settings` name, for images of `size` pixels a side; warmed up where it is compiled.

        With `local_files_only` the hub is not asked. `tuning`: another than is right for the device. Raises ModelError
        when the model cannot be had or is no text-to-image pipeline, SettingsError for a device that is not there.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.bfloat16)
        tuning = tuning or GpuOptions.of(device, settings.compile)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with (
            silence_libraries(transformers_logging, diffusers_logging),
            translate_load_errors("generator", settings.model),
        ):
            library: Any = _diffusers().AutoPipelineForText2Image  # its methods have no types
            pipeline = library.from_pretrained(folder, variant=settings.files, dtype=dtype, use_safetensors=True)
            pipeline = pipeline.to(device)
            pipeline.set_progress_bar_config(disable=True)
            decode_in_float32(pipeline)
            postprocess_in_float32(pipeline)
            tuning.laid_out(*parts_of(pipeline).values())
            if (side := _drawn_side(pipeline)) > MAX_SIDE:
                raise ModelError(f"generator: {settings.model} draws {side} pixels a side; {MAX_SIDE} are allowed")
        generator = cls(pipeline, settings, size, folder, tuning)
        if tuning.compiled:
            generator.generate(["a photograph"], [0])  # fills a whole micro-batch, so every graph is made by now
            generator.halved = 0
        return generator

    @property
    def eager(self) -> dict[str, str]:
        """Parts of the model that run uncompiled though they were to be compiled, and why."""
        return self._pen.compiled.eager

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], encode: Encode | None = None
    ) -> list[GeneratedImage]:
        """One image a prompt, in order, each from its own seed: a row does not depend on its neighbors, to 1/255.

        Unusable images are drawn again, those of a micro-batch together, each from a seed made of its own. What the
        model's safety check refuses is not. Where memory runs out, the same prompts are drawn half as many at a time.
        `encode` makes a file of each image instead of leaving its pixels, in a thread, while the next micro-batch is
        drawn; what it raises is raised here.
        """
        wishes = [ImageRequest(place, *one) for place, one in enumerate(zip(prompts, seeds, strict=True))]
        texts, batch = self._pen.texts(prompts), self._settings.batch
        groups, batch = self._draw(wishes, texts, batch, encode)
        done = {wish.place: one for group in groups for wish, one in group}
        for redraw in range(1, self._settings.redraws + 1):
            for group in groups:
                again = [
                    ImageRequest(wish.place, wish.prompt, redraw_seed(wish.seed, redraw))
                    for wish, _ in group
                    if done[wish.place].failure not in (None, "refused", "out_of_memory")
                ]
                if not again:
                    continue
                redrawn, batch = self._draw(again, texts, batch, encode)
                done |= {wish.place: replace(one, redraws=redraw) for some in redrawn for wish, one in some}
        return [done[wish.place] for wish in wishes]

    def identity(self) -> dict[str, str]:
        """What tells this generator from any other: a folder's weights, or name and commit at the hub."""
        return {"generator": weights_identity(self._settings.model, self._folder)}

    def _draw(
        self, wishes: Sequence[ImageRequest], texts: PromptCache | None, most: int, encode: Encode | None
    ) -> tuple[list[list[tuple[ImageRequest, GeneratedImage]]], int]:
        """What was drawn, by micro-batch, and how many a micro-batch may hold from now on."""
        batches = OomSafeBatcher(most)
        with BackgroundWorker[list[GeneratedImage]]() as behind:

            def work(some: Sequence[ImageRequest]) -> list[tuple[Future[list[GeneratedImage]], int]]:
                prompts, seeds = [wish.prompt for wish in some], [wish.seed for wish in some]
                drawing = self._pen.draw(prompts, seeds, texts, batches.size)
                made = behind.put(lambda: _looked_at(drawing, some, encode))
                return [(made, row) for row in range(len(some))]

            parts = batches.run(work, wishes, alone=lambda wish: (_no_room(wish), 0))
        self.halved += batches.split
        pairs = zip(wishes, parts, strict=True)
        groups = [list(group) for _, group in groupby(pairs, key=lambda pair: id(pair[1][0]))]
        return [[(wish, made.result()[row]) for wish, (made, row) in group] for group in groups], batches.size


def _looked_at(drawing: PendingImages, wishes: Sequence[ImageRequest], encode: Encode | None) -> list[GeneratedImage]:
    """The images of one micro-batch, when they are there."""
    drawing.wait()
    drawn: list[GeneratedImage] = []
    for row, wish in enumerate(wishes):
        failure = "refused" if drawing.refused[row] else detect_defect(drawing.extremes[row])
        pixels = drawing.pixels[row].numpy()
        if failure is not None:
            drawn.append(GeneratedImage(None, wish.seed, 0, failure))
        elif encode is not None:
            drawn.append(GeneratedImage(None, wish.seed, 0, None, encode(wish.place, pixels)))
        else:
            drawn.append(GeneratedImage(pixels.copy(), wish.seed, 0, None))  # a view would keep the whole micro-batch
    return drawn


def _no_room(wish: ImageRequest) -> Future[list[GeneratedImage]]:
    """A micro-batch of one that does not fit the device."""
    made: Future[list[GeneratedImage]] = Future()
    made.set_result([GeneratedImage(None, wish.seed, 0, "out_of_memory")])
    return made


def _drawn_side(pipeline: Any) -> int:
    """Pixels a side of what a pipeline draws unless told otherwise; 0 where it does not say."""
    drawing = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    said = getattr(getattr(drawing, "config", None), "sample_size", None) or 0
    return int(np.max(said)) * int(getattr(pipeline, "vae_scale_factor", 1))


def _diffusers() -> Any:
    """The library, imported when it is needed: it takes seconds, and says things unless it is quieted."""
    import diffusers

    return diffusers
