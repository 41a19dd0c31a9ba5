"""Random embeddings, and a CLIP with random weights and another architecture than the demo's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from amia.matching.bank import Embeddings, image_key, text_key


def random_embeddings(n: int, d: int = 8, seed: int = 0, texts: list[str] | None = None, name: str = "p") -> Embeddings:
    """Return n posts whose image embedding is the text embedding plus noise. `texts` can give equal texts."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    ids = [f"{name}{row}" for row in range(n)]
    return Embeddings(
        ids=ids,
        texts=vectors,
        images=vectors + rng.normal(size=(n, d)).astype(np.float32),
        text_keys=np.array([text_key(text) for text in (texts or ids)], "S16"),
        image_keys=np.array([image_key(post_id.encode()) for post_id in ids], "S16"),
    )


@pytest.fixture(scope="session")
def posts() -> Callable[..., Embeddings]:
    return random_embeddings


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPModel with towers of different width, 16 tokens and images of 24 pixels."""
    torch.manual_seed(0)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|unknown|>", "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[],
        unk_token=pieces[-3],
        bos_token=pieces[-2],
        eos_token=pieces[-1],
        pad_token=pieces[-1],
        model_max_length=16,
    )
    layers = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "max_position_embeddings": 16,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **layers,
    }
    vision = {"hidden_size": 24, "image_size": 24, "patch_size": 8, **layers}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    folder = tmp_path_factory.mktemp("models") / "clip"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    processor.save_pretrained(folder)
    return folder
