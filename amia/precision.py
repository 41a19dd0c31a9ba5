"""The precisions that a model may be asked for. Apart from `device`, so that reading settings does not import torch."""

from typing import Literal

__all__ = ["Dtype"]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
