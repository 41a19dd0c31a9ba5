"""Test `TextEncoder`: states, pooler and precision."""

import pytest
import torch
from transformers import BertConfig, ElectraConfig

from amia.errors import ModelError
from amia.mner.layers.text_encoder import TextEncoder

SIZES = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 8,
}


def test_states_and_pooled_vector():
    torch.manual_seed(0)
    input_ids, mask = torch.tensor([[1, 5, 2], [1, 2, 0]]), torch.tensor([[True, True, True], [True, True, False]])
    plain = TextEncoder(BertConfig(**SIZES).to_dict(), 0.1).eval()
    assert plain(input_ids, mask)[1] is None
    assert not any("pooler" in name for name, _ in plain.named_parameters())
    pooled = TextEncoder(BertConfig(**SIZES).to_dict(), 0.1, pooled=True).eval()
    states, vector = pooled(input_ids, mask)
    dense = pooled.encoder.pooler.dense
    assert torch.allclose(vector, torch.tanh(states[:, 0] @ dense.weight.T + dense.bias), atol=1e-6)
    # Dropout applies to the states, not to the vector.
    training = pooled.train()
    for module in training.encoder.modules():
        module.training = False
    assert torch.equal(training(input_ids, mask)[1], vector)
    assert (training(input_ids, mask)[0] == 0).any()


def test_rejects_pooling_of_encoder_without_pooler():
    settings = ElectraConfig(embedding_size=16, **SIZES).to_dict()
    assert TextEncoder(settings, 0.1).width == 16
    with pytest.raises(ModelError, match="electra encoder has no pooler"):
        TextEncoder(settings, 0.1, pooled=True)


def test_ignores_the_dtype_of_the_config():
    encoder = TextEncoder(BertConfig(**SIZES, dtype="bfloat16").to_dict(), 0.1)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
