"""Unit vectors of texts and images from a CLIP folder, and images from a generator folder."""

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer


class Encoder:
    """The CLIP in `folder`, as float32."""

    def __init__(self, folder):
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def texts(self, texts):
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return _unit(self.model.get_text_features(**tokens).pooler_output)

    @torch.no_grad()
    def images(self, images):
        parts = []
        for first in range(0, len(images), 128):
            pixels = self.processor(images[first : first + 128], return_tensors="pt")
            parts.append(self.model.get_image_features(**pixels).pooler_output)
        return _unit(torch.cat(parts))


def _unit(features):
    return torch.nn.functional.normalize(features, dim=-1).double().numpy()


def load_generator(folder):
    """The pipeline in `folder`, as float32, without a progress bar."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def synthesize(pipeline, texts, seed=0, batch=16):
    """One image a text, in one step without guidance; each has a generator of its own."""
    images = []
    for first in range(0, len(texts), batch):
        part = list(texts[first : first + batch])
        generators = [torch.Generator().manual_seed(seed * 100_003 + first + place) for place in range(len(part))]
        images += pipeline(part, num_inference_steps=1, guidance_scale=0.0, generator=generators).images
    return images
