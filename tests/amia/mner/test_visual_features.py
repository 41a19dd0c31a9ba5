"""What a batch carries of its images: the same features from the disk as from the backbone, which looks once."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ResNetConfig

from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost, Feature
from amia.mner.image_processor import read_pixels
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.visual_features import DataCollator, FeatureCache, VisualFeatureExtractor

PIXELS = {"side": 32, "mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25]}
PLENTY = 10**9


def picture(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (40, 30, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()


A, B, C = (picture(number) for number in range(3))
BROKEN = A[:300]
IMAGES = [A, None, B, BROKEN, A, b"no image"]


@pytest.fixture
def visual() -> VisualEncoder:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    return VisualEncoder(config.to_dict())


@pytest.fixture
def looked_at(visual: VisualEncoder) -> list[int]:
    """How many images each forward pass of the backbone saw."""
    counts: list[int] = []
    visual.backbone.register_forward_hook(
        lambda _, __, given, ___: counts.append(len(given["pixel_values"])), with_kwargs=True
    )
    return counts


def batch_of(count: int) -> Batch:
    return collate([EncodedPost(id=str(number), pieces=(1, 3, 2), first=(1,)) for number in range(count)])


def seen(seeing: VisualFeatureExtractor, images: list[bytes | None]) -> Batch:
    batch = batch_of(len(images))
    seeing.add_to(batch, images)
    return batch


def assert_same(one: Batch, other: Batch) -> None:
    assert one.regions is not None
    assert one.pooled is not None
    assert torch.equal(one.regions, other.regions)
    assert torch.equal(one.pooled, other.pooled)
    assert torch.equal(one.has_image, other.has_image)


def test_features_are_the_backbones_and_zero_where_nothing_can_be_read(visual: VisualEncoder) -> None:
    batch = seen(VisualFeatureExtractor(visual, PIXELS), IMAGES)
    assert batch.has_image.tolist() == [True, False, True, False, True, False]
    assert batch.pixels is None
    assert batch.regions is not None
    assert batch.pooled is not None
    assert (batch.regions.shape, batch.regions.dtype) == ((6, 49, 10), torch.float32)
    assert (batch.pooled.shape, batch.pooled.dtype) == ((6, 10), torch.float32)
    for row, image in enumerate(IMAGES):
        if batch.has_image[row] and image is not None:
            with torch.no_grad():
                regions, pooled = visual(torch.from_numpy(read_pixels(image, PIXELS))[None])
            torch.testing.assert_close(batch.regions[row], regions[0], atol=1e-6, rtol=1e-3)  # kept in half precision
            torch.testing.assert_close(batch.pooled[row], pooled[0], atol=1e-6, rtol=1e-3)
        else:
            assert not batch.regions[row].any()
            assert not batch.pooled[row].any()
    assert not torch.equal(batch.regions[0], batch.regions[2])


def test_from_the_disk_as_from_the_backbone_to_the_bit(visual: VisualEncoder, tmp_path: Path) -> None:
    computed = seen(VisualFeatureExtractor(visual, PIXELS), IMAGES)
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, PLENTY) as cache:
        assert_same(seen(VisualFeatureExtractor(visual, PIXELS, cache=cache), IMAGES), computed)
        assert_same(seen(VisualFeatureExtractor(visual, PIXELS, cache=cache), IMAGES), computed)
    torch.nn.init.zeros_(next(visual.parameters()))  # whatever comes out right now comes from the disk
    with FeatureCache(path, PLENTY) as cache:
        assert_same(seen(VisualFeatureExtractor(visual, PIXELS, cache=cache), IMAGES), computed)


def test_the_backbone_looks_once_at_each_image(visual: VisualEncoder, looked_at: list[int], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", PLENTY) as cache:
        seeing = VisualFeatureExtractor(visual, PIXELS, cache=cache)
        seen(seeing, IMAGES)
        assert looked_at == [2], "A stands there twice; two cannot be read, one is none"
        seen(seeing, [None, B, A, A])
        seen(seeing, [None, BROKEN])
        assert looked_at == [2]
        seen(VisualFeatureExtractor(visual, PIXELS, cache=cache), [C, A, C])
        assert looked_at == [2, 1]
        many = [picture(number) for number in range(10, 80)]
        seen(seeing, [*many, *many])
        assert looked_at == [2, 1, 32, 32, 6]
    seen(VisualFeatureExtractor(visual, PIXELS), [A, B, A])
    seen(VisualFeatureExtractor(visual, PIXELS), [A, B, A])
    assert looked_at[5:] == [2, 2], "nothing is kept where there is nothing to keep it in"


def test_a_cache_that_is_full_changes_no_feature(visual: VisualEncoder, looked_at: list[int], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", 0) as cache:
        seeing = VisualFeatureExtractor(visual, PIXELS, cache=cache)
        assert_same(seen(seeing, [A, None, B]), seen(seeing, [A, None, B]))
    assert looked_at == [2, 2]


def test_a_backbone_that_learns_is_given_pixels(visual: VisualEncoder, looked_at: list[int], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "cache.sqlite", PLENTY) as cache:
        batch = seen(VisualFeatureExtractor(visual, PIXELS, trained=True, cache=cache), IMAGES)
    assert not looked_at
    assert (batch.regions, batch.pooled) == (None, None)
    assert batch.has_image.tolist() == [True, False, True, False, True, False]
    assert batch.pixels is not None
    assert batch.pixels.shape == (6, 3, 32, 32)
    for row, image in enumerate(IMAGES):
        if batch.has_image[row] and image is not None:
            assert torch.equal(batch.pixels[row], torch.from_numpy(read_pixels(image, PIXELS)))
        else:
            assert not batch.pixels[row].any()


def test_batches_of_posts_with_what_they_show(visual: VisualEncoder) -> None:
    items = [
        Feature(EncodedPost(id="a", pieces=(1, 5, 6, 2), first=(1, 2), labels=(0, 1)), A),
        Feature(EncodedPost(id="b", pieces=(1, 5, 2), first=(1,), labels=(3,)), None),
    ]
    batch = DataCollator(9, VisualFeatureExtractor(visual, PIXELS)).of(items)
    assert batch.ids == ["a", "b"]
    assert batch.pieces.tolist() == [[1, 5, 6, 2], [1, 5, 2, 9]]
    assert batch.has_image.tolist() == [True, False]
    assert_same(batch, seen(VisualFeatureExtractor(visual, PIXELS), [A, None]))
    blind = DataCollator(9, None).of(items)
    assert (blind.regions, blind.pixels) == (None, None)
    assert blind.has_image.tolist() == [False, False]
