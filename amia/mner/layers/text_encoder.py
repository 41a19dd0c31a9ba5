"""The text encoder of the BERT family: pieces to states."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedConfig

from amia.errors import ModelError

__all__ = ["TextEncoder", "pooling"]


class TextEncoder(nn.Module):
    """Any encoder of `transformers` with BERT's interface, its last layer after dropout.

    `pooled` keeps the encoder's own pooler, for systems that read a vector of the whole post. Raises ModelError where
    there is none.
    """

    def __init__(self, settings: dict[str, Any], dropout: float, *, pooled: bool = False) -> None:
        super().__init__()
        config = AutoConfig.for_model(**settings)
        self.pooled = pooled
        # Not in the precision that the encoder was once saved in, but in that of the layers around it.
        self.encoder = AutoModel.from_config(
            config, dtype=torch.get_default_dtype(), trust_remote_code=False, **pooling(config, pooled)
        )
        if pooled and getattr(self.encoder, "pooler", None) is None:
            raise ModelError(
                f"a {config.model_type} encoder has no pooler, from which this system reads a vector of the whole "
                "post: take one of BERT's kind that has"
            )
        self.dropout = nn.Dropout(dropout)
        self.width: int = config.hidden_size
        self.heads: int = config.num_attention_heads
        self.inner: int = config.intermediate_size

    def forward(self, pieces: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """States [B, P, H] of pieces long [B, P] with mask bool [B, P], and the pooled vector [B, H] where kept."""
        output = self.encoder(input_ids=pieces, attention_mask=mask.long())
        return self.dropout(output.last_hidden_state), output.get("pooler_output")


def pooling(config: PreTrainedConfig, pooled: bool) -> dict[str, bool]:
    """The argument that keeps or leaves out an encoder's pooler, where its class knows one."""
    kind: Any = MODEL_MAPPING[type(config)]
    known = inspect.signature(kind).parameters
    return {"add_pooling_layer": pooled} if "add_pooling_layer" in known else {}
