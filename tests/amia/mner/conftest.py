"""Systems of the BERT family on random weights, small enough to be made anew in every test, and posts for them."""

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import BertConfig, ResNetConfig

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost
from amia.mner.model import RecognizerModel
from amia.mner.systems import system_of

LABELS = 9
VOCABULARY = 60
SIDE = 40
"""Pixels of an image."""


def tiny_bert_system(system: str, *, drop: float = 0.0, **more: object) -> RecognizerModel:
    """A system by name, in evaluation mode; the same weights every time. They spread wider than usual, so that every
    layer is felt in what comes out. `drop`: of all dropouts."""
    torch.manual_seed(0)
    text = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.15,
        hidden_dropout_prob=drop,
        attention_probs_dropout_prob=drop,
    )
    visual = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    config = RecognizerConfig.of(system, text=text, visual=visual, initializer_range=0.15, dropout=drop, **more)
    return system_of(system)(config).eval()


def tiny_piece_posts(lengths: Sequence[int], seed: int = 0) -> list[EncodedPost]:
    """Posts of so many words, each of one to three pieces, with labels that BIO2 allows."""
    chance = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=chance))

    posts = []
    for number, words in enumerate(lengths):
        pieces, first, labels = [1], list[int](), list[int]()
        for _ in range(words):
            first.append(len(pieces))
            pieces += [draw(3, VOCABULARY) for _ in range(draw(1, 4))]
            free = [0, 1, 3, 5, 7]  # O and every B-
            if labels and labels[-1]:
                free.append(labels[-1] + labels[-1] % 2)  # the I- that goes on
            labels.append(free[draw(0, len(free))])
        posts.append(
            EncodedPost(id=f"p{number}", labels=tuple(labels), pieces=(*pieces, 2), first=tuple(first)),
        )
    return posts


def tiny_image_batch(posts: Sequence[EncodedPost], images: Sequence[bool] | None = None, seed: int = 0) -> Batch:
    """A batch of these posts with random pixels; `images` says which have an image, all by default."""
    batch = collate(posts)
    batch.pixels = torch.randn(len(posts), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    batch.has_image = torch.tensor([True] * len(posts) if images is None else list(images))
    return batch


@pytest.fixture(scope="session")
def bert_system() -> Callable[..., RecognizerModel]:
    return tiny_bert_system


@pytest.fixture(scope="session")
def piece_posts() -> Callable[..., list[EncodedPost]]:
    return tiny_piece_posts


@pytest.fixture(scope="session")
def image_batch() -> Callable[..., Batch]:
    return tiny_image_batch
