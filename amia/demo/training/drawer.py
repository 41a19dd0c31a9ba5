"""What learns to draw, and how it draws."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import CLIPTokenizer

from amia.demo.training.targets import noise_for


@dataclass(frozen=True)
class Drawer:
    """The U-Net and the text encoder, with the tokenizer and the scheduler they work with."""

    unet: Any
    text_encoder: Any
    tokenizer: CLIPTokenizer
    scheduler: Any

    def predict(self, texts: list[str], choices: torch.Tensor) -> torch.Tensor:
        """Latent images (N, 8, 16, 16) of unit scale in one step, exactly as the pipeline computes them."""
        ids = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        noise = noise_for(choices) * self.scheduler.init_noise_sigma
        noise = noise / (self.scheduler.sigmas[0] ** 2 + 1) ** 0.5
        states = self.text_encoder(ids).last_hidden_state
        prediction: torch.Tensor = self.unet(noise, self.scheduler.timesteps[0], encoder_hidden_states=states).sample
        return prediction
