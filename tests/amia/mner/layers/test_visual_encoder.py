"""Regions against means over the map's own squares; a backbone that keeps still."""

import pytest
import torch
from transformers import ResNetConfig

from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import RecognizerModel


def encoder(trained: bool = False) -> VisualEncoder:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    made = VisualEncoder(config.to_dict(), trained=trained)
    for name, statistics in made.named_buffers():
        if name.endswith("running_mean"):
            statistics.normal_()
    return made


def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))


def test_49_regions_row_by_row_and_their_mean():
    made = encoder()
    regions, pooled = made(pixels())
    map_ = made.backbone(pixel_values=pixels()).last_hidden_state
    assert map_.shape == (2, 10, 14, 14)
    assert regions.shape == (2, 49, 10)
    for row in range(7):
        for column in range(7):
            square = map_[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.allclose(regions[:, 7 * row + column], square.sum((2, 3)) / 4, atol=1e-6)
    assert torch.allclose(pooled, regions.mean(1), atol=1e-6)


def test_the_layout_that_a_gpu_gets_changes_no_region__on_a_cpu():
    made = encoder()
    laid_out = pixels().contiguous(memory_format=torch.channels_last)
    assert made.backbone(pixel_values=laid_out).last_hidden_state.stride(1) == 1, "it goes on to the last map"
    for one, other in zip(made(pixels()), made(laid_out), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("trained", [False, True])
def test_training_moves_no_statistics(trained):
    made = encoder(trained)
    before = {name: value.clone() for name, value in made.named_buffers()}
    regions, pooled = made(pixels())
    made.train()
    alone = [made(pixels()[row : row + 1]) for row in range(2)]
    assert all(torch.equal(value, before[name]) for name, value in made.named_buffers())
    assert not any(part.training for part in made.modules())
    # Nor does an image's company matter.
    assert torch.allclose(torch.cat([each[0] for each in alone]), regions, atol=1e-6)
    assert torch.allclose(torch.cat([each[1] for each in alone]), pooled, atol=1e-6)


def test_frozen_has_no_gradients_and_trained_has():
    assert not any(output.requires_grad for output in encoder()(pixels()))
    made = encoder(trained=True)
    made(pixels())[0].square().sum().backward()
    assert all((weights.grad != 0).any() for weights in made.parameters())


@pytest.mark.parametrize("trained", [False, True])
def test_frozen_it_stays_when_loaded(bert_system, tmp_path, trained):
    model: RecognizerModel = bert_system("bert-resnet-crf", train_visual=trained)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).train()
    assert {weights.requires_grad for weights in loaded.visual.parameters()} == {trained}
    assert any(name.startswith("visual.") for name in loaded.encoder_parameters()) == trained
    assert all(weights.requires_grad for weights in loaded.text.parameters())


def test_as_wide_as_the_layers_around_it():
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic", dtype="bfloat16")
    assert {weights.dtype for weights in VisualEncoder(config.to_dict()).parameters()} == {torch.float32}
