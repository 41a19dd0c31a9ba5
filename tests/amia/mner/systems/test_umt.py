"""Test UMT's two branches against their definitions."""

import torch

from amia.mner.systems.umt import Umt, label_conversion_matrix

HAS_IMAGE = [True, False, True]


def test_label_conversion_matrix():
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
    assert label_conversion_matrix(labels).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0],
        [0, 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25],
    ]
    for num_types in range(1, 6):
        matrix = label_conversion_matrix(["O", *(f"{prefix}-{type_}" for type_ in range(num_types) for prefix in "BI")])
        assert torch.allclose(matrix.sum(1), torch.ones(3))


def test_conversion_matrix_is_a_saved_constant(bert_system, tmp_path):
    model: Umt = bert_system("umt")
    assert "conversion" not in dict(model.named_parameters())
    model.save_pretrained(tmp_path)
    assert torch.equal(Umt.from_pretrained(tmp_path).conversion, label_conversion_matrix(model.config.labels))


def test_half_of_the_emissions_come_from_span_detection(bert_system, encoded_posts, image_batch):
    model: Umt = bert_system("umt")
    batch = image_batch(encoded_posts([5, 3, 4]), HAS_IMAGE)
    emissions = model(batch).emissions
    outputs = []
    model.spans_classifier.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    model.classifier.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    assert torch.equal(model(batch).emissions, emissions)
    types, spans = sorted(outputs, key=lambda output: -output.shape[2])
    for label, name in enumerate(model.config.labels):
        share = spans[:, :, "OBI".index(name[0])] * (1.0 if name == "O" else 0.25)
        assert torch.allclose(emissions[:, :, label], 0.5 * types[:, :, label] + 0.5 * share, atol=1e-6)


def test_losses(bert_system, encoded_posts, image_batch):
    model: Umt = bert_system("umt")
    batch = image_batch(encoded_posts([5, 3, 4]), HAS_IMAGE)
    outputs = []
    model.spans_classifier.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    output = model(batch)
    assert set(output.losses) == {"tags", "spans"}
    tags = model.decoder.loss(output.emissions, batch.labels, batch.word_mask)
    span_labels = torch.tensor([["OBI".index(model.config.labels[label][0]) for label in row] for row in batch.labels])
    spans = model.spans_decoder.loss(outputs[0], span_labels, batch.word_mask)
    assert torch.allclose(output.losses["tags"], tags)
    assert torch.allclose(output.losses["spans"], 0.5 * spans)
    assert torch.allclose(output.total(), tags + 0.5 * spans)


def test_both_losses_train_span_detection(bert_system, encoded_posts, image_batch):
    model: Umt = bert_system("umt")
    for name in ("tags", "spans"):
        model.zero_grad()
        model(image_batch(encoded_posts([5, 3, 4]), HAS_IMAGE)).losses[name].sum().backward()
        assert (model.spans.value.weight.grad != 0).any(), name
        assert (model.spans_decoder.transitions.grad is None) == (name == "tags")


def test_both_paths_from_regions_to_words_have_gradients(bert_system, encoded_posts, image_batch):
    model: Umt = bert_system("umt")
    model(image_batch(encoded_posts([5, 3, 4]), HAS_IMAGE)).total().sum().backward()
    for layer in (model.project_keys, model.look.key, model.project_queries, model.ask.query, model.answer.key):
        assert (layer.weight.grad != 0).any()
    model.zero_grad()
    model(image_batch(encoded_posts([5, 3, 4]), [False] * 3)).total().sum().backward()
    visual = (model.project_keys, model.project_queries, model.look.key, model.look.value, model.ask, model.answer.key)
    for layer in visual:
        assert all((parameter.grad == 0).all() for parameter in layer.parameters())
