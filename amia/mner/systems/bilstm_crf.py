"""BiLSTM-CRF (Huang et al. 2015): words only, no image, no pretrained encoder.

The original also reads spelling features and gazetteers, which comparisons on Twitter omit. Words keep their case here,
since without characters nothing else indicates a name.
"""

import math

from torch import nn
from transformers import initialization as init

from amia.mner.config import LstmConfig, RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import CRF
from amia.mner.layers.word_encoder import CharCnn, CharLstm, WordEncoder
from amia.mner.model import Recipe, RecognizerModel, RecognizerOutput

__all__ = ["BilstmCrf"]


class BilstmCrf(RecognizerModel):
    """Word vectors -> BiLSTM -> CRF."""

    input_unit = "words"
    recipe = Recipe(batch=16, epochs=30, lr_encoder=1e-3, lr_new=1e-3)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        sizes = LstmConfig.from_dict(config.words)
        self.words = WordEncoder(sizes, self.make_char_encoder(sizes), config.dropout)
        self.classifier = nn.Linear(self.words.width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    @staticmethod
    def make_char_encoder(sizes: LstmConfig) -> CharCnn | CharLstm | None:
        """Return the encoder of the words' characters; None: words only."""
        return None

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions from words, and from characters if the system has a character encoder."""
        return self.make_output(batch, self.classifier(self.words(batch.word_ids, batch.char_ids, batch.word_mask)))

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize as Ma and Hovy: `initializer_range` suits deep encoders with LayerNorm and is too small here."""
        if isinstance(module, nn.Embedding):
            bound = math.sqrt(3 / module.embedding_dim)
            init.uniform_(module.weight, -bound, bound)
            # A slice does not carry the mark of loaded weights, so check it on the whole tensor.
            if not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[0])  # padding
        elif isinstance(module, nn.Linear | nn.Conv1d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)
