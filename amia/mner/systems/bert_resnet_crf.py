"""BERT-ResNet-CRF: text queries the image's 49 regions once, and a CRF reads both.

No public system has this name. The nearest published code is an ablation of MAF: states H of BERT, regions V through
one linear layer, X = one cross block with queries H and keys V, labels from [H; X]. That is what stands here: UMT
without span detection, image-side path and gate.
"""

import torch
from torch import nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import Block
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import Output, RecognizerModel, gather_first_subwords

__all__ = ["BertResnetCrf"]


class BertResnetCrf(RecognizerModel):
    """Pieces and regions -> one cross block -> labels chosen together."""

    reads_images = True

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.project = nn.Linear(self.visual.width, width)
        self.look = Block(width, self.text.heads, self.text.inner, config.dropout)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> Output:
        """Emissions from text and image."""
        states, _ = self.text(batch.pieces, batch.pieces_mask)  # H [B, P, H]
        regions, _ = self.features(batch)
        looked = self.look(states, self.project(regions), present=batch.has_image)  # X [B, P, H]
        return self.output(batch, self.classifier(gather_first_subwords(torch.cat([states, looked], 2), batch.first)))
