"""Test the visual features of a batch: equal with and without a cache, and computed once per image."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ResNetConfig

from amia.mner.data_collator import DataCollator
from amia.mner.features import EncodedPost, Feature
from amia.mner.image_processor import preprocess_image
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.visual_features import FeatureCache, VisualFeatureExtractor, VisualFeatures

PIXELS = {"side": 32, "mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25]}
CACHE_LIMIT = 10**9


def make_image(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


A, B, C = (make_image(seed) for seed in range(3))
TRUNCATED = A[:300]
IMAGES = [A, None, B, TRUNCATED, A, b"no image"]


@pytest.fixture
def visual_encoder() -> VisualEncoder:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    return VisualEncoder(config.to_dict())


@pytest.fixture
def batch_sizes(visual_encoder: VisualEncoder) -> list[int]:
    """Record the number of images in each forward pass of the backbone."""
    sizes: list[int] = []
    visual_encoder.backbone.register_forward_hook(
        lambda _, __, kwargs, ___: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    return sizes


def assert_equal(features: VisualFeatures, expected: VisualFeatures) -> None:
    assert features.regions is not None
    assert features.pooled is not None
    assert torch.equal(features.regions, expected.regions)
    assert torch.equal(features.pooled, expected.pooled)
    assert torch.equal(features.has_image, expected.has_image)


def test_features_of_readable_images(visual_encoder: VisualEncoder) -> None:
    features = VisualFeatureExtractor(visual_encoder, PIXELS)(IMAGES)
    assert features.has_image.tolist() == [True, False, True, False, True, False]
    assert features.pixel_values is None
    assert features.regions is not None
    assert features.pooled is not None
    assert (features.regions.shape, features.regions.dtype) == ((6, 49, 10), torch.float32)
    assert (features.pooled.shape, features.pooled.dtype) == ((6, 10), torch.float32)
    for row, image in enumerate(IMAGES):
        if features.has_image[row] and image is not None:
            with torch.no_grad():
                regions, pooled = visual_encoder(torch.from_numpy(preprocess_image(image, PIXELS))[None])
            # Features are stored as float16.
            torch.testing.assert_close(features.regions[row], regions[0], atol=1e-6, rtol=1e-3)
            torch.testing.assert_close(features.pooled[row], pooled[0], atol=1e-6, rtol=1e-3)
        else:
            assert not features.regions[row].any()
            assert not features.pooled[row].any()
    assert not torch.equal(features.regions[0], features.regions[2])


def test_cached_features_equal_computed_ones(visual_encoder: VisualEncoder, tmp_path: Path) -> None:
    expected = VisualFeatureExtractor(visual_encoder, PIXELS)(IMAGES)
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, CACHE_LIMIT) as cache:
        assert_equal(VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)(IMAGES), expected)
        assert_equal(VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)(IMAGES), expected)
    torch.nn.init.zeros_(next(visual_encoder.parameters()))  # now correct features can only come from the cache
    with FeatureCache(path, CACHE_LIMIT) as cache:
        assert_equal(VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)(IMAGES), expected)


def test_computes_each_image_once(visual_encoder: VisualEncoder, batch_sizes: list[int], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", CACHE_LIMIT) as cache:
        extractor = VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)
        extractor(IMAGES)
        assert batch_sizes == [2], "A occurs twice, two images cannot be read, one is missing"
        extractor([None, B, A, A])
        extractor([None, TRUNCATED])
        assert batch_sizes == [2]
        VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)([C, A, C])
        assert batch_sizes == [2, 1]
        images = [make_image(seed) for seed in range(10, 80)]
        extractor([*images, *images])
        assert batch_sizes == [2, 1, 32, 32, 6]
    VisualFeatureExtractor(visual_encoder, PIXELS)([A, B, A])
    VisualFeatureExtractor(visual_encoder, PIXELS)([A, B, A])
    assert batch_sizes[5:] == [2, 2], "without a cache features are computed again"


def test_full_cache_does_not_change_features(
    visual_encoder: VisualEncoder, batch_sizes: list[int], tmp_path: Path
) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", 0) as cache:
        extractor = VisualFeatureExtractor(visual_encoder, PIXELS, cache=cache)
        assert_equal(extractor([A, None, B]), extractor([A, None, B]))
    assert batch_sizes == [2, 2]


def test_trained_backbone_gets_pixels(visual_encoder: VisualEncoder, batch_sizes: list[int], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", CACHE_LIMIT) as cache:
        features = VisualFeatureExtractor(visual_encoder, PIXELS, trained=True, cache=cache)(IMAGES)
    assert not batch_sizes
    assert (features.regions, features.pooled) == (None, None)
    assert features.has_image.tolist() == [True, False, True, False, True, False]
    assert features.pixel_values is not None
    assert features.pixel_values.shape == (6, 3, 32, 32)
    for row, image in enumerate(IMAGES):
        if features.has_image[row] and image is not None:
            assert torch.equal(features.pixel_values[row], torch.from_numpy(preprocess_image(image, PIXELS)))
        else:
            assert not features.pixel_values[row].any()


def test_collator_adds_visual_features(visual_encoder: VisualEncoder) -> None:
    features = [
        Feature(EncodedPost(id="a", input_ids=(1, 5, 6, 2), first_subwords=(1, 2), labels=(0, 1)), A),
        Feature(EncodedPost(id="b", input_ids=(1, 5, 2), first_subwords=(1,), labels=(3,)), None),
    ]
    batch = DataCollator(9, VisualFeatureExtractor(visual_encoder, PIXELS))(features)
    assert batch.ids == ["a", "b"]
    assert batch.input_ids.tolist() == [[1, 5, 6, 2], [1, 5, 2, 9]]
    assert batch.has_image.tolist() == [True, False]
    expected = VisualFeatureExtractor(visual_encoder, PIXELS)([A, None])
    assert torch.equal(batch.regions, expected.regions)
    assert torch.equal(batch.pooled, expected.pooled)
    text_batch = DataCollator(9, None)(features)
    assert (text_batch.regions, text_batch.pixel_values) == (None, None)
    assert text_batch.has_image.tolist() == [False, False]
