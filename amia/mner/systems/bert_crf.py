"""BERT-CRF: the text-only baseline of every multimodal system, since all of them contain it.

Public code gives the CRF extra states for continuation subwords, [CLS] and [SEP] (13 instead of 9).
"""

from amia.mner.config import RecognizerConfig
from amia.mner.layers.decoders import CRF
from amia.mner.systems.bert import Bert

__all__ = ["BertCrf"]


class BertCrf(Bert):
    """`Bert` with a CRF instead of independent labels."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()
