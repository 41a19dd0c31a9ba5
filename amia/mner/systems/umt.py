"""UMT, the unified multimodal transformer (Yu et al. 2020): cross-attention in both directions, and span detection.

Text states H feed two branches. Spans: a self-attention block and a linear layer give emissions over O, B and I, which
are trained by a separate CRF and distributed over the typed labels by a fixed matrix. Types: a self-attention block S;
P = a cross-attention block in which S attends to the regions; R = a cross-attention block in which S attends to the
regions after these have attended to S; a gate g on P; labels from [R; g * P]. The emissions are the mean of both
branches.

Deviations from public code:
- Only words have labels. Public code adds states for continuation subwords, [CLS], [SEP] and padding, 13 for types and
  7 for spans; here there are 9 and 3, and both CRFs may enforce BIO2.
- In every block whose output only the classifiers read, the queries are the first subwords of words; all subwords
  remain in the context. The other outputs were never used, so this only saves time.
- The image side attends to the real subwords, and nothing is padded to 128.
- A post without an image gets no placeholder image: the contribution of its regions to P and R is exactly zero, and so
  is every gradient through them. P and R are then states of the text alone, which the gate still weighs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import AttentionBlock
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import Recipe, RecognizerModel, RecognizerOutput, gather_first_subwords

__all__ = ["Umt", "label_conversion_matrix"]

SPAN_LABELS = ("O", "B-SPAN", "I-SPAN")
"""Labels of span detection: BIO2 with a single type."""
SPAN_LOSS_WEIGHT = 0.5
"""Weight of the span detection loss; the weight of the tagging loss is 1."""
SPAN_EMISSION_SHARE = 0.5
"""Share of span detection in the emissions."""


class Umt(RecognizerModel):
    """Subwords and regions -> two self- and three cross-attention blocks, a gate, and span detection -> CRF."""

    reads_images = True
    loss_names = ("tags", "spans")
    recipe = Recipe(batch=32, lr_encoder=5e-5, epochs=24)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.spans, self.types, self.look, self.ask, self.answer = (
            AttentionBlock(width, self.text.heads, self.text.inner, config.dropout) for _ in range(5)
        )
        self.spans_classifier = nn.Linear(width, len(SPAN_LABELS))
        self.spans_decoder = CRF(SPAN_LABELS, constrained=config.crf_constraints)
        self.register_buffer("conversion", label_conversion_matrix(config.labels))
        self.conversion: Tensor
        self.project_keys, self.project_queries = (nn.Linear(self.visual.width, width) for _ in range(2))
        self.gate = nn.Linear(2 * width, width)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions from text and image, and the losses `tags` and `spans`."""
        states, _ = self.text(batch.input_ids, batch.attention_mask)  # H [B, S, H]
        span_states = self.spans(gather_first_subwords(states, batch.first_subwords), states, batch.attention_mask)
        span_emissions = self.spans_classifier(span_states)  # [B, W, 3]
        fused = self._fuse(batch, self.types(states, states, batch.attention_mask))
        emissions = (1 - SPAN_EMISSION_SHARE) * self.classifier(fused) + SPAN_EMISSION_SHARE * (
            span_emissions @ self.conversion
        )
        if batch.labels is None:
            return RecognizerOutput(emissions)
        span_labels = self.conversion.argmax(0)[batch.labels]  # typed labels -> O, B, I
        span_loss = SPAN_LOSS_WEIGHT * self.spans_decoder.loss(span_emissions, span_labels, batch.word_mask)
        return self.make_output(batch, emissions, spans=span_loss)

    def _fuse(self, batch: Batch, states: Tensor) -> Tensor:
        """Return [R; g * P] of words, [B, W, 2 H], from S [B, S, H]."""
        regions, _ = self.encode_images(batch)
        words, has_image = gather_first_subwords(states, batch.first_subwords), batch.has_image
        word_to_image = self.look(words, self.project_keys(regions), has_context=has_image)  # P [B, W, H]
        image_to_text = self.ask(self.project_queries(regions), states, batch.attention_mask)  # [B, 49, H]
        word_to_attended_image = self.answer(words, image_to_text, has_context=has_image)  # R [B, W, H]
        gate = torch.sigmoid(self.gate(torch.cat([word_to_attended_image, word_to_image], 2)))
        return torch.cat([word_to_attended_image, gate * word_to_image], 2)


def label_conversion_matrix(labels: Sequence[str]) -> Tensor:
    """Return [3, L], rows O, B and I: equal shares for all labels with that prefix; each row sums to 1."""
    has_prefix = torch.tensor([[float(label[0] == span_label[0]) for label in labels] for span_label in SPAN_LABELS])
    return has_prefix / has_prefix.sum(1, keepdim=True)
