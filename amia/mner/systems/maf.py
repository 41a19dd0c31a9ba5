"""MAF, matching and alignment (Xu et al. 2022): an image contributes in proportion to how well it matches its text.

Text states H and the encoder's pooled vector t; X = a cross-attention block in which H attends to the regions. A
matching head reads [H; X] and predicts the probability p that image and text belong together; X' = p * X; a gate
G = sigmoid(H and X', each through a linear layer); labels from [H; G * X']. The loss is 0.62 of the CRF's and 0.38 of
the sum of two others: matching, on original and swapped images, and alignment, a contrastive loss between t and the
pooled image within the batch.

Deviations from public code:
- Only words have labels: 9, and no states for continuation subwords, [CLS], [SEP] and padding.
- The matching head reads the mean of [H; X] over a post's subwords. Public code flattens 128 positions including
  padding, which fixes the length and makes the result depend on padding.
- Negatives of matching are a random quarter of the batch's posts with an image; public code takes 16 rows by position.
  The regions are swapped; public code swaps X, which contains the other post's text. The negatives have a separate
  forward pass; in public code the tagger is trained on the swapped images too. Outside training nothing is swapped.
- Two posts with the same text or the same image are not negatives of each other, in matching and alignment.
- A post without an image gets no placeholder image: the contribution of its regions to X is exactly zero, and it is
  excluded from matching and alignment. Its X is a state of the text alone; p and G apply as for all others.
- Two self-attention blocks whose output is never used are omitted.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import AttentionBlock
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import Recipe, RecognizerModel, RecognizerOutput, gather_first_subwords

__all__ = ["Alignment", "Maf", "alignment_losses", "negative_mask", "swap_images"]

TAGS_WEIGHT = 0.62
"""Weight of the tagging loss; matching and alignment each have the rest."""
TEMPERATURE = 0.179
TEXT_TO_IMAGE_WEIGHT = 0.7
"""Weight of text -> image in the alignment loss; image -> text has the rest."""
POSTS_PER_SWAP = 8
"""One in so many posts with an image is in each half of the swap: a quarter in total."""


class Maf(RecognizerModel):
    """Subwords and regions -> one cross-attention block, weighted by the match, gated -> CRF."""

    reads_images = True
    loss_names = ("tags", "matching", "alignment")
    recipe = Recipe(batch=64, lr_encoder=5e-5, epochs=24)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout, pooled=True)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.project = nn.Linear(self.visual.width, width)
        self.look = AttentionBlock(width, self.text.heads, self.text.inner, config.dropout)
        self.matching = nn.Linear(2 * width, 2)
        self.align = Alignment(width, self.visual.width)
        self.gate_text, self.gate_image = nn.Linear(width, width), nn.Linear(width, width)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions from text and image, and the losses `tags`, `matching` and `alignment`."""
        states, text_vector = self.text(batch.input_ids, batch.attention_mask)  # H [B, S, H], t [B, H]
        features, image_vector = self.encode_images(batch)
        regions = self.project(features)
        attended = self.look(states, regions, has_context=batch.has_image)  # X [B, S, H]
        match_logits = self._match_logits(states, attended, batch.attention_mask)
        match_probability = match_logits.softmax(1)[:, 1, None, None]
        emissions = self._emissions(states, match_probability * attended, batch.first_subwords)
        if batch.labels is None:
            return RecognizerOutput(emissions)
        negatives = negative_mask(batch.input_ids, image_vector, batch.has_image)
        matching = self._matching_losses(batch, states, regions, match_logits, negatives)
        tags = self.decoder.loss(emissions, batch.labels, batch.word_mask)
        other_weight = 1 - TAGS_WEIGHT
        alignment = self.align(text_vector, image_vector, negatives)
        losses = {
            "tags": TAGS_WEIGHT * tags,
            "matching": other_weight * matching,
            "alignment": other_weight * alignment,
        }
        return RecognizerOutput(emissions, losses)

    def _emissions(self, states: Tensor, weighted: Tensor, first_subwords: Tensor) -> Tensor:
        """Return [B, W, L] from H and X' [B, S, H]."""
        texts = gather_first_subwords(states, first_subwords)
        images = gather_first_subwords(weighted, first_subwords)
        gate = torch.sigmoid(self.gate_text(texts) + self.gate_image(images))
        emissions: Tensor = self.classifier(torch.cat([texts, gate * images], 2))
        return emissions

    def _match_logits(self, states: Tensor, attended: Tensor, mask: Tensor) -> Tensor:
        """Return logits [B, 2] of mismatch and match, from H and X [B, S, H]."""
        joined = torch.cat([states, attended], 2).masked_fill(~mask.unsqueeze(2), 0.0)
        logits: Tensor = self.matching(joined.sum(1) / mask.sum(1, keepdim=True))
        return logits

    def _matching_losses(
        self, batch: Batch, states: Tensor, regions: Tensor, match_logits: Tensor, negatives: Tensor
    ) -> Tensor:
        """Compute the cross-entropy of matching, float32 [B]: with the post's image, or in training a swapped one."""
        targets = torch.ones_like(batch.has_image, dtype=torch.long)
        if self.training:
            posts, partners = swap_images(batch.has_image)
            attended = self.look(states[posts], regions[partners])
            swapped_logits = self._match_logits(states[posts], attended, batch.attention_mask[posts])
            match_logits = match_logits.index_copy(0, posts, swapped_logits)
            targets[posts] = 1 - negatives[posts, partners].long()
        losses = F.cross_entropy(match_logits.float(), targets, reduction="none")
        return losses.masked_fill(~batch.has_image, 0.0)


class Alignment(nn.Module):
    """Projects texts [B, H] and pooled images [B, C], each through two layers, to vectors of width H to compare."""

    def __init__(self, width: int, visual_width: int) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.image = nn.Sequential(nn.Linear(visual_width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, texts: Tensor, images: Tensor, negatives: Tensor) -> Tensor:
        """Return the `alignment_losses` of the projections."""
        return alignment_losses(self.text(texts), self.image(images), negatives)


def alignment_losses(texts: Tensor, images: Tensor, negatives: Tensor) -> Tensor:
    """Compute the contrastive loss between vectors `texts` [B, H] and `images` [B, H] by cosine, float32 [B].

    `negatives` bool [B, B], symmetric: the other posts that are negatives of a post. The loss of a post without
    negatives is exactly 0.
    """
    with torch.autocast(texts.device.type, enabled=False):
        similarity = (
            F.normalize(texts.float(), dim=1) @ F.normalize(images.float(), dim=1).T / TEMPERATURE
        )  # [text, image]
    positives = torch.eye(len(negatives), dtype=torch.bool, device=negatives.device)
    similarity = similarity.masked_fill(~(negatives | positives), float("-inf"))
    text_to_image, image_to_text = (similarity.log_softmax(dim).diagonal() for dim in (1, 0))
    return -(TEXT_TO_IMAGE_WEIGHT * text_to_image + (1 - TEXT_TO_IMAGE_WEIGHT) * image_to_text)


def swap_images(has_image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices [N] of a random quarter of the posts with an image, and of the posts whose images they get.

    From `has_image` bool [B]. Posts are paired: swapping twice restores the original order. N is even, and 0 if there
    are fewer than 8 images. Uses torch's random state.
    """
    indices = has_image.nonzero().squeeze(1)
    half = len(indices) // POSTS_PER_SWAP
    chosen = indices[torch.randperm(len(indices), device=indices.device)[: 2 * half]]
    return chosen, chosen.roll(half)


def negative_mask(input_ids: Tensor, pooled: Tensor, has_image: Tensor) -> Tensor:
    """Return bool [B, B]: pairs of posts with an image whose texts and images both differ.

    From subwords long [B, S] and images [B, C]. A repost or a repeated image matches as well as the original.
    """
    return has_image[:, None] & has_image & ~_equal_rows(input_ids) & ~_equal_rows(pooled.detach())


def _equal_rows(rows: Tensor) -> Tensor:
    """Return bool [B, B]: which of the rows [B, N] are equal."""
    row_ids: Tensor = rows.unique(dim=0, return_inverse=True)[1]  # [B]
    return row_ids[:, None] == row_ids
