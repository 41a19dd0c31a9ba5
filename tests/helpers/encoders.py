"""Tiny encoders with random weights, saved like pretrained ones."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer, ResNetConfig, ResNetModel

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?#@'-:"


def save_tiny_encoders(folder: Path) -> None:
    """Save `text/`, a BERT with letters as tokens, and `visual/`, a ResNet of two stages for images of 32 pixels."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, do_lower_case=False)
    tokenizer.save_pretrained(folder / "text")
    torch.manual_seed(0)
    text = BertConfig(
        vocab_size=len(pieces),
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertModel(text).save_pretrained(folder / "text")
    visual = ResNetConfig(embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")
    ResNetModel(visual).save_pretrained(folder / "visual")
    (folder / "visual" / "preprocessor_config.json").write_text(
        '{"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
