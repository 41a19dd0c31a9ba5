"""How images are synthesized."""

from pydantic import Field

from amia.utils.config import Compile, Dtype, StrictModel

__all__ = ["GeneratorSettings"]

_DEFAULT = "stabilityai/sd-turbo"
_DEFAULT_COMMIT = "b261bac6fd2cf515557d5d0707481eafa0485ec2"
_MICRO_BATCH = 8
_HALF_FILES = {_DEFAULT, "stabilityai/sdxl-turbo"}
"""Models whose makers publish their weights in float16 too, at half the size."""


class GeneratorSettings(StrictModel):
    """The generator, V = SD(T)."""

    model: str = _DEFAULT
    """Any text-to-image pipeline of diffusers: its name at the Hugging Face hub (`stabilityai/sdxl-turbo` is the
    paper's), or a folder. It draws at its own size; the images are resized afterwards."""
    revision: str | None = None
    """Commit at the hub. None: the pinned commit of the default model, the newest of any other."""
    variant: str = "auto"
    """Which weight files, as in `fp16`; `auto`: fp16 where the model is known to have them; empty: the plain ones."""
    steps: int = Field(default=1, ge=1)
    """Denoising steps. The turbo models are made for 1 (to 4)."""
    guidance: float = Field(default=0.0, ge=0)
    """Weight of classifier-free guidance; the turbo models are made for 0, which also halves the work."""
    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision. `auto`: float32 on the CPU; on a GPU bfloat16, whose range is float32's, so that nothing overflows to
    black; float16 on a GPU without it."""
    compile: Compile = "auto"
    """`torch.compile` of text encoder, UNet and decoder. `auto`: on a GPU, where it costs a minute or two of an actor's
    start. What cannot be compiled runs as it is, and the run says so."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Images a forward pass; memory against speed. Part of a run's identity, since it moves the last bits. Default: 8;
    on a GPU what its memory holds, which `amia augment` measures when a run is begun; a run that was begun keeps its
    own."""
    redraws: int = Field(default=2, ge=0)
    """How often an unusable image (NaN, black, blank) is drawn again, with another seed, before the post counts as
    failed."""

    @property
    def batch(self) -> int:
        """Images a forward pass, where nobody has measured either."""
        return _MICRO_BATCH if self.micro_batch is None else self.micro_batch

    @property
    def commit(self) -> str | None:
        """The revision that is asked of the hub."""
        return _DEFAULT_COMMIT if self.revision is None and self.model == _DEFAULT else self.revision

    @property
    def files(self) -> str | None:
        """The variant of weight files that is asked for."""
        if self.variant == "auto":
            return "fp16" if self.model in _HALF_FILES else None
        return self.variant or None
