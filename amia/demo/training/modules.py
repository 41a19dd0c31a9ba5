"""Modules of the generator, and how models are saved."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from amia.demo.training.targets import LATENT, SIDE, noise_for_choices

# Its type hints are incomplete: for a type checker its models can be neither called nor trained.
_diffusers: Any = diffusers


def new_autoencoder() -> Any:
    """Return an `AutoencoderKL`: 64 x 64 pixels to 16 x 16 x 8, 0.66 M parameters."""
    return _diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=LATENT[0],
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=SIDE,
    )


def load_autoencoder(folder: Path) -> Any:
    """Load the trained autoencoder in `folder`, frozen."""
    return _diffusers.AutoencoderKL.from_pretrained(folder).eval().requires_grad_(False)


def load_text_encoder(clip: Path) -> Any:
    """Load the text encoder of the CLIP in `clip`, as float32."""
    model: Any = CLIPModel.from_pretrained(clip, dtype=torch.float32)
    encoder = CLIPTextModel(model.config.text_config)
    encoder.load_state_dict(model.text_model.state_dict())
    return encoder


def new_unet(text_width: int) -> Any:
    """Return a `UNet2DConditionModel` for latent images, 3.1 M parameters. `text_width` is that of the text encoder."""
    return _diffusers.UNet2DConditionModel(
        sample_size=LATENT[1],
        in_channels=LATENT[0],
        out_channels=LATENT[0],
        block_out_channels=(32, 64, 112),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        # The pooled text is added to the time embedding, which reaches every block.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def one_step_scheduler() -> Any:
    """Return a scheduler of one Euler step from the highest noise level. The U-Net predicts the image itself."""
    scheduler = _diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
        prediction_type="sample",
        # No effect on a single trailing step, but loading warns about any other value.
        steps_offset=1,
    )
    scheduler.set_timesteps(1)
    return scheduler


def save_pipeline(folder: Path, vae: Any, unet: Any, text_encoder: Any, tokenizer: CLIPTokenizer) -> None:
    """Save copies of the modules in half precision, without a safety checker (drawings need none)."""
    pipeline = _diffusers.StableDiffusionPipeline(
        vae=to_half(vae),
        text_encoder=to_half(text_encoder),
        tokenizer=tokenizer,
        unet=to_half(unet),
        scheduler=one_step_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    make_readable(folder)


def load_pipeline(folder: Path) -> Any:
    """Load the pipeline in `folder`, as float32."""
    return _diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)


@dataclass(frozen=True)
class OneStepGenerator:
    """U-Net and text encoder with their tokenizer and scheduler."""

    unet: Any
    text_encoder: Any
    tokenizer: CLIPTokenizer
    scheduler: Any

    def predict(self, texts: list[str], choices: torch.Tensor) -> torch.Tensor:
        """Compute latent images (N, 8, 16, 16) of unit scale in one step, exactly as the pipeline does."""
        ids = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        noise = noise_for_choices(choices) * self.scheduler.init_noise_sigma
        noise = noise / (self.scheduler.sigmas[0] ** 2 + 1) ** 0.5
        states = self.text_encoder(ids).last_hidden_state
        prediction: torch.Tensor = self.unet(noise, self.scheduler.timesteps[0], encoder_hidden_states=states).sample
        return prediction


def to_half(module: nn.Module) -> Any:
    """Return a copy of `module` with its weights in half precision."""
    copied = copy.deepcopy(module)
    for parameter in copied.parameters():
        parameter.data = parameter.data.half()
    return copied


def make_readable(folder: Path) -> None:
    """Set mode 0644 for every file below `folder`: safetensors writes 0600, which a package must not contain."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
