"""Half precision where a model is known to break in it."""

from typing import Any

import torch

__all__ = ["decode_in_float32"]


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


def _widened(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    latents, *rest = inputs
    return (latents.float(), *rest)
