"""The precisions that a model may be asked for, and whether it is compiled. Apart from `device`, so that reading
settings does not import torch."""

from typing import Literal

__all__ = ["Compile", "Dtype"]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

Compile = bool | Literal["auto"]
"""Whether `torch.compile` makes a graph of a model; `auto`: on a GPU, where it pays for the minute it takes."""
