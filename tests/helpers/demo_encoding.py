"""Embed texts and images with the CLIP in a folder, and synthesize images with the generator in a folder."""

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer


class ClipEmbedder:
    """Embeds texts and images as unit vectors with the CLIP in `folder`, in float32."""

    def __init__(self, folder):
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def embed_texts(self, texts):
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return _unit(self.model.get_text_features(**tokens).pooler_output)

    @torch.no_grad()
    def embed_images(self, images):
        batches = []
        for first in range(0, len(images), 128):
            pixels = self.processor(images[first : first + 128], return_tensors="pt")
            batches.append(self.model.get_image_features(**pixels).pooler_output)
        return _unit(torch.cat(batches))


def _unit(features):
    return torch.nn.functional.normalize(features, dim=-1).double().numpy()


def load_generator(folder):
    """Load the pipeline in `folder` in float32, without a progress bar."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def synthesize(pipeline, texts, seed=0, batch=16):
    """Return one image per text, in one step without guidance, each from its own seed."""
    images = []
    for first in range(0, len(texts), batch):
        prompts = list(texts[first : first + batch])
        generators = [torch.Generator().manual_seed(seed * 100_003 + first + row) for row in range(len(prompts))]
        images += pipeline(prompts, num_inference_steps=1, guidance_scale=0.0, generator=generators).images
    return images
