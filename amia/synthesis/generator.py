"""The generator of the paper (3.3), V = SD(T): an image from the text by one-step diffusion."""

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
from amia.hub import fetch_pipeline, silence_libraries, translate_load_errors, weights_identity
from amia.synthesis.defects import detect_defect
from amia.synthesis.diffusion import DiffusionRunner, PendingImages, batch_modules
from amia.synthesis.prompt_cache import PromptCache
from amia.synthesis.seeds import redraw_seed
from amia.synthesis.settings import GeneratorSettings
from amia.synthesis.upcast import decode_in_float32, postprocess_in_float32
from amia.utils.oom import OomSafeBatcher
from amia.utils.prefetch import BackgroundWorker

__all__ = ["MAX_SIDE", "Encode", "GeneratedImage", "Generator", "ImageRequest"]

MAX_SIDE = 4096
"""Pixels. Maximum of `image.size`. A model folder that specifies a larger size would exhaust the machine's memory."""

Encode = Callable[[int, NDArray[np.uint8]], bytes]
"""Encodes an image as a file, given the index of its prompt and its pixels."""


@dataclass(frozen=True, eq=False)
class GeneratedImage:
    """The result of one prompt."""

    pixels: NDArray[np.uint8] | None
    """The image `[size, size, 3]`. None if generation failed or the image was encoded as `file`."""
    seed: int
    """The seed of the last attempt."""
    redraws: int
    """Number of unusable attempts before the last one."""
    failure: str | None
    """Why there is no image: `nan`, `black`, `blank`, `refused` by the model's safety check, or `out_of_memory` if the
    device cannot hold even this one image. None if there is one."""
    file: bytes | None = None
    """The encoded image, if an encoder was given."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to generate: the index of its prompt, the prompt and the seed."""

    index: int
    prompt: str
    seed: int


class Generator:
    """Generates images from texts. Construct it with `load`."""

    def __init__(
        self, pipeline: Any, settings: GeneratorSettings, size: int, folder: Path, gpu_options: GpuOptions | None = None
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._folder = folder
        self._runner = DiffusionRunner(pipeline, settings, size, gpu_options or GpuOptions())
        self.num_oom_reduced = 0
        """Prompts so far that were generated in smaller micro-batches after running out of memory."""

    @staticmethod
    def fetch(settings: GeneratorSettings, *, local_files_only: bool = False) -> Path:
        """Return the folder with the pipeline's files, downloading them if they are not cached. Raises ModelError."""
        return fetch_pipeline(
            "generator",
            settings.model,
            settings.commit,
            variant=settings.weight_variant,
            local_files_only=local_files_only,
        )

    @classmethod
    def load(
        cls,
        settings: GeneratorSettings,
        size: int,
        *,
        local_files_only: bool = False,
        gpu_options: GpuOptions | None = None,
    ) -> Self:
        """Load the generator that `settings` name, for images of `size` pixels a side. Warm it up if it is compiled.

        With `local_files_only` no request is sent to the hub. `gpu_options` override the defaults of the device. Raises
        ModelError if the model cannot be fetched or is not a text-to-image pipeline, SettingsError if the device does
        not exist.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.bfloat16)
        gpu_options = gpu_options or GpuOptions.for_device(device, settings.compile)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with (
            silence_libraries(transformers_logging, diffusers_logging),
            translate_load_errors("generator", settings.model),
        ):
            auto_pipeline: Any = _import_diffusers().AutoPipelineForText2Image  # untyped methods
            pipeline = auto_pipeline.from_pretrained(
                folder, variant=settings.weight_variant, dtype=dtype, use_safetensors=True
            )
            pipeline = pipeline.to(device)
            pipeline.set_progress_bar_config(disable=True)
            decode_in_float32(pipeline)
            postprocess_in_float32(pipeline)
            gpu_options.to_channels_last(*batch_modules(pipeline).values())
            if (side := _native_side(pipeline)) > MAX_SIDE:
                raise ModelError(f"generator: {settings.model} generates {side} pixels a side; {MAX_SIDE} are allowed")
        generator = cls(pipeline, settings, size, folder, gpu_options)
        if gpu_options.compiled:
            generator.generate(["a photograph"], [0])  # padded to a full micro-batch, so this compiles every graph
            generator.num_oom_reduced = 0
        return generator

    @property
    def uncompiled(self) -> dict[str, str]:
        """Parts of the model that run uncompiled because compilation failed, with the reason."""
        return self._runner.compiled.uncompiled

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], encode: Encode | None = None
    ) -> list[GeneratedImage]:
        """Return one image per prompt, in order, each from its own seed.

        An image does not depend on the other ones, within one gray level. Unusable images are generated again, those of
        a micro-batch together, each from a seed derived from its previous one. Images that the model's safety check
        refuses are not generated again. After running out of memory, the same prompts are generated in micro-batches of
        half the size. `encode` encodes each image as a file, instead of returning its pixels, in a thread while the
        next micro-batch is generated. Exceptions of `encode` are raised here.
        """
        requests = [
            ImageRequest(index, prompt, seed) for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        cache, batch_size = self._runner.prompt_cache(prompts), self._settings.batch
        batches, batch_size = self._generate_batches(requests, cache, batch_size, encode)
        results = {request.index: image for batch in batches for request, image in batch}
        for redraw in range(1, self._settings.redraws + 1):
            for batch in batches:
                retries = [
                    ImageRequest(request.index, request.prompt, redraw_seed(request.seed, redraw))
                    for request, _ in batch
                    if results[request.index].failure not in (None, "refused", "out_of_memory")
                ]
                if not retries:
                    continue
                retried, batch_size = self._generate_batches(retries, cache, batch_size, encode)
                results |= {
                    request.index: replace(image, redraws=redraw) for group in retried for request, image in group
                }
        return [results[request.index] for request in requests]

    def identity(self) -> dict[str, str]:
        """Return what identifies this generator: the hash of a folder's weights, or name and commit at the hub."""
        return {"generator": weights_identity(self._settings.model, self._folder)}

    def _generate_batches(
        self, requests: Sequence[ImageRequest], cache: PromptCache | None, batch_size: int, encode: Encode | None
    ) -> tuple[list[list[tuple[ImageRequest, GeneratedImage]]], int]:
        """Return the images by micro-batch, and the micro-batch size to use from now on."""
        batcher = OomSafeBatcher(batch_size)
        with BackgroundWorker[list[GeneratedImage]]() as worker:

            def run_batch(batch: Sequence[ImageRequest]) -> list[tuple[Future[list[GeneratedImage]], int]]:
                prompts, seeds = [request.prompt for request in batch], [request.seed for request in batch]
                pending = self._runner.run(prompts, seeds, cache, batcher.size)
                images = worker.submit(lambda: _collect_images(pending, batch, encode))
                return [(images, row) for row in range(len(batch))]

            futures = batcher.run(run_batch, requests, on_single_failure=lambda request: (_out_of_memory(request), 0))
        self.num_oom_reduced += batcher.num_reduced
        pairs = zip(requests, futures, strict=True)
        groups = [list(group) for _, group in groupby(pairs, key=lambda pair: id(pair[1][0]))]
        batches = [[(request, images.result()[row]) for request, (images, row) in group] for group in groups]
        return batches, batcher.size


def _collect_images(
    pending: PendingImages, requests: Sequence[ImageRequest], encode: Encode | None
) -> list[GeneratedImage]:
    """Wait for the images of one micro-batch, check them and encode them."""
    pending.wait()
    images: list[GeneratedImage] = []
    for row, request in enumerate(requests):
        failure = "refused" if pending.refused[row] else detect_defect(pending.extremes[row])
        pixels = pending.pixels[row].numpy()
        if failure is not None:
            images.append(GeneratedImage(None, request.seed, 0, failure))
        elif encode is not None:
            images.append(GeneratedImage(None, request.seed, 0, None, encode(request.index, pixels)))
        else:
            images.append(GeneratedImage(pixels.copy(), request.seed, 0, None))  # a view would keep the whole batch
    return images


def _out_of_memory(request: ImageRequest) -> Future[list[GeneratedImage]]:
    """Return the result of an image that does not fit the device alone."""
    images: Future[list[GeneratedImage]] = Future()
    images.set_result([GeneratedImage(None, request.seed, 0, "out_of_memory")])
    return images


def _native_side(pipeline: Any) -> int:
    """Return the pixels a side that a pipeline generates by default; 0 if its configuration does not specify them."""
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample_size = getattr(getattr(denoiser, "config", None), "sample_size", None) or 0
    return int(np.max(sample_size)) * int(getattr(pipeline, "vae_scale_factor", 1))


def _import_diffusers() -> Any:
    """Import diffusers when it is needed: the import takes seconds, and prints messages unless it is silenced."""
    import diffusers

    return diffusers
