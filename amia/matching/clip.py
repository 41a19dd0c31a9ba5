"""CLIP as the paper's encoder (3.1): texts and images to unit vectors of one space.

The vectors are projected, since before projection the two towers of ViT-B/16 differ in width, and a text is pooled at
[EOS]: CLIP's text tower is causal, so the paper's [SOS] sees nothing but itself and is the same for every text.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from amia.accelerator import CompileWithFallback, GpuOptions, resolve_device, resolve_dtype
from amia.errors import ModelError
from amia.hub import fetch_encoder, silence_libraries, translate_load_errors, weights_identity
from amia.matching.preprocess import apply_lut, normalization_lut, resize_and_crop
from amia.matching.settings import ClipSettings
from amia.utils.oom import OomSafeBatcher

__all__ = ["ClipEncoder", "ClipSettings"]


class ClipEncoder:
    """Texts and images to unit vectors. `load` makes one."""

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        processor: CLIPImageProcessorPil,
        settings: ClipSettings,
        folder: Path,
        tuning: GpuOptions | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._settings = settings
        self._folder = folder
        self._tuning = tuning or GpuOptions()
        towers = {"text_model": model.text_model, "vision_model": model.vision_model}
        self._compiled = CompileWithFallback(towers if self._tuning.compiled else {})
        self.halved = 0
        """Texts and images so far that went through in smaller micro-batches than asked, since memory ran out."""
        config: Any = model.config  # its parts may be plain dictionaries as far as types know
        self._tokens: int = config.text_config.max_position_embeddings
        self._width: int = config.projection_dim
        self._shades = torch.from_numpy(normalization_lut(processor)).to(model.device)  # [3, 256]

    fetch = staticmethod(fetch_encoder)

    @classmethod
    def load(cls, settings: ClipSettings, *, local_files_only: bool = False, tuning: GpuOptions | None = None) -> Self:
        """The encoder that `settings` name, warmed up where it is compiled.

        With `local_files_only` the hub is not asked. `tuning`: another than is right for the device. Raises ModelError
        when it cannot be had, has no weights or is no CLIP, SettingsError for a device not there.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.float16)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with silence_libraries(transformers_logging), translate_load_errors("encoder", settings.model):
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
        tuning = tuning or GpuOptions.of(device, settings.compile)
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
        return self.encode_tokens(self.tokens(texts))

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """I_s `[n, d]`, rows of length one, of RGB images of any size; memory as in `encode_texts`."""
        return self.encode_levels(self.levels(images))

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """What `encode_tokens` takes, `[n, 2, t]`: of each text its tokens and which of them count.

        Always padded to the model's full length, so that a row does not depend on its batch's longest text. No model's
        work: a thread beside the model may do it.
        """
        if not texts:
            return np.zeros((0, 2, self._tokens), np.int64)
        split = self._tokenizer(
            list(texts), padding="max_length", max_length=self._tokens, truncation=True, return_tensors="np"
        )
        return np.stack([split["input_ids"], split["attention_mask"]], axis=1).astype(np.int64)

    def levels(self, images: Sequence[Image.Image]) -> NDArray[np.uint8]:
        """What `encode_levels` takes, gray levels `[n, 3, h, w]` in the model's geometry; as `tokens`, no model's work.

        A photograph is some ten times as large as these: whoever holds many of them does not hold the photographs.
        """
        if not images:
            return np.zeros((0, 3, 1, 1), np.uint8)
        return resize_and_crop(self._processor, images)

    def encode_tokens(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """T_s `[n, d]` of what `tokens` returned; memory as in `encode_texts`."""
        return self._encode(tokens, self._text_vectors)

    def encode_levels(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """I_s `[n, d]` of what `levels` returned; memory as in `encode_texts`."""
        return self._encode(levels, self._image_vectors)

    def identity(self) -> dict[str, str]:
        """What tells this encoder from any other: a folder's weights, or name and commit at the hub."""
        return {"encoder": weights_identity(self._settings.model, self._folder)}

    @torch.inference_mode()
    def _encode(self, items: NDArray[Any], vectors: Callable[[torch.Tensor, int], torch.Tensor]) -> NDArray[np.float32]:
        batches = OomSafeBatcher(self._settings.micro_batch)

        def work(places: Sequence[int]) -> list[torch.Tensor]:
            some = torch.from_numpy(items[places[0] : places[-1] + 1]).to(self._model.device)
            pooled = vectors(some, batches.size)[: len(some)]  # [b, d]
            return list(torch.nn.functional.normalize(pooled.float(), dim=-1))

        rows = batches.run(work, range(len(items)))
        self.halved += batches.split
        # Fetched once: a GPU would stand still while each micro-batch travels back.
        return torch.stack(rows).cpu().numpy() if rows else np.zeros((0, self._width), np.float32)

    def _text_vectors(self, tokens: torch.Tensor, batch: int) -> torch.Tensor:
        ids, mask = self._filled(tokens, batch).unbind(1)  # [b, t] each
        pooled: torch.Tensor = self._model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return pooled  # [b, d]

    def _image_vectors(self, levels: torch.Tensor, batch: int) -> torch.Tensor:
        pixels = apply_lut(self._filled(levels, batch), self._shades).to(self._model.dtype)  # [b, 3, h, w]
        if self._tuning.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        pooled: torch.Tensor = self._model.get_image_features(pixel_values=pixels).pooler_output
        return pooled  # [b, d]

    def _filled(self, rows: torch.Tensor, batch: int) -> torch.Tensor:
        """A graph has one shape: compiled, a pass that is short is filled up with its last row."""
        more = batch - len(rows) if self._tuning.compiled else 0
        return torch.cat([rows, rows[-1:].expand(more, *rows.shape[1:])]) if more else rows
