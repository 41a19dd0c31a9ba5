"""The shipped CLIP and generator: loading, size, and quality on held-out posts."""

import random
import stat
import warnings

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image

from amia.demo import BERT_DIR, CLIP_DIR, GENERATOR_DIR, MIXTURE_DIR, RESNET_DIR
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import KINDS, readings
from amia.demo.world import draw_posts
from tests.helpers.demo_encoding import ClipEmbedder, load_generator, synthesize
from tests.helpers.theta_reference import auc, expected_losses, fit_theta
from tests.helpers.type_probe import TypeProbe, draw_images

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
    folders = (BERT_DIR, CLIP_DIR, GENERATOR_DIR, MIXTURE_DIR, RESNET_DIR)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in files)
    assert (GENERATOR_DIR / "model_index.json") in files


def test_end_token_is_unique(encoder):
    tokenizer = encoder.tokenizer
    assert encoder.model.config.text_config.eos_token_id == tokenizer.eos_token_id != 2
    assert tokenizer.unk_token_id != tokenizer.eos_token_id
    ids = tokenizer("Mira Okafor 日本 \u0007 ‽").input_ids
    assert ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.unk_token_id not in ids
    assert len(tokenizer("lost " * 100, truncation=True).input_ids) == 40


def test_embeddings_independent_of_padding(encoder):
    single = encoder.embed_texts(["Mira Okafor in Lisbon"])
    padded = encoder.embed_texts(["Mira Okafor in Lisbon", "rumor : " * 6])
    np.testing.assert_allclose(single[0], padded[0], atol=1e-5)


@pytest.mark.parametrize(("rare", "least", "most"), [("known", 0.95, 1.0), ("unknown", 0.6, 0.95)])
def test_theta_separates_posts_with_known_names(encoder, rare, least, most):
    """40 % of the photographs are those of other posts; bank and fit are posts with known names."""
    posts = draw_posts(400, 20, "train") + draw_posts(300, 21, "test", rare)
    rng = random.Random(21)
    matched = np.array([rng.random() >= 0.4 for _ in posts])
    photos = [
        draw_photograph((post if is_matched else posts[row - 200]).entities, rng).image
        for row, (post, is_matched) in enumerate(zip(posts, matched, strict=True))
    ]
    texts, images = encoder.embed_texts(post.text for post in posts), encoder.embed_images(photos)
    bank = texts[:400], images[:400]
    theta = fit_theta(
        expected_losses(*bank, *bank, exclude_self=True), expected_losses(texts[400:], images[400:], *bank)
    )
    assert least <= auc(matched[400:], theta) <= most


def test_synthesized_images_match_their_texts(encoder, generator):
    posts = draw_posts(48, 22, "test")
    images = synthesize(generator, [post.text for post in posts])
    assert {image.size for image in images} == {(64, 64)}
    similarities = encoder.embed_images(images) @ encoder.embed_texts(post.text for post in posts).T
    assert (similarities.argmax(1) == np.arange(len(posts))).mean() > 0.3


def test_type_probe_recognizes_drawings():
    images, shown = draw_images(200, seed=1)
    found = TypeProbe().shown(images)
    for column in range(len(KINDS)):
        assert found[shown[:, column], column].mean() > 0.9
        assert found[~shown[:, column], column].mean() < 0.02


@pytest.mark.slow
def test_synthesized_images_show_the_types_of_known_names(generator):
    """The posts' sentences do not occur in training."""
    probe = TypeProbe()
    right = {"known": [], "unknown": []}
    for rare, hits in right.items():
        posts = draw_posts(200, 24, "test", rare)
        shown = probe.shown(synthesize(generator, [post.text for post in posts]))
        for post, row in zip(posts, shown, strict=True):
            hits += [row[KINDS.index(entity.kind)] for entity in post.entities if len(readings(entity)) == 1]
    assert np.mean(right["known"]) > 0.9
    assert np.mean(right["unknown"]) < 0.8


def test_image_depends_on_seed(generator):
    texts = ["look at this , Paris !", "lost in Lisbon again", "Norvik Airlines denies the report"]
    first, same, other = (np.stack(synthesize(generator, texts, seed)).astype(int) for seed in (1, 1, 2))
    assert np.abs(first - same).max() == 0
    assert np.abs(first - other).mean((1, 2, 3)).min() > 4


def test_image_independent_of_batch(generator):
    texts = [post.text for post in draw_posts(4, 23, "test")]
    batched = np.stack(synthesize(generator, texts, batch=4)).astype(int)
    single = np.stack(synthesize(generator, texts, batch=1)).astype(int)
    assert np.abs(batched - single).max() <= 1
