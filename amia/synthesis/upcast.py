"""Run parts of a half-precision pipeline in float32 where half precision is known to break.

The decoder of SDXL overflows float16 (`decode_in_float32`). bfloat16 is coarse near white (`postprocess_in_float32`).
The attention of Stable Diffusion 2.x overflows float16 if its logits are stored in it. Torch's fused attention stores
them on no device, which a test checks.
"""

from typing import Any

import torch

__all__ = ["decode_in_float32", "postprocess_in_float32"]


def decode_in_float32(pipeline: Any) -> None:
    """Make a float16 pipeline of the SDXL family decode its latents in float32, in place.

    The VAE of SDXL overflows float16 to NaN, which its configuration marks by `force_upcast`. Casting its weights back
    and forth for every batch, as the pipeline would, costs more than keeping them in float32.
    """
    vae: Any = getattr(pipeline, "vae", None)
    if vae is None or vae.dtype is not torch.float16:
        return
    if not hasattr(pipeline, "upcast_vae") or not getattr(vae.config, "force_upcast", False):
        return
    vae.to(torch.float32)
    vae.register_to_config(force_upcast=False)
    first_module = vae.post_quant_conv if vae.post_quant_conv is not None else vae.decoder
    first_module.register_forward_pre_hook(_upcast_input)


def postprocess_in_float32(pipeline: Any) -> None:
    """Make the output of a half-precision decoder, in [-1, 1], be shifted to [0, 1] in float32, in place.

    In bfloat16 the shift rounds to 1/256, a whole gray level, after the decoder has already rounded.
    """
    vae: Any = getattr(pipeline, "vae", None)
    decoder = getattr(vae, "decoder", None)
    if decoder is not None and vae.dtype is not torch.float32:
        decoder.register_forward_hook(_upcast_output)


def _upcast_output(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return output.float() if isinstance(output, torch.Tensor) else output


def _upcast_input(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    latents, *rest = inputs
    return (latents.float(), *rest)
