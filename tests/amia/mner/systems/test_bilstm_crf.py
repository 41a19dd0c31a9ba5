"""The three systems that read words: they learn, they are saved whole, and padding changes nothing."""

import pytest
import torch

from amia.mner.builder import build_word_recognizer
from amia.mner.data_collator import collate
from amia.mner.metrics import score
from amia.mner.model import RecognizerModel
from amia.mner.systems import system_of
from amia.mner.tokenizers import Vocabulary

SYSTEMS = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf")
TYPES = ("PER", "LOC")
SMALL = {
    "word_width": 16, "char_width": 8, "hidden": 16, "char_filters": 8, "char_inner": 16, "char_output": 8,
    "char_hidden": 8,
}  # fmt: skip
FRAMES = ("{0} flew to {1}", "{1} waits for {0} !", "RT @fan : in {1} with {0}", "nothing new today http://t.co/{n}")
PEOPLE = (["Ali"], ["Ana", "Maria", "Lopez"], ["May"], ["Dr", "Who"])
PLACES = (["Paris"], ["New", "York"], ["Rio", "de", "Janeiro"])


def post(number: int) -> tuple[list[str], list[str]]:
    person, place = PEOPLE[number % len(PEOPLE)], PLACES[number // 2 % len(PLACES)]
    tokens, tags = list[str](), list[str]()
    for word in FRAMES[number * 7 // 5 % len(FRAMES)].split():
        name, kind = {"{0}": (person, "PER"), "{1}": (place, "LOC")}.get(word, ([word.replace("{n}", str(number))], ""))
        tokens += name
        tags += [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)] if kind else ["O"]
    return tokens, tags


POSTS = [post(number) for number in range(32)]


def new(system: str, **sizes: float) -> tuple[RecognizerModel, Vocabulary]:
    torch.manual_seed(3)
    tokens = [tokens for tokens, _ in POSTS]
    model, vocabulary, _ = build_word_recognizer(system, TYPES, tokens, sizes={**SMALL, **sizes})
    return model, vocabulary


def batch_of(vocabulary: Vocabulary, model: RecognizerModel, posts=POSTS):
    numbers = {name: number for number, name in enumerate(model.config.labels)}
    return collate(
        [
            vocabulary.encode(str(row), tokens, [numbers[tag] for tag in tags])
            for row, (tokens, tags) in enumerate(posts)
        ]
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_thirty_two_posts_are_learnt_by_heart(system):
    model, vocabulary = new(system)
    batch = batch_of(vocabulary, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model(batch).total().mean().backward()
        optimizer.step()
    model.eval()
    found = model.decoder.decode(model(batch).emissions, batch.words_mask)
    tags = [[model.config.labels[label] for label in row] for row in found]
    micro = score([tags for _, tags in POSTS], tags).micro
    assert micro.gold > 32
    assert micro.f1 == 1.0


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_saved_model_gives_the_same_logits(system, tmp_path):
    model, vocabulary = new(system)
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)  # nothing that a constructor would make again
    model.eval().save_pretrained(tmp_path)
    vocabulary.save(tmp_path)
    again = system_of(system).from_pretrained(tmp_path)
    assert again.config.words == model.config.words
    before, after = model(batch_of(vocabulary, model)), again(batch_of(Vocabulary.load(tmp_path), again))
    assert torch.equal(before.emissions, after.emissions)
    assert torch.equal(before.total(), after.total())
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors", "vocabulary.json"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_post_alone_has_the_emissions_and_the_loss_that_it_has_in_company(system):
    model, vocabulary = new(system)
    model.eval()
    posts = [*POSTS[:6], (["", "x" * 90, "?"], ["O", "O", "O"])]
    together = model(batch_of(vocabulary, model, posts))
    for row, one in enumerate(posts):
        alone = model(batch_of(vocabulary, model, [one]))
        assert torch.allclose(together.emissions[row, : len(one[0])], alone.emissions[0], atol=1e-6)
        assert torch.allclose(together.total()[row], alone.total()[0], atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_weight_learns_but_padding(system):
    model, vocabulary = new(system, forget=1.0)
    model(batch_of(vocabulary, model)).total().sum().backward()
    still = {name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()}
    assert not still
    assert model.words.embed.weight.grad[1].any(), "the unknown word, by way of the rare ones"
    assert not model.words.embed.weight.grad[0].any()


def test_only_systems_that_spell_look_at_characters():
    for system in SYSTEMS:
        model, vocabulary = new(system)
        model.eval()
        batch = batch_of(vocabulary, model)
        before = model(batch).emissions
        batch.chars = batch.chars.masked_fill(batch.chars > 0, 5)
        assert torch.equal(before, model(batch).emissions) == (system == "bilstm-crf")
