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

from amia.device import resolve_device, resolve_dtype
from amia.errors import ModelError
from amia.halving import MicroBatches
from amia.matching.fetching import fetch_encoder
from amia.matching.settings import ClipSettings
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
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._settings = settings
        self._folder = folder
        self.halved = 0
        """Texts and images so far that went through in smaller micro-batches than asked, since memory ran out."""
        config: Any = model.config  # its parts may be plain dictionaries as far as types know
        self._tokens: int = config.text_config.max_position_embeddings
        self._width: int = config.projection_dim

    fetch = staticmethod(fetch_encoder)

    @classmethod
    def load(cls, settings: ClipSettings, *, local_files_only: bool = False) -> Self:
        """The encoder that `settings` name; with `local_files_only` the hub is not asked.

        Raises ModelError when it cannot be had, has no weights or is no CLIP, SettingsError for a device not there.
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
        return cls(model.to(device).eval(), tokenizer, processor, settings, folder)

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
    def _encode(self, items: Sequence[Item], vectors: Callable[[Sequence[Item]], torch.Tensor]) -> NDArray[np.float32]:
        batches = MicroBatches(self._settings.micro_batch)
        rows = batches.run(
            lambda some: list(torch.nn.functional.normalize(vectors(some).float(), dim=-1).cpu().numpy()),  # [b, d]
            items,
        )
        self.halved += batches.split
        return np.array(rows, np.float32).reshape(-1, self._width)

    def _text_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        # Always padded to the model's full length, so that a row does not depend on its batch's longest text.
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=self._tokens, truncation=True, return_tensors="pt"
        )
        pooled: torch.Tensor = self._model.get_text_features(**tokens.to(self._model.device)).pooler_output
        return pooled  # [b, d]

    def _image_vectors(self, images: Sequence[Image.Image]) -> torch.Tensor:
        pixels = self._processor(list(images), return_tensors="pt")["pixel_values"]  # [b, 3, h, w]
        pixels = pixels.to(self._model.device, self._model.dtype)
        pooled: torch.Tensor = self._model.get_image_features(pixel_values=pixels).pooler_output
        return pooled  # [b, d]
