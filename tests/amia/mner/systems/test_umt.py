"""UMT's two branches, taken apart."""

import torch

from amia.mner.systems.umt import Umt, conversion

IMAGES = [True, False, True]


def test_the_conversion_matrix():
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
    assert conversion(labels).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0],
        [0, 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25],
    ]
    for types in range(1, 6):
        shares = conversion(["O", *(f"{prefix}-{kind}" for kind in range(types) for prefix in "BI")])
        assert torch.allclose(shares.sum(1), torch.ones(3))


def test_it_is_not_learned_and_saved(bert_system, tmp_path):
    model: Umt = bert_system("umt")
    assert "conversion" not in dict(model.named_parameters())
    model.save_pretrained(tmp_path)
    assert torch.equal(Umt.from_pretrained(tmp_path).conversion, conversion(model.config.labels))


def test_half_of_the_emissions_come_from_span_detection(bert_system, piece_posts, image_batch):
    model: Umt = bert_system("umt")
    batch = image_batch(piece_posts([5, 3, 4]), IMAGES)
    both = model(batch).emissions
    seen = []
    model.spans_classifier.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    model.classifier.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    assert torch.equal(model(batch).emissions, both)
    typed, spans = sorted(seen, key=lambda each: -each.shape[2])
    for label, name in enumerate(model.config.labels):
        share = spans[:, :, "OBI".index(name[0])] * (1.0 if name == "O" else 0.25)
        assert torch.allclose(both[:, :, label], 0.5 * typed[:, :, label] + 0.5 * share, atol=1e-6)


def test_losses(bert_system, piece_posts, image_batch):
    model: Umt = bert_system("umt")
    batch = image_batch(piece_posts([5, 3, 4]), IMAGES)
    seen = []
    model.spans_classifier.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    output = model(batch)
    assert set(output.losses) == {"tags", "spans"}
    tags = model.decoder.loss(output.emissions, batch.labels, batch.words_mask)
    whole = torch.tensor([["OBI".index(model.config.labels[label][0]) for label in row] for row in batch.labels])
    spans = model.spans_decoder.loss(seen[0], whole, batch.words_mask)
    assert torch.allclose(output.losses["tags"], tags)
    assert torch.allclose(output.losses["spans"], 0.5 * spans)
    assert torch.allclose(output.total(), tags + 0.5 * spans)


def test_span_detection_learns_from_both_losses(bert_system, piece_posts, image_batch):
    model: Umt = bert_system("umt")
    for name in ("tags", "spans"):
        model.zero_grad()
        model(image_batch(piece_posts([5, 3, 4]), IMAGES)).losses[name].sum().backward()
        assert (model.spans.value.weight.grad != 0).any(), name
        assert (model.spans_decoder.transitions.grad is None) == (name == "tags")


def test_the_regions_take_both_ways_to_the_words(bert_system, piece_posts, image_batch):
    model: Umt = bert_system("umt")
    model(image_batch(piece_posts([5, 3, 4]), IMAGES)).total().sum().backward()
    for way in (model.project_keys, model.look.key, model.project_queries, model.ask.query, model.answer.key):
        assert (way.weight.grad != 0).any()
    model.zero_grad()
    model(image_batch(piece_posts([5, 3, 4]), [False] * 3)).total().sum().backward()
    visual = (model.project_keys, model.project_queries, model.look.key, model.look.value, model.ask, model.answer.key)
    for way in visual:
        assert all((weights.grad == 0).all() for weights in way.parameters())
