"""Blocks against torch's own attention, put together by hand."""

import torch
import torch.nn.functional as F
from torch import nn

from amia.mner.layers.attention import Block


def block() -> Block:
    torch.manual_seed(0)
    made = Block(16, 4, 24, dropout=0.1)
    with torch.no_grad():
        for weights in made.parameters():
            weights.copy_(torch.randn(weights.shape) / 3)
    return made.eval()


def by_hand(made: Block, queries: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([made.query.weight, made.key.weight, made.value.weight]))
        attention.in_proj_bias.copy_(torch.cat([made.query.bias, made.key.bias, made.value.bias]))
        attention.out_proj.load_state_dict(made.output.state_dict())
    added, _ = attention(queries, context, context, key_padding_mask=~mask)
    return after(made, queries + added)


def after(made: Block, summed: torch.Tensor) -> torch.Tensor:
    """What follows attention."""
    first, second = made.after_attention, made.after_feed_forward
    states = F.layer_norm(summed, (16,), first.weight, first.bias, 1e-12)
    wide = states @ made.widen.weight.T + made.widen.bias
    wide = wide * (1 + torch.erf(wide / 2**0.5)) / 2  # GELU
    return F.layer_norm(
        states + wide @ made.narrow.weight.T + made.narrow.bias, (16,), second.weight, second.bias, 1e-12
    )


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4, [True, False, True] + [False] * 4])
    return torch.randn(3, 5, 16), torch.randn(3, 7, 16), mask


def test_against_torchs_attention():
    made, (queries, context, mask) = block(), inputs()
    assert torch.allclose(made(queries, context, mask), by_hand(made, queries, context, mask), atol=1e-5)
    everything = torch.ones_like(mask)
    assert torch.allclose(made(queries, context), by_hand(made, queries, context, everything), atol=1e-5)


def test_what_is_masked_is_not_seen():
    made, (queries, context, mask) = block(), inputs()
    other = torch.where(mask[:, :, None], context, torch.full_like(context, 9.0))
    assert torch.equal(made(queries, context, mask), made(queries, other, mask))


def test_a_context_that_is_not_present_adds_exactly_nothing():
    made, (queries, context, _) = block(), inputs()
    present = torch.tensor([True, False, True])
    found = made(queries, context, present=present)
    assert torch.equal(found[present], made(queries, context)[present])
    assert torch.allclose(found[1], after(made, queries[1]), atol=1e-5)
    assert not torch.allclose(found[1], made(queries, context)[1], atol=0.1)
    context[1] = 1e6
    assert torch.equal(found, made(queries, context, present=present))


def test_nor_does_it_in_training():
    made, (queries, context, _) = block().train(), inputs()
    for weights in made.parameters():
        weights.grad = None
    context.requires_grad_()
    made(queries, context, present=torch.zeros(3, dtype=torch.bool)).square().sum().backward()
    assert (context.grad == 0).all()
    for part in (made.query, made.key, made.value, made.output):
        assert (part.weight.grad == 0).all()
        assert (part.bias.grad == 0).all()
    assert (made.widen.weight.grad != 0).any()


def test_no_posts_at_all():
    made = block()
    assert made(torch.zeros(0, 5, 16), torch.zeros(0, 7, 16)).shape == (0, 5, 16)
