"""Blocks as BERT has them (Devlin et al. 2019): attention, residual, LayerNorm; feed-forward, residual, LayerNorm.

With queries and keys of one sequence it is a self block; with keys of another modality, a cross block of UMT or MAF.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Block"]

LAYER_NORM_EPS = 1e-12


class Block(nn.Module):
    """One block of width H. `present` switches off what the context contributes, exactly, post by post."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropped = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.after_attention = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.after_feed_forward = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, context: Tensor, mask: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """[B, Q, H] from queries [B, Q, H] and context [B, K, H].

        `mask` bool [B, K]: which of the context may be looked at. `present` bool [B]: False adds nothing of the context
        to a post, whatever stands there; its queries go through the block all the same.
        """
        attended = F.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(self.key(context)),
            self._split(self.value(context)),
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropped if self.training else 0.0,
        )  # [B, heads, Q, H / heads]
        added = self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        if present is not None:
            added = added.masked_fill(~present[:, None, None], 0.0)
        states = self.after_attention(queries + added)
        fed: Tensor = self.after_feed_forward(states + self.dropout(self.narrow(F.gelu(self.widen(states)))))
        return fed

    def _split(self, states: Tensor) -> Tensor:
        """[B, N, H] -> [B, heads, N, H / heads]."""
        return states.view(*states.shape[:2], self.heads, states.shape[2] // self.heads).transpose(1, 2)
