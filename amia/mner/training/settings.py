"""How a recognizer is trained. Apart from the training, so that reading settings does not import torch."""

from pydantic import Field

from amia.utils.config import Dtype, StrictModel

__all__ = ["TrainingSettings"]


class TrainingSettings(StrictModel):
    """Where a setting is none, the system's own recipe decides: the published value where there is one."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of new layers, order of posts and dropout."""
    epochs: int | None = Field(default=None, ge=1)
    """Times that the training posts are seen, at most."""
    batch: int | None = Field(default=None, ge=1)
    """Posts an optimizer step, all workers together."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Posts a forward pass in one worker; gradients add up to the batch. None: the worker's share of the batch."""
    lr_encoder: float | None = Field(default=None, gt=0)
    """Learning rate of pretrained weights."""
    lr_new: float | None = Field(default=None, gt=0)
    """Learning rate of layers that start from nothing."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's, of all but biases and LayerNorm."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rates rise; then they fall to 0, both linearly."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the whole gradient."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better F1 on the validation posts before training ends."""
    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision of the forward pass; weights stay float32. `auto`: float32 on the CPU, bfloat16 on a GPU (float16 with
    scaled gradients where that has none)."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one worker's arithmetic; with another number a run does not repeat to the bit. None: torch's own."""
    cache_gb: float = Field(default=20.0, ge=0)
    """GB of disk that features of images may take on each machine; 0 keeps none."""
