"""Test `AttentionBlock` against torch's attention."""

import torch
import torch.nn.functional as F
from torch import nn

from amia.mner.layers.attention import AttentionBlock


def make_block() -> AttentionBlock:
    torch.manual_seed(0)
    block = AttentionBlock(16, 4, 24, dropout=0.1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn(parameter.shape) / 3)
    return block.eval()


def expected_output(
    block: AttentionBlock, queries: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([block.query.weight, block.key.weight, block.value.weight]))
        attention.in_proj_bias.copy_(torch.cat([block.query.bias, block.key.bias, block.value.bias]))
        attention.out_proj.load_state_dict(block.output.state_dict())
    update, _ = attention(queries, context, context, key_padding_mask=~mask)
    return expected_feed_forward(block, queries + update)


def expected_feed_forward(block: AttentionBlock, residual_sum: torch.Tensor) -> torch.Tensor:
    """Compute the layers after attention."""
    first, second = block.after_attention, block.after_feed_forward
    states = F.layer_norm(residual_sum, (16,), first.weight, first.bias, 1e-12)
    hidden = states @ block.widen.weight.T + block.widen.bias
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2  # GELU
    return F.layer_norm(
        states + hidden @ block.narrow.weight.T + block.narrow.bias, (16,), second.weight, second.bias, 1e-12
    )


def make_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4, [True, False, True] + [False] * 4])
    return torch.randn(3, 5, 16), torch.randn(3, 7, 16), mask


def test_equals_multihead_attention():
    block, (queries, context, mask) = make_block(), make_inputs()
    assert torch.allclose(block(queries, context, mask), expected_output(block, queries, context, mask), atol=1e-5)
    all_true = torch.ones_like(mask)
    assert torch.allclose(block(queries, context), expected_output(block, queries, context, all_true), atol=1e-5)


def test_masked_context_has_no_effect():
    block, (queries, context, mask) = make_block(), make_inputs()
    changed = torch.where(mask[:, :, None], context, torch.full_like(context, 9.0))
    assert torch.equal(block(queries, context, mask), block(queries, changed, mask))


def test_missing_context_contributes_exactly_zero():
    block, (queries, context, _) = make_block(), make_inputs()
    has_context = torch.tensor([True, False, True])
    output = block(queries, context, has_context=has_context)
    assert torch.equal(output[has_context], block(queries, context)[has_context])
    assert torch.allclose(output[1], expected_feed_forward(block, queries[1]), atol=1e-5)
    assert not torch.allclose(output[1], block(queries, context)[1], atol=0.1)
    context[1] = 1e6
    assert torch.equal(output, block(queries, context, has_context=has_context))


def test_missing_context_has_zero_gradients():
    block, (queries, context, _) = make_block().train(), make_inputs()
    for parameter in block.parameters():
        parameter.grad = None
    context.requires_grad_()
    block(queries, context, has_context=torch.zeros(3, dtype=torch.bool)).square().sum().backward()
    assert (context.grad == 0).all()
    for layer in (block.query, block.key, block.value, block.output):
        assert (layer.weight.grad == 0).all()
        assert (layer.bias.grad == 0).all()
    assert (block.widen.weight.grad != 0).any()


def test_empty_batch():
    assert make_block()(torch.zeros(0, 5, 16), torch.zeros(0, 7, 16)).shape == (0, 5, 16)
