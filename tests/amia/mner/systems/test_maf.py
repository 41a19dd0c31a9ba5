"""MAF's matching, gate and alignment, taken apart."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from amia.mner.data_collator import Batch
from amia.mner.systems.maf import Maf, alignment_losses, differing, swap_images

LENGTHS = [5, 3, 4, 2, 5, 4, 3, 1, 2, 4, 3, 5, 2, 4, 3, 5, 1, 3, 2]
IMAGES = [False] + [True] * 17 + [False]


@pytest.fixture
def model(bert_system) -> Maf:
    return bert_system("maf")


@pytest.fixture
def batch(piece_posts, image_batch) -> Batch:
    return image_batch(piece_posts(LENGTHS), IMAGES)


def watched(part: torch.nn.Module) -> list[torch.Tensor]:
    """What a part gives from now on, pass by pass."""
    seen: list[torch.Tensor] = []
    part.register_forward_hook(lambda _part, _inputs, output: seen.append(output))
    return seen


def test_match_and_gate(model, batch):
    texts, looks, matches = watched(model.text), watched(model.look), watched(model.matching)
    found = model(batch).emissions
    states, looked = texts[0][0], looks[0]
    for post, length in enumerate(batch.pieces_mask.sum(1).tolist()):
        mean = torch.cat([states[post, :length], looked[post, :length]], 1).mean(0)
        logits = model.matching.weight @ mean + model.matching.bias
        assert torch.allclose(matches[0][post], logits, atol=1e-5)
        match = torch.exp(logits[1]) / torch.exp(logits).sum()
        for word, place in enumerate(batch.first[post, : batch.words_mask[post].sum()].tolist()):
            text, image = states[post, place], match * looked[post, place]
            gate = 1 / (1 + torch.exp(-(model.gate_text(text) + model.gate_image(image))))
            assert torch.allclose(found[post, word], model.classifier(torch.cat([text, gate * image])), atol=1e-5)


def test_losses_when_not_training(model, batch):
    matches, vectors = watched(model.matching), watched(model.text)
    random = torch.get_rng_state()
    output = model(batch)
    assert torch.equal(torch.get_rng_state(), random)
    assert len(matches) == 1
    assert set(output.losses) == {"tags", "matching", "alignment"}
    tags = model.decoder.loss(output.emissions, batch.labels, batch.words_mask)
    assert torch.allclose(output.losses["tags"], 0.62 * tags)
    belong = -matches[0].log_softmax(1)[:, 1] * batch.has_image
    assert torch.allclose(output.losses["matching"], 0.38 * belong, atol=1e-6)
    pooled = model.features(batch)[1]
    everyone = ~torch.eye(17, dtype=torch.bool)
    posts = batch.has_image
    aligned = alignment_losses(model.align.text(vectors[0][1][posts]), model.align.image(pooled[posts]), everyone)
    assert torch.allclose(output.losses["alignment"][posts], 0.38 * aligned, atol=1e-5)
    assert (output.losses["alignment"][posts] > 0).all()
    for name in ("matching", "alignment"):
        assert (output.losses[name][~posts] == 0).all()


def test_negatives_are_looked_at_apart(model, batch):
    calm = model(batch)
    model.train()
    torch.manual_seed(4)
    trained = model(batch)
    torch.manual_seed(4)
    posts, others = swap_images(batch.has_image)
    assert len(posts) == 4
    # The tagger and alignment see each post's own image.
    assert torch.equal(trained.emissions, calm.emissions)
    assert torch.equal(trained.losses["tags"], calm.losses["tags"])
    assert torch.equal(trained.losses["alignment"], calm.losses["alignment"])
    foreign = batch.pixels.clone()
    foreign[posts] = batch.pixels[others]
    matches = watched(model.eval().matching)
    model(replace(batch, pixels=foreign))
    expected = calm.losses["matching"].clone()
    expected[posts] = 0.38 * -matches[0].log_softmax(1)[posts, 0]
    assert torch.allclose(trained.losses["matching"], expected, atol=1e-5)
    assert not torch.allclose(expected, calm.losses["matching"], atol=0.01)


def test_a_repeated_picture_is_no_negative(model, batch):
    batch.pixels[:] = batch.pixels[1].clone()
    output, calm = model.train()(batch), model.eval()(batch)
    assert torch.allclose(output.losses["matching"], calm.losses["matching"], atol=1e-6)
    assert (output.losses["alignment"] == 0).all()


def test_one_image_has_nothing_to_align_with(model, piece_posts, image_batch):
    output = model(image_batch(piece_posts([3, 4, 2]), [False, True, False]))
    assert (output.losses["alignment"] == 0).all()
    assert output.losses["matching"].nonzero().tolist() == [[1]]
    output.total().sum().backward()
    assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())


def test_every_new_layer_learns(model, batch):
    model.train()(batch).total().mean().backward()
    still = {name for name, weights in model.named_parameters() if weights.requires_grad and not weights.grad.any()}
    # A key's bias adds the same to a query's every score, and gets rounding errors at most.
    assert {name for name in still if "key.bias" not in name} == set()


def test_without_labels_there_is_nothing_but_emissions(model, batch):
    labeled = model(batch).emissions
    batch.labels = None
    output = model(batch)
    assert output.losses == {}
    assert torch.equal(output.emissions, labeled)


def test_matching_reads_a_masked_mean(model, batch):
    kinds = torch.tensor(IMAGES).long()
    matches = watched(model.matching)
    model(batch)
    wild = batch.pieces.masked_fill(~batch.pieces_mask, 7)
    model(replace(batch, pieces=wild))
    assert torch.allclose(F.cross_entropy(matches[0], kinds), F.cross_entropy(matches[1], kinds), atol=1e-5)
    assert differing(batch.pieces, model.features(batch)[1], batch.has_image).sum() == 17 * 16
