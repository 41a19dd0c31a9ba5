"""Test `VisualEncoder`: regions as means over the feature map, and frozen statistics."""

import pytest
import torch
from transformers import ResNetConfig

from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import RecognizerModel


def make_encoder(trained: bool = False) -> VisualEncoder:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    encoder = VisualEncoder(config.to_dict(), trained=trained)
    for name, statistics in encoder.named_buffers():
        if name.endswith("running_mean"):
            statistics.normal_()
    return encoder


def make_pixels() -> torch.Tensor:
    return torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))


def test_regions_are_means_over_the_feature_map():
    encoder = make_encoder()
    regions, pooled = encoder(make_pixels())
    feature_map = encoder.backbone(pixel_values=make_pixels()).last_hidden_state
    assert feature_map.shape == (2, 10, 14, 14)
    assert regions.shape == (2, 49, 10)
    for row in range(7):
        for column in range(7):
            square = feature_map[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.allclose(regions[:, 7 * row + column], square.sum((2, 3)) / 4, atol=1e-6)
    assert torch.allclose(pooled, regions.mean(1), atol=1e-6)


def test_channels_last_input_gives_the_same_regions():
    encoder = make_encoder()
    channels_last = make_pixels().contiguous(memory_format=torch.channels_last)
    feature_map = encoder.backbone(pixel_values=channels_last).last_hidden_state
    assert feature_map.stride(1) == 1, "the layout is kept up to the last feature map"
    for output, expected in zip(encoder(channels_last), encoder(make_pixels()), strict=True):
        assert torch.allclose(output, expected, atol=1e-6)


@pytest.mark.parametrize("trained", [False, True])
def test_training_mode_does_not_change_statistics(trained):
    encoder = make_encoder(trained)
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    regions, pooled = encoder(make_pixels())
    encoder.train()
    single = [encoder(make_pixels()[row : row + 1]) for row in range(2)]
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())
    assert not any(module.training for module in encoder.modules())
    # The features of an image do not depend on the batch.
    assert torch.allclose(torch.cat([output[0] for output in single]), regions, atol=1e-6)
    assert torch.allclose(torch.cat([output[1] for output in single]), pooled, atol=1e-6)


def test_only_a_trained_encoder_has_gradients():
    assert not any(output.requires_grad for output in make_encoder()(make_pixels()))
    encoder = make_encoder(trained=True)
    encoder(make_pixels())[0].square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in encoder.parameters())


@pytest.mark.parametrize("trained", [False, True])
def test_loading_keeps_the_encoder_frozen(bert_system, tmp_path, trained):
    model: RecognizerModel = bert_system("bert-resnet-crf", train_visual=trained)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).train()
    assert {parameter.requires_grad for parameter in loaded.visual.parameters()} == {trained}
    assert any(name.startswith("visual.") for name in loaded.pretrained_parameter_names()) == trained
    assert all(parameter.requires_grad for parameter in loaded.text.parameters())


def test_ignores_the_dtype_of_the_config():
    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic", dtype="bfloat16")
    assert {parameter.dtype for parameter in VisualEncoder(config.to_dict()).parameters()} == {torch.float32}
