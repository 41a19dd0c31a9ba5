"""The shipped CLIP and generator: loading, size, and quality on held-out posts."""

import random
import stat
import warnings

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image

from amia.demo import CLIP_DIR, GENERATOR_DIR
from amia.demo.drawing.scene import draw_photograph
from amia.demo.world import held_out_posts
from tests.helpers.demo_encoding import ClipEmbedder, load_generator, synthesize
from tests.helpers.theta_reference import auc, expected_losses, fit_theta

# diffusers converts a tensor to an array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def encoder():
    return ClipEmbedder(CLIP_DIR)


@pytest.fixture(scope="module")
def generator():
    return load_generator(GENERATOR_DIR)


def test_loads_without_warnings(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ClipEmbedder(CLIP_DIR)
        load_generator(GENERATOR_DIR)
        AutoPipelineForText2Image.from_pretrained(GENERATOR_DIR, dtype=torch.float32)
    assert [record.getMessage() for record in logged] == []


def test_files_are_small_and_readable():
    files = [path for folder in (CLIP_DIR, GENERATOR_DIR) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in files)
    assert (GENERATOR_DIR / "model_index.json") in files


def test_end_token_is_unique(encoder):
    tokenizer = encoder.tokenizer
    assert encoder.model.config.text_config.eos_token_id == tokenizer.eos_token_id != 2
    assert tokenizer.unk_token_id != tokenizer.eos_token_id
    ids = tokenizer("Mira Okafor 日本 \u0007 ‽").input_ids
    assert ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.unk_token_id not in ids
    assert len(tokenizer("lost " * 100, truncation=True).input_ids) == 32


def test_embeddings_independent_of_padding(encoder):
    single = encoder.embed_texts(["Mira Okafor in Lisbon"])
    padded = encoder.embed_texts(["Mira Okafor in Lisbon", "rumor : " * 6])
    np.testing.assert_allclose(single[0], padded[0], atol=1e-5)


def test_theta_separates_held_out_posts(encoder):
    posts = held_out_posts(700, seed=21)
    rng = random.Random(21)
    matched = np.array([rng.random() >= 0.3 for _ in posts])
    photos = [
        draw_photograph((post if is_matched else posts[row - 200]).entities, rng)
        for row, (post, is_matched) in enumerate(zip(posts, matched, strict=True))
    ]
    texts, images = encoder.embed_texts(post.text for post in posts), encoder.embed_images(photos)
    bank = texts[:400], images[:400]
    theta = fit_theta(
        expected_losses(*bank, *bank, exclude_self=True), expected_losses(texts[400:], images[400:], *bank)
    )
    assert auc(matched[400:], theta) >= 0.95


def test_synthesized_images_match_their_texts(encoder, generator):
    posts = list({frozenset(post.entities): post for post in held_out_posts(80, seed=22)}.values())[:48]
    images = synthesize(generator, [post.text for post in posts])
    assert {image.size for image in images} == {(64, 64)}
    similarities = encoder.embed_images(images) @ encoder.embed_texts(post.text for post in posts).T
    assert (similarities.argmax(1) == np.arange(len(posts))).mean() > 0.55


def test_image_depends_on_seed(generator):
    texts = ["look at this , Paris !", "lost in Lisbon again", "Norvik Airlines denies the report"]
    first, same, other = (np.stack(synthesize(generator, texts, seed)).astype(int) for seed in (1, 1, 2))
    assert np.abs(first - same).max() == 0
    assert np.abs(first - other).mean((1, 2, 3)).min() > 4


def test_image_independent_of_batch(generator):
    texts = [post.text for post in held_out_posts(4, seed=23)]
    batched = np.stack(synthesize(generator, texts, batch=4)).astype(int)
    single = np.stack(synthesize(generator, texts, batch=1)).astype(int)
    assert np.abs(batched - single).max() <= 1
