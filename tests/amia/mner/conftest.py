"""Small systems of the BERT family with random weights, cheap to build in every test, and posts for them."""

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import BertConfig, ResNetConfig

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost
from amia.mner.model import RecognizerModel
from amia.mner.systems import get_system

LABELS = 9
VOCAB_SIZE = 60
IMAGE_SIDE = 40


def make_bert_system(system: str, *, dropout: float = 0.0, **config_kwargs: object) -> RecognizerModel:
    """Build a system in evaluation mode, always with the same weights.

    The weights have a larger variance than usual, so that every layer has a visible effect on the output. `dropout`
    applies to all dropout layers.
    """
    torch.manual_seed(0)
    text = BertConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.15,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    visual = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    config = RecognizerConfig.create(
        system, text=text, visual=visual, initializer_range=0.15, dropout=dropout, **config_kwargs
    )
    return get_system(system)(config).eval()


def make_encoded_posts(lengths: Sequence[int], seed: int = 0) -> list[EncodedPost]:
    """Generate posts of so many words, of one to three subwords each, with valid BIO2 labels."""
    generator = torch.Generator().manual_seed(seed)

    def randint(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    posts = []
    for number, num_words in enumerate(lengths):
        input_ids, first_subwords, labels = [1], list[int](), list[int]()
        for _ in range(num_words):
            first_subwords.append(len(input_ids))
            input_ids += [randint(3, VOCAB_SIZE) for _ in range(randint(1, 4))]
            allowed = [0, 1, 3, 5, 7]  # O and every B-
            if labels and labels[-1]:
                allowed.append(labels[-1] + labels[-1] % 2)  # the I- that continues the entity
            labels.append(allowed[randint(0, len(allowed))])
        posts.append(
            EncodedPost(
                id=f"p{number}",
                labels=tuple(labels),
                input_ids=(*input_ids, 2),
                first_subwords=tuple(first_subwords),
            ),
        )
    return posts


def make_image_batch(posts: Sequence[EncodedPost], has_image: Sequence[bool] | None = None, seed: int = 0) -> Batch:
    """Collate posts with random pixels. Without `has_image` every post has an image."""
    batch = collate(posts)
    generator = torch.Generator().manual_seed(seed)
    batch.pixel_values = torch.randn(len(posts), 3, IMAGE_SIDE, IMAGE_SIDE, generator=generator)
    batch.has_image = torch.tensor([True] * len(posts) if has_image is None else list(has_image))
    return batch


@pytest.fixture(scope="session")
def bert_system() -> Callable[..., RecognizerModel]:
    return make_bert_system


@pytest.fixture(scope="session")
def encoded_posts() -> Callable[..., list[EncodedPost]]:
    return make_encoded_posts


@pytest.fixture(scope="session")
def image_batch() -> Callable[..., Batch]:
    return make_image_batch
