"""Settings of the encoder. Apart from it, so that reading settings does not import torch."""

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
    """Commit at the hub. None: the pinned commit of the default model, the newest of any other."""
    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision. `auto`: float32 on the CPU; on a GPU float16, in which CLIP was trained and which keeps three more
    bits of a cosine than bfloat16."""
    compile: Compile = "auto"
    """`torch.compile` of both towers. `auto`: on a GPU, where it costs some of an actor's start. What cannot be
    compiled runs as it is, and the run says so."""
    micro_batch: int = Field(default=64, ge=1)
    """Posts a forward pass; memory against speed. Part of a run's identity, since it moves the last bits."""

    @property
    def commit(self) -> str | None:
        """The revision that is asked of the hub."""
        return _DEFAULT_COMMIT if self.revision is None and self.model == _DEFAULT else self.revision
