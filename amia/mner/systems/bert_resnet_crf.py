"""BERT-ResNet-CRF: the text attends to the image's 49 regions once, and a CRF reads both.

No public system has this name. The closest published code is an ablation of MAF: states H of BERT, regions V through
one linear layer, X = one cross-attention block with queries H and keys V, labels from [H; X]. It is implemented here:
UMT without span detection, image-to-text path and gate.
"""

import torch
from torch import nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import AttentionBlock
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import RecognizerModel, RecognizerOutput, gather_first_subwords

__all__ = ["BertResnetCrf"]


class BertResnetCrf(RecognizerModel):
    """Subwords and regions -> one cross-attention block -> CRF."""

    reads_images = True

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.project = nn.Linear(self.visual.width, width)
        self.look = AttentionBlock(width, self.text.heads, self.text.inner, config.dropout)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions from text and image."""
        states, _ = self.text(batch.input_ids, batch.attention_mask)  # H [B, S, H]
        regions, _ = self.encode_images(batch)
        attended = self.look(states, self.project(regions), has_context=batch.has_image)  # X [B, S, H]
        words = gather_first_subwords(torch.cat([states, attended], 2), batch.first_subwords)
        return self.make_output(batch, self.classifier(words))
