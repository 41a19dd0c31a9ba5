"""Settings of training. This module does not import torch, so that reading settings is fast."""

from pydantic import Field

from amia.utils.config import Dtype, StrictModel

__all__ = ["TrainingSettings"]


class TrainingSettings(StrictModel):
    """Settings of one training. Where a setting is None, the system's recipe (the published value) applies."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of new layers, order of posts and dropout."""
    epochs: int | None = Field(default=None, ge=1)
    """Maximum number of epochs."""
    batch: int | None = Field(default=None, ge=1)
    """Posts per optimizer step, over all workers."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Posts per forward pass of one worker; gradients are accumulated. None: the worker's share of the batch."""
    lr_encoder: float | None = Field(default=None, gt=0)
    """Learning rate of pretrained weights."""
    lr_new: float | None = Field(default=None, gt=0)
    """Learning rate of randomly initialized layers."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW, except for biases and LayerNorm."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps over which the learning rates increase linearly, before they decrease linearly to 0."""
    clip: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradient of all parameters."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better F1 on the validation posts before training stops."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision of the forward pass; weights stay float32. `auto`: float32 on the CPU, bfloat16 on a GPU (float16 with
    gradient scaling if it does not support bfloat16)."""
    threads: int | None = Field(default=None, ge=1)
    """Arithmetic threads of one worker; results are only reproducible to the bit with the same number. None: torch's
    default."""
    cache_gb: float = Field(default=20.0, ge=0)
    """GB of disk for cached image features on each machine; 0 disables the cache."""
