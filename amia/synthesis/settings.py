"""Settings of the generator, importable without torch."""

from pydantic import Field

from amia.utils.config import Compile, Dtype, StrictModel

__all__ = ["GeneratorSettings"]

_DEFAULT = "stabilityai/sd-turbo"
_DEFAULT_COMMIT = "b261bac6fd2cf515557d5d0707481eafa0485ec2"
_MICRO_BATCH = 8
_FP16_MODELS = {_DEFAULT, "stabilityai/sdxl-turbo"}
"""Models whose weights are also published in float16, at half the size."""


class GeneratorSettings(StrictModel):
    """The generator, V = SD(T)."""

    model: str = _DEFAULT
    """Any text-to-image pipeline of diffusers: its name at the Hugging Face hub (`stabilityai/sdxl-turbo` is the
    paper's), or a folder. Its images have the size of the model and are resized afterwards."""
    revision: str | None = None
    """Commit at the hub. None: the pinned commit of the default model, the newest commit of any other model."""
    variant: str = "auto"
    """Variant of the weight files, such as `fp16`. `auto`: fp16 if the model is known to have it. Empty: no variant."""
    steps: int = Field(default=1, ge=1)
    """Denoising steps. The turbo models are made for 1 (to 4)."""
    guidance: float = Field(default=0.0, ge=0)
    """Weight of classifier-free guidance. The turbo models are made for 0, which also halves the work."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision. `auto`: float32 on the CPU; bfloat16 on a GPU, whose range is that of float32, so that nothing
    overflows to black; float16 on a GPU without bfloat16."""
    compile: Compile = "auto"
    """Whether to compile text encoder, UNet and decoder with `torch.compile`. `auto`: on a GPU, which adds a minute or
    two to an actor's start. Parts that cannot be compiled run uncompiled, which the run reports."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Images per forward pass: memory against speed. Part of a run's identity, since it changes the last bits. Default:
    8. On a GPU `amia augment` measures what fits its memory when it starts a run; an existing run keeps its value."""
    redraws: int = Field(default=2, ge=0)
    """How often an unusable image (NaN, black, blank) is generated again, with another seed, before the post counts as
    failed."""

    @property
    def batch(self) -> int:
        """Images per forward pass if neither set nor measured."""
        return _MICRO_BATCH if self.micro_batch is None else self.micro_batch

    @property
    def commit(self) -> str | None:
        """The revision to request from the hub."""
        return _DEFAULT_COMMIT if self.revision is None and self.model == _DEFAULT else self.revision

    @property
    def weight_variant(self) -> str | None:
        """The variant of weight files to request from the hub; None for files without a variant."""
        if self.variant == "auto":
            return "fp16" if self.model in _FP16_MODELS else None
        return self.variant or None
