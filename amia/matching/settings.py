"""Settings of the encoder, importable without torch."""

from pydantic import Field

from amia.utils.config import Compile, Dtype, StrictModel

__all__ = ["ClipSettings"]

_DEFAULT = "openai/clip-vit-base-patch16"
_DEFAULT_COMMIT = "57c216476eefef5ab752ec549e440a49ae4ae5f3"


class ClipSettings(StrictModel):
    """The encoder of texts and images."""

    model: str = _DEFAULT
    """A CLIP model: its name at the Hugging Face hub, or a folder with config, tokenizer and safetensors."""
    revision: str | None = None
    """Commit at the hub. None: the pinned commit of the default model, the newest commit of any other model."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision. `auto`: float32 on the CPU; float16 on a GPU, the precision CLIP was trained in, which keeps three
    more bits of a cosine than bfloat16."""
    compile: Compile = "auto"
    """Whether to compile both towers with `torch.compile`. `auto`: on a GPU, at the cost of a slower actor start. Parts
    that cannot be compiled run uncompiled, which the run reports."""
    micro_batch: int = Field(default=64, ge=1)
    """Posts per forward pass: memory against speed. Part of a run's identity, since it changes the last bits."""

    @property
    def commit(self) -> str | None:
        """The revision to request from the hub."""
        return _DEFAULT_COMMIT if self.revision is None and self.model == _DEFAULT else self.revision
