"""BiLSTM-CRF (Huang et al. 2015): words alone, no image, no pretrained encoder.

The original also reads spelling features and gazetteers, which no comparison on Twitter gives it. Words keep their case
here, because without characters nothing else tells a name.
"""

import math

from torch import nn
from transformers import initialization as init

from amia.mner.config import LstmConfig, RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import CRF
from amia.mner.layers.word_encoder import CharCnn, CharLstm, WordEncoder
from amia.mner.model import Output, Recipe, RecognizerModel

__all__ = ["BilstmCrf"]


class BilstmCrf(RecognizerModel):
    """Word vectors -> BiLSTM -> labels chosen together."""

    family = "words"
    recipe = Recipe(batch=16, epochs=30, lr_encoder=1e-3, lr_new=1e-3)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        sizes = LstmConfig.of(config.words)
        self.words = WordEncoder(sizes, self.spelling(sizes), config.dropout)
        self.classifier = nn.Linear(self.words.width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    @staticmethod
    def spelling(sizes: LstmConfig) -> CharCnn | CharLstm | None:
        """What reads the characters of words; nothing here."""
        return None

    def forward(self, batch: Batch) -> Output:
        """Emissions from words, and from characters where the system reads them."""
        return self.output(batch, self.classifier(self.words(batch.words, batch.chars, batch.words_mask)))

    def _init_weights(self, module: nn.Module) -> None:
        """As in Ma and Hovy: `initializer_range`, made for deep encoders with LayerNorm, is far too little here."""
        if isinstance(module, nn.Embedding):
            bound = math.sqrt(3 / module.embedding_dim)
            init.uniform_(module.weight, -bound, bound)
            if not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[0])  # padding; a slice does not know that its weights were loaded
        elif isinstance(module, nn.Linear | nn.Conv1d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)
