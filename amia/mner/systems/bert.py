"""BERT with a softmax over each word's first subword (Devlin et al. 2019): the simplest text-only system.

Public code also trains on continuation subwords and padding, with extra labels; here only words have labels.
"""

from torch import nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import SoftmaxDecoder
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.model import RecognizerModel, RecognizerOutput, gather_first_subwords

__all__ = ["Bert"]


class Bert(RecognizerModel):
    """Subwords -> states -> independent labels."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.classifier = nn.Linear(self.text.width, len(config.labels))
        self.decoder = SoftmaxDecoder()
        self.post_init()

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions from the text alone."""
        states, _ = self.text(batch.input_ids, batch.attention_mask)
        return self.make_output(batch, self.classifier(gather_first_subwords(states, batch.first_subwords)))
