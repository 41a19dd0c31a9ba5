"""UMT, the unified multimodal transformer (Yu et al. 2020): text and image query each other, span detection helps.

Text states H feed two branches. Spans: a self block and a linear layer give emissions over O, B and I, trained by a
CRF of their own, and spread over the typed labels by a fixed matrix. Types: a self block S; P = a cross block in which
S queries the regions; R = a cross block in which S queries the regions after these have queried S; a gate g on P;
labels from [R; g * P]. The emissions are the mean of both branches.

Other than in public code:
- Labels stand on words. Public code adds states for continuation pieces, [CLS], [SEP] and padding, 13 for types and 7
  for spans; here they are 9 and 3, and both CRFs may know what BIO2 allows.
- Only the first pieces of words ask, in every block whose answers only the classifiers read; all pieces are there to
  be looked at. Nothing else than those answers was ever read, so this saves time alone.
- The image's side asks over the real pieces and nothing is padded to 128.
- A post without an image gets no placeholder image: what its regions would add to P and R is exactly zero, and so is
  every gradient through them. P and R are then states of the text alone, of which the gate still chooses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import Block
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import Output, Recipe, RecognizerModel, gather_first_subwords

__all__ = ["Umt", "conversion"]

SPANS = ("O", "B-SPAN", "I-SPAN")
"""Labels of span detection: as BIO2 with a single type."""
SPANS_WEIGHT = 0.5
"""Of the loss of span detection, beside 1 for the types."""
SPANS_SHARE = 0.5
"""Of the emissions: how much comes from span detection."""


class Umt(RecognizerModel):
    """Pieces and regions -> two self and three cross blocks, a gate, and span detection -> labels chosen together."""

    reads_images = True
    losses = ("tags", "spans")
    recipe = Recipe(batch=32, lr_encoder=5e-5, epochs=24)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.spans, self.types, self.look, self.ask, self.answer = (
            Block(width, self.text.heads, self.text.inner, config.dropout) for _ in range(5)
        )
        self.spans_classifier = nn.Linear(width, len(SPANS))
        self.spans_decoder = CRF(SPANS, constrained=config.crf_constraints)
        self.register_buffer("conversion", conversion(config.labels))
        self.conversion: Tensor
        self.project_keys, self.project_queries = (nn.Linear(self.visual.width, width) for _ in range(2))
        self.gate = nn.Linear(2 * width, width)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> Output:
        """Emissions from text and image; losses `tags` and `spans`."""
        states, _ = self.text(batch.pieces, batch.pieces_mask)  # H [B, P, H]
        spans = self.spans(gather_first_subwords(states, batch.first), states, batch.pieces_mask)
        spans_emissions = self.spans_classifier(spans)  # [B, W, 3]
        fused = self._fused(batch, self.types(states, states, batch.pieces_mask))
        emissions = (1 - SPANS_SHARE) * self.classifier(fused) + SPANS_SHARE * (spans_emissions @ self.conversion)
        if batch.labels is None:
            return Output(emissions)
        whole = self.conversion.argmax(0)[batch.labels]  # typed labels -> O, B, I
        loss = SPANS_WEIGHT * self.spans_decoder.loss(spans_emissions, whole, batch.words_mask)
        return self.output(batch, emissions, spans=loss)

    def _fused(self, batch: Batch, states: Tensor) -> Tensor:
        """[R; g * P] at words, [B, W, 2 H], from S [B, P, H]."""
        regions, _ = self.features(batch)
        words, present = gather_first_subwords(states, batch.first), batch.has_image
        looked = self.look(words, self.project_keys(regions), present=present)  # P [B, W, H]
        asked = self.ask(self.project_queries(regions), states, batch.pieces_mask)  # [B, 49, H]
        answered = self.answer(words, asked, present=present)  # R [B, W, H]
        gate = torch.sigmoid(self.gate(torch.cat([answered, looked], 2)))
        return torch.cat([answered, gate * looked], 2)


def conversion(labels: Sequence[str]) -> Tensor:
    """[3, L], rows O, B and I: equal shares for all labels that begin so; each row sums to 1."""
    begins = torch.tensor([[float(label[0] == span[0]) for label in labels] for span in SPANS])
    return begins / begins.sum(1, keepdim=True)
