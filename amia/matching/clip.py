"""CLIP as the paper's encoder (3.1): texts and images to unit vectors of one space.

The vectors are projected, since before projection the two towers of ViT-B/16 differ in width, and a text is pooled at
[EOS]: CLIP's text tower is causal, so the paper's [SOS] sees nothing but itself and is the same for every text.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from amia.compiling import Compiled
from amia.device import resolve_device, resolve_dtype
from amia.errors import ModelError
from amia.halving import MicroBatches
from amia.matching.fetching import fetch_encoder
from amia.matching.settings import ClipSettings
from amia.tuning import Tuning
from amia.weights import identity_of, loading, quiet

__all__ = ["ClipEncoder", "ClipSettings"]

Item = TypeVar("Item")


class ClipEncoder:
    """Texts and images to unit vectors. `load` makes one."""

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        processor: CLIPImageProcessorPil,
        settings: ClipSettings,
        folder: Path,
        tuning: Tuning | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._settings = settings
        self._folder = folder
        self._tuning = tuning or Tuning()
        towers = {"text_model": model.text_model, "vision_model": model.vision_model}
        self._compiled = Compiled(towers if self._tuning.compiled else {})
        self.halved = 0
        """Texts and images so far that went through in smaller micro-batches than asked, since memory ran out."""
        config: Any = model.config  # its parts may be plain dictionaries as far as types know
        self._tokens: int = config.text_config.max_position_embeddings
        self._width: int = config.projection_dim

    fetch = staticmethod(fetch_encoder)

    @classmethod
    def load(cls, settings: ClipSettings, *, local_files_only: bool = False, tuning: Tuning | None = None) -> Self:
        """The encoder that `settings` name, warmed up where it is compiled.

        With `local_files_only` the hub is not asked. `tuning`: another than is right for the device. Raises ModelError
        when it cannot be had, has no weights or is no CLIP, SettingsError for a device not there.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.float16)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with quiet(transformers_logging), loading("encoder", settings.model):
            kind = PreTrainedConfig.get_config_dict(folder)[0].get("model_type")
            if kind != "clip":
                raise ModelError(f"encoder: {settings.model} is a {kind or 'nameless'} model, not CLIP")
            loaded: Any = CLIPModel.from_pretrained(folder, dtype=dtype, use_safetensors=True, output_loading_info=True)
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            tokenizer(["amia"])  # a broken vocabulary shows when it is used
            processor = CLIPImageProcessorPil.from_pretrained(folder)
        model, report = loaded
        if lacking := sorted(report["missing_keys"]):
            raise ModelError(f"encoder: the weights of {settings.model} lack {len(lacking)} parts, {lacking[0]} first")
        tuning = tuning or Tuning.of(device, settings.compile)
        tuning.laid_out(model)
        encoder = cls(model.to(device).eval(), tokenizer, processor, settings, folder, tuning)
        if tuning.compiled:  # one of each fills a whole micro-batch, so every graph is made by now
            encoder.encode_texts(["a photograph"])
            encoder.encode_images([Image.new("RGB", (8, 8))])
            encoder.halved = 0
        return encoder

    @property
    def eager(self) -> dict[str, str]:
        """Towers that run uncompiled though they were to be compiled, and why."""
        return self._compiled.eager

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """T_s `[n, d]`, rows of length one, of clean texts; what exceeds the model's tokens is cut off.

        Where memory runs out, the same texts go through half as many at a time. Raises ClusterError where not even one
        does.
        """
        return self._encode(texts, self._text_vectors)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """I_s `[n, d]`, rows of length one, of RGB images of any size; memory as in `encode_texts`."""
        return self._encode(images, self._image_vectors)

    def identity(self) -> dict[str, str]:
        """What tells this encoder from any other: a folder's weights, or name and commit at the hub."""
        return {"encoder": identity_of(self._settings.model, self._folder)}

    @torch.inference_mode()
    def _encode(
        self, items: Sequence[Item], vectors: Callable[[Sequence[Item], int], torch.Tensor]
    ) -> NDArray[np.float32]:
        batches = MicroBatches(self._settings.micro_batch)

        def work(some: Sequence[Item]) -> list[NDArray[np.float32]]:
            pooled = vectors(some, batches.size)[: len(some)]  # [b, d]
            return list(torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy())

        rows = batches.run(work, items)
        self.halved += batches.split
        return np.array(rows, np.float32).reshape(-1, self._width)

    def _text_vectors(self, texts: Sequence[str], batch: int) -> torch.Tensor:
        # Always padded to the model's full length, so that a row does not depend on its batch's longest text.
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=self._tokens, truncation=True, return_tensors="pt"
        )
        filled = {name: self._filled(each, batch).to(self._model.device) for name, each in tokens.items()}
        pooled: torch.Tensor = self._model.get_text_features(**filled).pooler_output
        return pooled  # [b, d]

    def _image_vectors(self, images: Sequence[Image.Image], batch: int) -> torch.Tensor:
        pixels = self._processor(list(images), return_tensors="pt")["pixel_values"]  # [b, 3, h, w]
        pixels = self._filled(pixels, batch).to(self._model.device, self._model.dtype)
        if self._tuning.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        pooled: torch.Tensor = self._model.get_image_features(pixel_values=pixels).pooler_output
        return pooled  # [b, d]

    def _filled(self, rows: torch.Tensor, batch: int) -> torch.Tensor:
        """A graph has one shape: compiled, a pass that is short is filled up with its last row."""
        more = batch - len(rows) if self._tuning.compiled else 0
        return torch.cat([rows, rows[-1:].expand(more, *rows.shape[1:])]) if more else rows
