"""The drawn world: a corpus of posts and tiny weights that read, see and draw, so that everything runs anywhere.

The weights are loaded through the code path of the real ones: a CLIP folder and a diffusers pipeline folder.
"""

from pathlib import Path

from amia.demo.corpus import write_corpus

__all__ = ["CLIP_DIR", "GENERATOR_DIR", "MIXTURE_DIR", "write_corpus"]

_WEIGHTS = Path(__file__).parent / "weights"

CLIP_DIR = _WEIGHTS / "clip"
"""A `CLIPModel` with its tokenizer and image processor, fp16; load with `dtype=torch.float32`."""

GENERATOR_DIR = _WEIGHTS / "generator"
"""A one-step `StableDiffusionPipeline` of 64 x 64 pixels (guidance 0), fp16; load as float32."""

MIXTURE_DIR = _WEIGHTS / "mixture"
"""A frozen fit of the matching score on the drawn world, for corpora with too little to fit."""
