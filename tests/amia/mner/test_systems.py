"""Test what holds for every system of the BERT family."""

from dataclasses import fields, replace

import pytest
import torch
from transformers import BertTokenizer

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost
from amia.mner.model import RecognizerModel, RecognizerOutput
from amia.mner.systems import SYSTEMS, get_system
from amia.mner.tokenizers import WordPieceTokenizer

VISUAL_SYSTEMS = ["bert-resnet-crf", "umt", "maf"]
BERT_SYSTEMS = ["bert", "bert-crf", *VISUAL_SYSTEMS]
LENGTHS = [4, 2, 6, 3, 5, 1, 4, 3, 2, 5]
HAS_IMAGE = [True, False, True, True, True, True, True, True, True, True]

for_each_system = pytest.mark.parametrize("system", BERT_SYSTEMS)
for_each_visual_system = pytest.mark.parametrize("system", VISUAL_SYSTEMS)


def test_all_subword_systems_are_tested_here():
    names = {name for name in SYSTEMS if not name.endswith("bilstm-crf")}
    assert names == set(BERT_SYSTEMS)
    assert {name for name in names if get_system(name).reads_images} == set(VISUAL_SYSTEMS)
    assert {get_system(name).input_unit for name in names} == {"subwords"}


def select_rows(batch: Batch, rows: list[int]) -> Batch:
    """Return some posts of a batch with the same padding."""
    index = torch.tensor(rows)
    selected = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor) and len(value):
            selected[field.name] = value[index]
    return replace(batch, ids=[batch.ids[row] for row in rows], **selected)


def assert_similar_losses(
    output: RecognizerOutput, expected: RecognizerOutput, rows: list[int], skip: set[str] = frozenset()
) -> None:
    for name in expected.losses.keys() - skip:
        assert torch.allclose(output.losses[name], expected.losses[name][rows], atol=1e-5), name


@for_each_system
def test_loaded_model_equals_saved_model(bert_system, encoded_posts, image_batch, tmp_path, system):
    model, batch = bert_system(system, train_visual=True), image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    model.save_pretrained(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    config = RecognizerConfig.from_pretrained(tmp_path)
    assert config.system == system
    assert config.labels == model.config.labels
    loaded, loading_info = get_system(config.system).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading_info.values())
    assert not loaded.training
    before, after = model(batch), loaded(batch)
    assert torch.equal(before.emissions, after.emissions)
    assert model.decoder.decode(before.emissions, batch.word_mask) == loaded.decoder.decode(
        after.emissions, batch.word_mask
    )
    assert before.losses.keys() == after.losses.keys()
    assert all(torch.equal(before.losses[name], after.losses[name]) for name in before.losses)


@for_each_system
def test_losses_are_float32_per_post(bert_system, encoded_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = model(batch)
        assert tuple(output.losses) == type(model).loss_names
        assert {(loss.dtype, tuple(loss.shape)) for loss in output.losses.values()} == {(torch.float32, (10,))}
        assert torch.allclose(output.total(), sum(output.losses.values()))


@for_each_visual_system
@pytest.mark.parametrize("trained", [False, True])
def test_ignores_pixels_of_posts_without_image(bert_system, encoded_posts, image_batch, system, trained):
    model = bert_system(system, train_visual=trained, dropout=0.1).train()
    batch = image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    changed = batch.pixel_values.clone()
    changed[1] = 50 * torch.randn_like(changed[1])
    outputs, gradients = [], []
    for pixel_values in (batch.pixel_values, changed):
        torch.manual_seed(0)
        model.zero_grad()
        outputs.append(model(replace(batch, pixel_values=pixel_values)))
        outputs[-1].total().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert torch.equal(outputs[0].emissions, outputs[1].emissions)
    assert torch.equal(outputs[0].total(), outputs[1].total())
    for name, gradient in gradients[0].items():
        assert (gradient is None) == (name.startswith("visual.") and not trained), name
        assert gradient is None or torch.equal(gradient, gradients[1][name]), name
    # The pixels of a post with an image do have an effect.
    changed[0] = 50 * torch.randn_like(changed[0])
    torch.manual_seed(0)
    assert not torch.equal(model(replace(batch, pixel_values=changed)).emissions[0], outputs[0].emissions[0])


@for_each_visual_system
def test_posts_without_image_have_zero_visual_gradients(bert_system, encoded_posts, image_batch, system):
    model = bert_system(system, train_visual=True).train()
    model(image_batch(encoded_posts(LENGTHS), [False] * 10)).total().mean().backward()
    # Zero, but not None: several workers reduce the gradient of every parameter.
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    visual = {name: gradient for name, gradient in gradients.items() if name.startswith(("visual.", "project"))}
    assert len(visual) > 10
    assert [name for name, gradient in visual.items() if gradient.any()] == []


@for_each_visual_system
def test_uses_precomputed_features(bert_system, encoded_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    regions, pooled = model.visual(batch.pixel_values)
    expected = model(replace(batch, pixel_values=None, regions=regions, pooled=pooled))
    assert torch.equal(expected.emissions, model(batch).emissions)
    # The features of a post without an image may be NaN or infinite.
    regions[1], pooled[1] = torch.nan, torch.inf
    output = model.train()(replace(batch, pixel_values=None, regions=regions, pooled=pooled))
    assert torch.equal(output.emissions, expected.emissions)
    output.total().mean().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@for_each_system
def test_single_post_equals_padded_batch(bert_system, encoded_posts, image_batch, system):
    model, posts = bert_system(system), encoded_posts(LENGTHS)
    batch = image_batch(posts, HAS_IMAGE)
    batched = model(batch)
    paths = model.decoder.decode(batched.emissions, batch.word_mask)
    for row, post in enumerate(posts):
        single_batch = collate([post])
        single_batch.pixel_values, single_batch.has_image = batch.pixel_values[[row]], batch.has_image[[row]]
        single = model(single_batch)
        num_words = LENGTHS[row]
        assert single.emissions.shape[1] == num_words
        assert torch.allclose(single.emissions[0], batched.emissions[row, :num_words], atol=1e-5)
        assert model.decoder.decode(single.emissions, single_batch.word_mask) == [paths[row]]
        assert_similar_losses(single, batched, [row], skip={"alignment"})


@for_each_system
def test_ignores_values_in_the_padding(bert_system, encoded_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    changed = replace(
        batch,
        input_ids=batch.input_ids.masked_fill(~batch.attention_mask, 7),
        first_subwords=batch.first_subwords.masked_fill(~batch.word_mask, 3),
        labels=batch.labels.masked_fill(~batch.word_mask, 4),
    )
    output, expected = model(changed), model(batch)
    assert torch.allclose(output.emissions[batch.word_mask], expected.emissions[batch.word_mask], atol=1e-5)
    assert_similar_losses(output, expected, list(range(10)))


@for_each_system
def test_order_of_posts_does_not_matter(bert_system, encoded_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(encoded_posts(LENGTHS), HAS_IMAGE)
    expected = model(batch)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(3)).tolist()
    output = model(select_rows(batch, order))
    assert torch.allclose(output.emissions, expected.emissions[order], atol=1e-5)
    assert_similar_losses(output, expected, order)


@for_each_visual_system
def test_equal_posts_with_equal_images_have_equal_emissions(bert_system, encoded_posts, image_batch, system):
    model, post = bert_system(system), encoded_posts([5])[0]
    batch = image_batch([post] * 9)
    different = model(batch).emissions
    assert (different - different[0]).abs().amax((1, 2))[1:].min() > 1e-4
    batch.pixel_values[:] = batch.pixel_values[4].clone()
    equal = model(batch).emissions
    assert torch.allclose(equal, equal[:1].expand_as(equal), atol=1e-6)


def test_invisible_words_get_labels(bert_system, image_batch):
    vocab = {subword: index for index, subword in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "a", "b"])}
    tokenizer = WordPieceTokenizer(BertTokenizer(vocab=vocab, do_lower_case=False))
    tokens, labels = ["a", "\u200b", "b", "\u200d", "\x92"], [1, 2, 0, 0, 3]
    post = tokenizer.encode("x", tokens, labels)
    assert post.first_subwords == (1, 2, 3, 4, 5)
    assert post.input_ids == (1, 5, 3, 6, 3, 3, 2)
    for system in BERT_SYSTEMS:
        model, batch = bert_system(system), image_batch([post])
        assert batch.labels.tolist() == [labels]
        assert [len(path) for path in model.decoder.decode(model(batch).emissions, batch.word_mask)] == [5]


def make_overfit_posts(image_decides: bool) -> tuple[list[EncodedPost], torch.Tensor]:
    """Generate 32 posts, and regions [32, 49, 10].

    With `image_decides` each text occurs twice, and only one region of the image tells whether its entity is a person
    or a location.
    """
    image_generator = torch.Generator().manual_seed(0)
    posts, regions = [], torch.randn(32, 49, 10, generator=image_generator) / 5
    for number in range(32):
        text, type_ = (number // 2, number % 2) if image_decides else (number, number * 7 % 2)
        text_generator = torch.Generator().manual_seed(text)
        subwords = torch.randint(3, 60, (5,), generator=text_generator).tolist()
        labels = [0] * 5
        labels[text % 3], labels[text % 3 + 1] = 1 + 2 * type_, (2 + 2 * type_) * (text % 2)
        posts.append(
            EncodedPost(
                id=str(number), labels=tuple(labels), input_ids=(1, *subwords, 2), first_subwords=tuple(range(1, 6))
            )
        )
        regions[number, int(torch.randint(49, (1,), generator=image_generator)), type_] += 12
    return posts, regions


@for_each_system
def test_overfits_32_posts(bert_system, system):
    model: RecognizerModel = bert_system(system)
    posts, regions = make_overfit_posts(image_decides=model.reads_images)
    batch = collate(posts)
    batch.regions, batch.pooled, batch.has_image = regions, regions.mean(1), torch.ones(32, dtype=torch.bool)
    gold = [list(post.labels) for post in posts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(300):
        model.train()
        optimizer.zero_grad()
        model(batch).total().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9:
            emissions = model.eval()(batch).emissions
            if model.decoder.decode(emissions, batch.word_mask) == gold:
                break
    assert model.decoder.decode(emissions, batch.word_mask) == gold
    if model.reads_images:
        # Swapping the images of each pair swaps the predicted types.
        swapped = torch.arange(32) ^ 1
        output = model(replace(batch, regions=regions[swapped], pooled=regions[swapped].mean(1)))
        paths = model.decoder.decode(output.emissions, batch.word_mask)
        assert paths == [gold[row] for row in swapped.tolist()]
