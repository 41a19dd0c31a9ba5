"""BERT-CRF: the text-only control of every multimodal system, since all of them contain it.

Public code gives the CRF states for continuation pieces, [CLS] and [SEP] too (13 instead of 9).
"""

from amia.mner.config import RecognizerConfig
from amia.mner.layers.decoders import CRF
from amia.mner.systems.bert import Bert

__all__ = ["BertCrf"]


class BertCrf(Bert):
    """`Bert` whose labels are chosen together."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()
