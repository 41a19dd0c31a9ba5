"""The encoder of the paper (3.1): CLIP maps texts and images to unit vectors of one space.

Embeddings are taken after projection, since the two towers of ViT-B/16 differ in width before it. A text is pooled at
[EOS]: the text tower of CLIP is causal, so the paper's [SOS] attends only to itself and is the same for every text.
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
from amia.hub import fetch_model, silence_libraries, translate_load_errors, weights_identity
from amia.matching.preprocess import apply_lut, normalization_lut, resize_and_crop
from amia.matching.settings import ClipSettings
from amia.utils.oom import OomSafeBatcher

__all__ = ["ClipEncoder", "ClipSettings"]


class ClipEncoder:
    """Encoder of texts and images as unit vectors. Construct it with `load`."""

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        processor: CLIPImageProcessorPil,
        settings: ClipSettings,
        folder: Path,
        gpu_options: GpuOptions | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._settings = settings
        self._folder = folder
        self._gpu_options = gpu_options or GpuOptions()
        towers = {"text_model": model.text_model, "vision_model": model.vision_model}
        self._compiled = CompileWithFallback(towers if self._gpu_options.compiled else {})
        self.num_oom_reduced = 0
        """Texts and images so far that were encoded in smaller micro-batches after running out of memory."""
        config: Any = model.config  # the type hints allow plain dictionaries for its parts
        self._max_tokens: int = config.text_config.max_position_embeddings
        self._width: int = config.projection_dim
        self._lut = torch.from_numpy(normalization_lut(processor)).to(model.device)  # [3, 256]

    @staticmethod
    def fetch(settings: ClipSettings, *, local_files_only: bool = False) -> Path:
        """Return the folder with the model's files, downloading them if they are not cached. Raises ModelError."""
        return fetch_model("encoder", settings.model, settings.commit, local_files_only=local_files_only)

    @classmethod
    def load(
        cls, settings: ClipSettings, *, local_files_only: bool = False, gpu_options: GpuOptions | None = None
    ) -> Self:
        """Load the encoder that `settings` name, and warm it up if it is compiled.

        With `local_files_only` no request is sent to the hub. `gpu_options` override the defaults of the device. Raises
        ModelError if the model cannot be fetched, lacks weights or is not CLIP, SettingsError if the device does not
        exist.
        """
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device, torch.float16)
        folder = cls.fetch(settings, local_files_only=local_files_only)
        with silence_libraries(transformers_logging), translate_load_errors("encoder", settings.model):
            model_type = PreTrainedConfig.get_config_dict(folder)[0].get("model_type")
            if model_type != "clip":
                raise ModelError(f"encoder: {settings.model} has model type {model_type or 'unknown'}, not clip")
            loaded: Any = CLIPModel.from_pretrained(folder, dtype=dtype, use_safetensors=True, output_loading_info=True)
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            tokenizer(["amia"])  # a broken vocabulary fails only when it is used
            processor = CLIPImageProcessorPil.from_pretrained(folder)
        model, loading_info = loaded
        if missing := sorted(loading_info["missing_keys"]):
            raise ModelError(f"encoder: the weights of {settings.model} lack {len(missing)} keys, {missing[0]} first")
        gpu_options = gpu_options or GpuOptions.for_device(device, settings.compile)
        gpu_options.to_channels_last(model)
        encoder = cls(model.to(device).eval(), tokenizer, processor, settings, folder, gpu_options)
        if gpu_options.compiled:  # a single item is padded to a full micro-batch, so this compiles every graph
            encoder.encode_texts(["a photograph"])
            encoder.encode_images([Image.new("RGB", (8, 8))])
            encoder.num_oom_reduced = 0
        return encoder

    @property
    def uncompiled(self) -> dict[str, str]:
        """Towers that run uncompiled because compilation failed, with the reason."""
        return self._compiled.uncompiled

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode clean texts as T_s `[n, d]`, rows of length one. Texts are truncated to the model's tokens.

        After running out of memory, the same texts are encoded in micro-batches of half the size. Raises ClusterError
        if not even one text fits.
        """
        return self.encode_tokens(self.tokenize(texts))

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Encode RGB images of any size as I_s `[n, d]`, rows of length one. Memory is handled as in `encode_texts`."""
        return self.encode_pixels(self.preprocess(images))

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the input of `encode_tokens`, `[n, 2, t]`: the token ids and the attention mask of each text.

        Rows are always padded to the model's full length, so that a row does not depend on the longest text of its
        batch. Does not use the model: safe to call from another thread while the model runs.
        """
        if not texts:
            return np.zeros((0, 2, self._max_tokens), np.int64)
        encoding = self._tokenizer(
            list(texts), padding="max_length", max_length=self._max_tokens, truncation=True, return_tensors="np"
        )
        return np.stack([encoding["input_ids"], encoding["attention_mask"]], axis=1).astype(np.int64)

    def preprocess(self, images: Sequence[Image.Image]) -> NDArray[np.uint8]:
        """Return the input of `encode_pixels`, uint8 `[n, 3, h, w]`: images in the size that the model takes.

        Like `tokenize`, this does not use the model. A photograph is about ten times as large as the result, so keep
        the results in memory and not the photographs.
        """
        if not images:
            return np.zeros((0, 3, 1, 1), np.uint8)
        return resize_and_crop(self._processor, images)

    def encode_tokens(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode the output of `tokenize` as T_s `[n, d]`. Memory is handled as in `encode_texts`."""
        return self._encode(tokens, self._text_features)

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode the output of `preprocess` as I_s `[n, d]`. Memory is handled as in `encode_texts`."""
        return self._encode(pixels, self._image_features)

    def identity(self) -> dict[str, str]:
        """Return what identifies this encoder: the hash of a folder's weights, or name and commit at the hub."""
        return {"encoder": weights_identity(self._settings.model, self._folder)}

    @torch.inference_mode()
    def _encode(
        self, inputs: NDArray[Any], features: Callable[[torch.Tensor, int], torch.Tensor]
    ) -> NDArray[np.float32]:
        batcher = OomSafeBatcher(self._settings.micro_batch)

        def encode_batch(rows: Sequence[int]) -> list[torch.Tensor]:
            batch = torch.from_numpy(inputs[rows[0] : rows[-1] + 1]).to(self._model.device)
            pooled = features(batch, batcher.size)[: len(batch)]  # [b, d]
            return list(torch.nn.functional.normalize(pooled.float(), dim=-1))

        vectors = batcher.run(encode_batch, range(len(inputs)))
        self.num_oom_reduced += batcher.num_reduced
        # Copied to the host once: a GPU would idle during the copy of each micro-batch.
        return torch.stack(vectors).cpu().numpy() if vectors else np.zeros((0, self._width), np.float32)

    def _text_features(self, tokens: torch.Tensor, batch_size: int) -> torch.Tensor:
        ids, mask = self._pad_batch(tokens, batch_size).unbind(1)  # [b, t] each
        pooled: torch.Tensor = self._model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return pooled  # [b, d]

    def _image_features(self, pixels: torch.Tensor, batch_size: int) -> torch.Tensor:
        values = apply_lut(self._pad_batch(pixels, batch_size), self._lut).to(self._model.dtype)  # [b, 3, h, w]
        if self._gpu_options.channels_last:
            values = values.contiguous(memory_format=torch.channels_last)
        pooled: torch.Tensor = self._model.get_image_features(pixel_values=values).pooler_output
        return pooled  # [b, d]

    def _pad_batch(self, rows: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Pad a short batch with copies of its last row if the model is compiled: a graph has one shape."""
        padding = batch_size - len(rows) if self._gpu_options.compiled else 0
        return torch.cat([rows, rows[-1:].expand(padding, *rows.shape[1:])]) if padding else rows
