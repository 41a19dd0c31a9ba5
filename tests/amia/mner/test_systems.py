"""What holds for every system of the BERT family."""

from dataclasses import fields, replace

import pytest
import torch
from transformers import BertTokenizer

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost
from amia.mner.model import Output, RecognizerModel
from amia.mner.systems import SYSTEMS, system_of
from amia.mner.tokenizers import WordPieces

VISUAL = ["bert-resnet-crf", "umt", "maf"]
ALL = ["bert", "bert-crf", *VISUAL]
LENGTHS = [4, 2, 6, 3, 5, 1, 4, 3, 2, 5]
IMAGES = [True, False, True, True, True, True, True, True, True, True]

every = pytest.mark.parametrize("system", ALL)
visual = pytest.mark.parametrize("system", VISUAL)


def test_these_are_all_systems_that_read_pieces():
    ours = {name for name in SYSTEMS if not name.endswith("bilstm-crf")}
    assert ours == set(ALL)
    assert {name for name in ours if system_of(name).reads_images} == set(VISUAL)
    assert {system_of(name).family for name in ours} == {"pieces"}


def rows(batch: Batch, places: list[int]) -> Batch:
    """Some posts of a batch, as wide as it is."""
    index = torch.tensor(places)
    chosen = {}
    for each in fields(batch):
        value = getattr(batch, each.name)
        if isinstance(value, torch.Tensor) and len(value):
            chosen[each.name] = value[index]
    return replace(batch, ids=[batch.ids[place] for place in places], **chosen)


def losses_alike(found: Output, expected: Output, places: list[int], but: set[str] = frozenset()) -> None:
    for name in expected.losses.keys() - but:
        assert torch.allclose(found.losses[name], expected.losses[name][places], atol=1e-5), name


@every
def test_saved_and_loaded_it_is_the_same_to_the_bit(bert_system, piece_posts, image_batch, tmp_path, system):
    model, batch = bert_system(system, train_visual=True), image_batch(piece_posts(LENGTHS), IMAGES)
    model.save_pretrained(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    config = RecognizerConfig.from_pretrained(tmp_path)
    assert config.system == system
    assert config.labels == model.config.labels
    loaded, report = system_of(config.system).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert not loaded.training
    before, after = model(batch), loaded(batch)
    assert torch.equal(before.emissions, after.emissions)
    assert model.decoder.decode(before.emissions, batch.words_mask) == loaded.decoder.decode(
        after.emissions, batch.words_mask
    )
    assert before.losses.keys() == after.losses.keys()
    assert all(torch.equal(before.losses[name], after.losses[name]) for name in before.losses)


@every
def test_losses_are_one_float32_a_post(bert_system, piece_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(piece_posts(LENGTHS), IMAGES)
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            output = model(batch)
        assert tuple(output.losses) == type(model).losses
        assert {(loss.dtype, tuple(loss.shape)) for loss in output.losses.values()} == {(torch.float32, (10,))}
        assert torch.allclose(output.total(), sum(output.losses.values()))


@visual
@pytest.mark.parametrize("trained", [False, True])
def test_pixels_of_a_post_without_image_change_nothing(bert_system, piece_posts, image_batch, system, trained):
    model = bert_system(system, train_visual=trained, drop=0.1).train()
    batch = image_batch(piece_posts(LENGTHS), IMAGES)
    other = batch.pixels.clone()
    other[1] = 50 * torch.randn_like(other[1])
    outputs, gradients = [], []
    for pixels in (batch.pixels, other):
        torch.manual_seed(0)
        model.zero_grad()
        outputs.append(model(replace(batch, pixels=pixels)))
        outputs[-1].total().mean().backward()
        gradients.append({name: weights.grad for name, weights in model.named_parameters()})
    assert torch.equal(outputs[0].emissions, outputs[1].emissions)
    assert torch.equal(outputs[0].total(), outputs[1].total())
    for name, gradient in gradients[0].items():
        assert (gradient is None) == (name.startswith("visual.") and not trained), name
        assert gradient is None or torch.equal(gradient, gradients[1][name]), name
    # Those of a post with an image do.
    other[0] = 50 * torch.randn_like(other[0])
    torch.manual_seed(0)
    assert not torch.equal(model(replace(batch, pixels=other)).emissions[0], outputs[0].emissions[0])


@visual
def test_a_post_without_image_moves_nothing_that_is_visual(bert_system, piece_posts, image_batch, system):
    model = bert_system(system, train_visual=True).train()
    model(image_batch(piece_posts(LENGTHS), [False] * 10)).total().mean().backward()
    # Zero, and there: several workers wait for every weight's gradient.
    gradients = {name: weights.grad for name, weights in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    visual = {name: gradient for name, gradient in gradients.items() if name.startswith(("visual.", "project"))}
    assert len(visual) > 10
    assert [name for name, gradient in visual.items() if gradient.any()] == []


@visual
def test_features_given_are_features_computed(bert_system, piece_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(piece_posts(LENGTHS), IMAGES)
    regions, pooled = model.visual(batch.pixels)
    given = model(replace(batch, pixels=None, regions=regions, pooled=pooled))
    assert torch.equal(given.emissions, model(batch).emissions)
    # Those of a post without an image are not even to be numbers.
    regions[1], pooled[1] = torch.nan, torch.inf
    output = model.train()(replace(batch, pixels=None, regions=regions, pooled=pooled))
    assert torch.equal(output.emissions, given.emissions)
    output.total().mean().backward()
    assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())


@every
def test_a_post_alone_and_in_a_padded_batch(bert_system, piece_posts, image_batch, system):
    model, posts = bert_system(system), piece_posts(LENGTHS)
    batch = image_batch(posts, IMAGES)
    together = model(batch)
    paths = model.decoder.decode(together.emissions, batch.words_mask)
    for place, post in enumerate(posts):
        alone = collate([post])
        alone.pixels, alone.has_image = batch.pixels[[place]], batch.has_image[[place]]
        found = model(alone)
        words = LENGTHS[place]
        assert found.emissions.shape[1] == words
        assert torch.allclose(found.emissions[0], together.emissions[place, :words], atol=1e-5)
        assert model.decoder.decode(found.emissions, alone.words_mask) == [paths[place]]
        losses_alike(found, together, [place], but={"alignment"})


@every
def test_what_stands_in_the_padding_does_not_matter(bert_system, piece_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(piece_posts(LENGTHS), IMAGES)
    wild = replace(
        batch,
        pieces=batch.pieces.masked_fill(~batch.pieces_mask, 7),
        first=batch.first.masked_fill(~batch.words_mask, 3),
        labels=batch.labels.masked_fill(~batch.words_mask, 4),
    )
    found, expected = model(wild), model(batch)
    assert torch.allclose(found.emissions[batch.words_mask], expected.emissions[batch.words_mask], atol=1e-5)
    losses_alike(found, expected, list(range(10)))


@every
def test_the_place_in_a_batch_does_not_matter(bert_system, piece_posts, image_batch, system):
    model, batch = bert_system(system), image_batch(piece_posts(LENGTHS), IMAGES)
    expected = model(batch)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(3)).tolist()
    found = model(rows(batch, order))
    assert torch.allclose(found.emissions, expected.emissions[order], atol=1e-5)
    losses_alike(found, expected, order)


@visual
def test_a_constant_image_tells_rows_of_one_text_nothing(bert_system, piece_posts, image_batch, system):
    model, post = bert_system(system), piece_posts([5])[0]
    batch = image_batch([post] * 9)
    different = model(batch).emissions
    assert (different - different[0]).abs().amax((1, 2))[1:].min() > 1e-4
    batch.pixels[:] = batch.pixels[4].clone()
    same = model(batch).emissions
    assert torch.allclose(same, same[:1].expand_as(same), atol=1e-6)


def test_invisible_words_shorten_neither_gold_nor_prediction(bert_system, image_batch):
    vocabulary = {
        piece: number for number, piece in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "a", "b"])
    }
    pieces = WordPieces(BertTokenizer(vocab=vocabulary, do_lower_case=False))
    tokens, labels = ["a", "\u200b", "b", "\u200d", "\x92"], [1, 2, 0, 0, 3]
    post = pieces.encode("x", tokens, labels)
    assert post.first == (1, 2, 3, 4, 5)
    assert post.pieces == (1, 5, 3, 6, 3, 3, 2)
    for system in ALL:
        model, batch = bert_system(system), image_batch([post])
        assert batch.labels.tolist() == [labels]
        assert [len(path) for path in model.decoder.decode(model(batch).emissions, batch.words_mask)] == [5]


def overfit_posts(two_sided: bool) -> tuple[list[EncodedPost], torch.Tensor]:
    """32 posts, and regions [32, 49, 10]. Two-sided: each text stands there twice, and only the image, in one of its
    regions, tells whether its entity is a person or a place."""
    chance = torch.Generator().manual_seed(0)
    posts, regions = [], torch.randn(32, 49, 10, generator=chance) / 5
    for number in range(32):
        text, side = (number // 2, number % 2) if two_sided else (number, number * 7 % 2)
        draw = torch.Generator().manual_seed(text)
        words = torch.randint(3, 60, (5,), generator=draw).tolist()
        labels = [0] * 5
        labels[text % 3], labels[text % 3 + 1] = 1 + 2 * side, (2 + 2 * side) * (text % 2)
        posts.append(EncodedPost(id=str(number), labels=tuple(labels), pieces=(1, *words, 2), first=tuple(range(1, 6))))
        regions[number, int(torch.randint(49, (1,), generator=chance)), side] += 12
    return posts, regions


@every
def test_32_posts_learned_by_heart(bert_system, system):
    model: RecognizerModel = bert_system(system)
    posts, regions = overfit_posts(two_sided=model.reads_images)
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
            found = model.eval()(batch).emissions
            if model.decoder.decode(found, batch.words_mask) == gold:
                break
    assert model.decoder.decode(found, batch.words_mask) == gold
    if model.reads_images:
        # It looks: with the images of each pair exchanged, the types are.
        other = torch.arange(32) ^ 1
        seen = model(replace(batch, regions=regions[other], pooled=regions[other].mean(1))).emissions
        assert model.decoder.decode(seen, batch.words_mask) == [gold[place] for place in other.tolist()]
