"""Encoders as their layers around them need them."""

import pytest
import torch
from transformers import BertConfig, ElectraConfig

from amia.errors import ModelError
from amia.mner.layers.text_encoder import TextEncoder

SHAPE = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 8,
}


def test_states_and_pooled_vector():
    torch.manual_seed(0)
    pieces, mask = torch.tensor([[1, 5, 2], [1, 2, 0]]), torch.tensor([[True, True, True], [True, True, False]])
    plain = TextEncoder(BertConfig(**SHAPE).to_dict(), 0.1).eval()
    assert plain(pieces, mask)[1] is None
    assert not any("pooler" in name for name, _ in plain.named_parameters())
    pooled = TextEncoder(BertConfig(**SHAPE).to_dict(), 0.1, pooled=True).eval()
    states, vector = pooled(pieces, mask)
    dense = pooled.encoder.pooler.dense
    assert torch.allclose(vector, torch.tanh(states[:, 0] @ dense.weight.T + dense.bias), atol=1e-6)
    # Dropout is of the states, not of the vector.
    dropping = pooled.train()
    for part in dropping.encoder.modules():
        part.training = False
    assert torch.equal(dropping(pieces, mask)[1], vector)
    assert (dropping(pieces, mask)[0] == 0).any()


def test_an_encoder_without_a_pooler():
    settings = ElectraConfig(embedding_size=16, **SHAPE).to_dict()
    assert TextEncoder(settings, 0.1).width == 16
    with pytest.raises(ModelError, match="electra encoder has no pooler"):
        TextEncoder(settings, 0.1, pooled=True)


def test_as_wide_as_the_layers_around_it():
    made = TextEncoder(BertConfig(**SHAPE, dtype="bfloat16").to_dict(), 0.1)
    assert {weights.dtype for weights in made.parameters()} == {torch.float32}
