"""The demo world: a synthetic corpus with drawn images and tiny models, so that everything runs without downloads.

The models are loaded through the same code as real ones, from folders with a CLIP, a diffusers pipeline, a ResNet and a
BERT.
"""

from pathlib import Path

from amia.demo.corpus import write_corpus

__all__ = ["BERT_DIR", "CLIP_DIR", "GENERATOR_DIR", "MIXTURE_DIR", "RESNET_DIR", "write_corpus"]

_WEIGHTS = Path(__file__).parent / "weights"

CLIP_DIR = _WEIGHTS / "clip"
"""A `CLIPModel` with its tokenizer and image processor, fp16; load with `dtype=torch.float32`."""

GENERATOR_DIR = _WEIGHTS / "generator"
"""A one-step `StableDiffusionPipeline` of 64 x 64 pixels (guidance 0), fp16; load as float32."""

MIXTURE_DIR = _WEIGHTS / "mixture"
"""A matching model fitted on the demo world, for corpora with too few posts for a fit."""

RESNET_DIR = _WEIGHTS / "resnet"
"""A `ResNetModel` with its image processor, 7 x 7 regions of 160 channels, fp16; load with `dtype=torch.float32`."""

BERT_DIR = _WEIGHTS / "bert"
"""A cased `BertModel` with its tokenizer, 3 layers of width 128, fp16; load with `dtype=torch.float32`."""
