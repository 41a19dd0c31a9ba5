"""BERT with a softmax over each word's first piece (Devlin et al. 2019): the plainest text system.

Public code trains it on continuation pieces and padding too, as labels of their own; here only words have labels.
"""

from torch import nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import Softmax
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.model import Output, RecognizerModel, gather_first_subwords

__all__ = ["Bert"]


class Bert(RecognizerModel):
    """Pieces -> states -> labels, each by itself."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.classifier = nn.Linear(self.text.width, len(config.labels))
        self.decoder = Softmax()
        self.post_init()

    def forward(self, batch: Batch) -> Output:
        """Emissions from the text alone."""
        states, _ = self.text(batch.pieces, batch.pieces_mask)
        return self.output(batch, self.classifier(gather_first_subwords(states, batch.first)))
