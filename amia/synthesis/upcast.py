"""Half precision where a model is known to break in it.

SDXL's decoder overflows float16 (`decode_in_float32`). bfloat16 is coarse near white (`postprocess_in_float32`). The
attention of Stable Diffusion 2.x overflows float16 where its logits are stored in it, which torch's fused attention
does on no device; a test holds it to that.
"""

from typing import Any

import torch

__all__ = ["decode_in_float32", "postprocess_in_float32"]


def decode_in_float32(pipeline: Any) -> None:
    """Let a float16 pipeline of the SDXL family decode its latents in float32, in place.

    SDXL's VAE overflows float16 to NaN, which its configuration says by `force_upcast`. Casting its weights for every
    batch and back, as the pipeline would, costs more than keeping them wide.
    """
    vae: Any = getattr(pipeline, "vae", None)
    if vae is None or vae.dtype is not torch.float16:
        return
    if not hasattr(pipeline, "upcast_vae") or not getattr(vae.config, "force_upcast", False):
        return
    vae.to(torch.float32)
    vae.register_to_config(force_upcast=False)
    entrance = vae.post_quant_conv if vae.post_quant_conv is not None else vae.decoder
    entrance.register_forward_pre_hook(_widened)


def postprocess_in_float32(pipeline: Any) -> None:
    """Let what a half-precision decoder gives, in [-1, 1], be shifted to [0, 1] in float32, in place.

    In bfloat16 the shift rounds to 1/256, a whole gray level, what the decoder has already rounded.
    """
    vae: Any = getattr(pipeline, "vae", None)
    decoder = getattr(vae, "decoder", None)
    if decoder is not None and vae.dtype is not torch.float32:
        decoder.register_forward_hook(_shades)


def _shades(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return output.float() if isinstance(output, torch.Tensor) else output


def _widened(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    latents, *rest = inputs
    return (latents.float(), *rest)
