"""Transformer blocks as in BERT (Devlin et al. 2019): attention and feed-forward, each with residual and LayerNorm.

With queries and context of one sequence it is a self-attention block; with context of another modality it is a
cross-attention block of UMT or MAF.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["AttentionBlock"]

LAYER_NORM_EPS = 1e-12


class AttentionBlock(nn.Module):
    """One block of width H with `heads` heads and a feed-forward layer of width `inner`."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.after_attention = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.after_feed_forward = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, context: Tensor, mask: Tensor | None = None, has_context: Tensor | None = None
    ) -> Tensor:
        """Return states [B, Q, H] of queries [B, Q, H] that attend to context [B, K, H].

        `mask` bool [B, K]: True for positions of the context that may be attended to. `has_context` bool [B]: False
        makes the contribution of a post's context exactly zero for any values; its queries still go through
        the block.
        """
        attended = F.scaled_dot_product_attention(
            self._split_heads(self.query(queries)),
            self._split_heads(self.key(context)),
            self._split_heads(self.value(context)),
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.attention_dropout if self.training else 0.0,
        )  # [B, heads, Q, H / heads]
        update = self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        if has_context is not None:
            update = update.masked_fill(~has_context[:, None, None], 0.0)
        states = self.after_attention(queries + update)
        output: Tensor = self.after_feed_forward(states + self.dropout(self.narrow(F.gelu(self.widen(states)))))
        return output

    def _split_heads(self, states: Tensor) -> Tensor:
        """[B, N, H] -> [B, heads, N, H / heads]."""
        return states.view(*states.shape[:2], self.heads, states.shape[2] // self.heads).transpose(1, 2)
