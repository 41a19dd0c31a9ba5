"""Test `WordEncoder` and its character encoders against plain loops over single words and posts."""

import pytest
import torch
from torch import nn

from amia.errors import ModelError
from amia.mner.config import LstmConfig
from amia.mner.layers.word_encoder import CharCnn, CharLstm, WordEncoder
from amia.mner.tokenizers import UNKNOWN_ID

SIZES = LstmConfig(
    words=20, rare=10, characters=9, word_width=6, char_width=5, hidden=4, char_filters=3, char_inner=7, char_output=4
)
WORDS = [[2, 3, 4], [5], [8, 7, 6, 5, 4], [3, 3, 3, 3, 3, 3, 3, 3]]
"""Character ids of words, some shorter than the kernels."""


def pad(rows, width):
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


@pytest.mark.parametrize("width", [8, 11])
def test_char_cnn_equals_a_loop(width):
    torch.manual_seed(0)
    cnn = CharCnn(SIZES)
    outputs = cnn(pad(WORDS, width))
    for output, word in zip(outputs, WORDS, strict=True):
        maxima = []
        for conv, kernel in zip(cnn.filters, SIZES.char_kernels, strict=True):
            padding = [0] * (kernel - 1)
            embedded = cnn.embed(torch.tensor([*padding, *word, *padding]))  # [C, E]
            windows = [
                torch.tanh((conv.weight * embedded[start : start + kernel].T).sum((1, 2)) + conv.bias)
                for start in range(len(word) + kernel - 1)
            ]
            maxima.append(torch.stack(windows).amax(0))
        assert torch.allclose(output, cnn.outer(torch.relu(cnn.inner(torch.cat(maxima)))), atol=1e-6)


@pytest.mark.parametrize("width", [8, 11])
def test_char_lstm_equals_a_loop(width):
    torch.manual_seed(0)
    char_lstm = CharLstm(SIZES)
    outputs = char_lstm(pad(WORDS, width))
    hidden = SIZES.char_hidden
    for output, word in zip(outputs, WORDS, strict=True):
        states, _ = char_lstm.lstm(char_lstm.embed(torch.tensor([word])))  # [1, C, 2H]
        assert torch.allclose(output, torch.cat([states[0, -1, :hidden], states[0, 0, hidden:]]), atol=1e-6)


@pytest.mark.parametrize("char_encoder", [None, CharCnn, CharLstm])
def test_single_post_equals_padded_batch(char_encoder):
    torch.manual_seed(0)
    encoder = WordEncoder(SIZES, char_encoder and char_encoder(SIZES), 0.5).eval()
    posts = [[2, 3, 4, 5], [19], [7, 1]]
    word_ids, mask = pad(posts, 6), torch.zeros(3, 6, dtype=torch.bool)
    char_ids = torch.zeros(3, 6, 10, dtype=torch.long)
    for row, post in enumerate(posts):
        mask[row, : len(post)] = True
        char_ids[row, : len(post), :8] = pad(WORDS, 8)[: len(post)]
    batched = encoder(word_ids, char_ids, mask)
    assert batched.shape == (3, 6, encoder.width)
    assert not batched[~mask].any()
    for row, post in enumerate(posts):
        single = encoder(torch.tensor([post]), pad(WORDS, 8)[None, : len(post)], mask[row : row + 1, : len(post)])
        assert torch.allclose(batched[row, : len(post)], single[0], atol=1e-6)
        vectors = encoder.embed(torch.tensor(post))
        if char_encoder:
            vectors = torch.cat([vectors, encoder.spelling(pad(WORDS, 8)[: len(post)])], 1)
        assert torch.allclose(single, encoder.lstm(vectors[None])[0], atol=1e-6)


@pytest.mark.parametrize("forget", [0.0, 0.5, 1.0])
def test_training_replaces_rare_words_with_the_given_probability(forget):
    torch.manual_seed(0)
    sizes = LstmConfig.from_dict({**SIZES.to_dict(), "forget": forget})
    encoder = WordEncoder(sizes, None, 0.0)
    mask = torch.ones(2000, 1, dtype=torch.bool)
    no_characters = torch.empty(0)

    def share_unknown(word_id: int) -> float:
        word_ids = torch.full((2000, 1), word_id)
        unknown = encoder.eval()(torch.tensor([[UNKNOWN_ID]]), no_characters, mask[:1])[0]
        states = encoder.train()(word_ids, no_characters, mask)
        return float(torch.isclose(states, unknown).all(2).float().mean())

    assert share_unknown(sizes.rare) == pytest.approx(forget, abs=0.05)
    assert share_unknown(sizes.words - 1) == pytest.approx(forget, abs=0.05)
    assert share_unknown(sizes.rare - 1) == 0, "frequent words are never replaced"


def test_padding_embeddings_have_zero_gradients():
    torch.manual_seed(0)
    encoder = WordEncoder(SIZES, CharCnn(SIZES), 0.0)
    mask = torch.tensor([[True, True], [True, False]])
    char_ids = torch.tensor([[[2, 3], [4, 0]], [[5, 0], [0, 0]]])
    encoder(torch.tensor([[2, 3], [4, 0]]), char_ids, mask).sum().backward()
    for embed in (encoder.embed, encoder.spelling.embed):
        assert isinstance(embed, nn.Embedding)
        assert not embed.weight.grad[0].any()
        assert embed.weight.grad[2].any()


@pytest.mark.parametrize("sizes", [None, {}, {"words": 3}, {**SIZES.to_dict(), "color": 1}])
def test_config_rejects_missing_or_unknown_sizes(sizes):
    assert LstmConfig.from_dict(SIZES.to_dict()).to_dict() == SIZES.to_dict()
    with pytest.raises(ModelError, match="not of an LSTM recognizer"):
        LstmConfig.from_dict(sizes)
