"""Test MAF's matching, gate and alignment against their definitions."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from amia.mner.data_collator import Batch
from amia.mner.systems.maf import Maf, alignment_losses, negative_mask, swap_images

LENGTHS = [5, 3, 4, 2, 5, 4, 3, 1, 2, 4, 3, 5, 2, 4, 3, 5, 1, 3, 2]
HAS_IMAGE = [False] + [True] * 17 + [False]


@pytest.fixture
def model(bert_system) -> Maf:
    return bert_system("maf")


@pytest.fixture
def batch(encoded_posts, image_batch) -> Batch:
    return image_batch(encoded_posts(LENGTHS), HAS_IMAGE)


def record_outputs(module: torch.nn.Module) -> list[torch.Tensor]:
    """Record the outputs of a module from now on."""
    outputs: list[torch.Tensor] = []
    module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    return outputs


def test_match_and_gate(model, batch):
    texts, attentions, matches = map(record_outputs, (model.text, model.look, model.matching))
    emissions = model(batch).emissions
    states, attended = texts[0][0], attentions[0]
    for row, length in enumerate(batch.attention_mask.sum(1).tolist()):
        mean = torch.cat([states[row, :length], attended[row, :length]], 1).mean(0)
        logits = model.matching.weight @ mean + model.matching.bias
        assert torch.allclose(matches[0][row], logits, atol=1e-5)
        match = torch.exp(logits[1]) / torch.exp(logits).sum()
        for word, subword in enumerate(batch.first_subwords[row, : batch.word_mask[row].sum()].tolist()):
            text, image = states[row, subword], match * attended[row, subword]
            gate = 1 / (1 + torch.exp(-(model.gate_text(text) + model.gate_image(image))))
            assert torch.allclose(emissions[row, word], model.classifier(torch.cat([text, gate * image])), atol=1e-5)


def test_losses_in_evaluation_mode(model, batch):
    matches, texts = record_outputs(model.matching), record_outputs(model.text)
    random_state = torch.get_rng_state()
    output = model(batch)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert len(matches) == 1
    assert set(output.losses) == {"tags", "matching", "alignment"}
    tags = model.decoder.loss(output.emissions, batch.labels, batch.word_mask)
    assert torch.allclose(output.losses["tags"], 0.62 * tags)
    matching = -matches[0].log_softmax(1)[:, 1] * batch.has_image
    assert torch.allclose(output.losses["matching"], 0.38 * matching, atol=1e-6)
    pooled = model.encode_images(batch)[1]
    negatives = ~torch.eye(17, dtype=torch.bool)
    posts = batch.has_image
    alignment = alignment_losses(model.align.text(texts[0][1][posts]), model.align.image(pooled[posts]), negatives)
    assert torch.allclose(output.losses["alignment"][posts], 0.38 * alignment, atol=1e-5)
    assert (output.losses["alignment"][posts] > 0).all()
    for name in ("matching", "alignment"):
        assert (output.losses[name][~posts] == 0).all()


def test_swapped_images_only_affect_the_matching_loss(model, batch):
    evaluated = model(batch)
    model.train()
    torch.manual_seed(4)
    trained = model(batch)
    torch.manual_seed(4)
    posts, partners = swap_images(batch.has_image)
    assert len(posts) == 4
    # Tagging and alignment use each post's original image.
    assert torch.equal(trained.emissions, evaluated.emissions)
    assert torch.equal(trained.losses["tags"], evaluated.losses["tags"])
    assert torch.equal(trained.losses["alignment"], evaluated.losses["alignment"])
    swapped_pixels = batch.pixel_values.clone()
    swapped_pixels[posts] = batch.pixel_values[partners]
    matches = record_outputs(model.eval().matching)
    model(replace(batch, pixel_values=swapped_pixels))
    expected = evaluated.losses["matching"].clone()
    expected[posts] = 0.38 * -matches[0].log_softmax(1)[posts, 0]
    assert torch.allclose(trained.losses["matching"], expected, atol=1e-5)
    assert not torch.allclose(expected, evaluated.losses["matching"], atol=0.01)


def test_repeated_image_is_not_a_negative(model, batch):
    batch.pixel_values[:] = batch.pixel_values[1].clone()
    trained, evaluated = model.train()(batch), model.eval()(batch)
    assert torch.allclose(trained.losses["matching"], evaluated.losses["matching"], atol=1e-6)
    assert (trained.losses["alignment"] == 0).all()


def test_single_image_has_no_alignment_loss(model, encoded_posts, image_batch):
    output = model(image_batch(encoded_posts([3, 4, 2]), [False, True, False]))
    assert (output.losses["alignment"] == 0).all()
    assert output.losses["matching"].nonzero().tolist() == [[1]]
    output.total().sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


def test_all_new_layers_have_gradients(model, batch):
    model.train()(batch).total().mean().backward()
    without = {name for name, weights in model.named_parameters() if weights.requires_grad and not weights.grad.any()}
    # A key's bias adds the same value to all scores of a query, so its gradient is zero up to rounding.
    assert {name for name in without if "key.bias" not in name} == set()


def test_no_losses_without_labels(model, batch):
    expected = model(batch).emissions
    batch.labels = None
    output = model(batch)
    assert output.losses == {}
    assert torch.equal(output.emissions, expected)


def test_matching_ignores_padding(model, batch):
    targets = torch.tensor(HAS_IMAGE).long()
    matches = record_outputs(model.matching)
    model(batch)
    model(replace(batch, input_ids=batch.input_ids.masked_fill(~batch.attention_mask, 7)))
    assert torch.allclose(F.cross_entropy(matches[0], targets), F.cross_entropy(matches[1], targets), atol=1e-5)
    assert negative_mask(batch.input_ids, model.encode_images(batch)[1], batch.has_image).sum() == 17 * 16
