"""Text encoder of the BERT family: subwords to states."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedConfig

from amia.errors import ModelError

__all__ = ["TextEncoder", "pooler_kwargs"]


class TextEncoder(nn.Module):
    """Any encoder of `transformers` with BERT's interface; its last layer after dropout.

    `pooled` keeps the encoder's pooler, for systems that read a vector of the whole post. Raises ModelError if the
    encoder has none.
    """

    def __init__(self, settings: dict[str, Any], dropout: float, *, pooled: bool = False) -> None:
        super().__init__()
        config = AutoConfig.for_model(**settings)
        self.pooled = pooled
        # In the precision of the surrounding layers, not in that of the saved encoder.
        self.encoder = AutoModel.from_config(
            config, dtype=torch.get_default_dtype(), trust_remote_code=False, **pooler_kwargs(config, pooled)
        )
        if pooled and getattr(self.encoder, "pooler", None) is None:
            raise ModelError(
                f"the {config.model_type} encoder has no pooler, but this system reads a vector of the whole post: use "
                "an encoder of the BERT family with a pooler"
            )
        self.dropout = nn.Dropout(dropout)
        self.width: int = config.hidden_size
        self.heads: int = config.num_attention_heads
        self.inner: int = config.intermediate_size

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return states [B, S, H] of subwords long [B, S] with mask bool [B, S], and a pooled vector [B, H] or None."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask.long())
        return self.dropout(output.last_hidden_state), output.get("pooler_output")


def pooler_kwargs(config: PreTrainedConfig, pooled: bool) -> dict[str, bool]:
    """Return the constructor argument that keeps or omits an encoder's pooler, if its class has one."""
    encoder_class: Any = MODEL_MAPPING[type(config)]
    parameters = inspect.signature(encoder_class).parameters
    return {"add_pooling_layer": pooled} if "add_pooling_layer" in parameters else {}
