"""MAF, matching and alignment (Xu et al. 2022): an image counts as far as it matches its text.

Text states H and the encoder's pooled vector t; X = a cross block in which H queries the regions. A matching head reads
[H; X] and says with which probability p image and text belong together; X' = p * X; a gate G = sigmoid(H and X', each
through a linear layer); labels from [H; G * X']. The loss is 0.62 of the CRF's and 0.38 of the sum of two others:
matching, on own and swapped images, and alignment, in which t and the pooled image find each other within the batch.

Other than in public code:
- Labels stand on words: 9 and no states for continuation pieces, [CLS], [SEP] and padding.
- The matching head reads the mean of [H; X] over a post's pieces. Public code flattens 128 positions, padding included,
  which fixes the length and lets padding speak.
- Negatives of matching are a random quarter of the batch's posts with an image, where public code takes 16 rows by
  their place; the regions are swapped, where it swaps X, which holds the other post's text; and they are looked at in a
  pass of their own, where it lets the tagger learn from the foreign image too. Outside training nothing is swapped.
- Two posts with the same text or the same image are no negatives of each other, in matching and alignment.
- A post without an image gets no placeholder image: what its regions would add to X is exactly zero, and it takes no
  part in matching and alignment. Its X is a state of the text alone; p and G are at work as for all others.
- Two self blocks that nothing reads are left out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.attention import Block
from amia.mner.layers.decoders import CRF
from amia.mner.layers.text_encoder import TextEncoder
from amia.mner.layers.visual_encoder import VisualEncoder
from amia.mner.model import Output, Recipe, RecognizerModel, gather_first_subwords

__all__ = ["Alignment", "Maf", "alignment_losses", "differing", "swap_images"]

# MERGED FROM amia.mner.systems.maf: Cross-modal alignment as in MAF: a post's text finds its own image among those of the batch, and the other way.
# MERGED FROM amia.mner.systems.maf: Mismatched pairs of text and image out of a batch, from which MAF learns what does not belong together.
TAGS_WEIGHT = 0.62
"""Of the tagger's loss; matching and alignment have the rest each."""


class Maf(RecognizerModel):
    """Pieces and regions -> one cross block, weighed by how well they match, gated -> labels chosen together."""

    reads_images = True
    losses = ("tags", "matching", "alignment")
    recipe = Recipe(batch=64, lr_encoder=5e-5, epochs=24)

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text or {}, config.dropout, pooled=True)
        self.visual = VisualEncoder(config.visual or {}, trained=config.train_visual)
        width = self.text.width
        self.project = nn.Linear(self.visual.width, width)
        self.look = Block(width, self.text.heads, self.text.inner, config.dropout)
        self.matching = nn.Linear(2 * width, 2)
        self.align = Alignment(width, self.visual.width)
        self.gate_text, self.gate_image = nn.Linear(width, width), nn.Linear(width, width)
        self.classifier = nn.Linear(2 * width, len(config.labels))
        self.decoder = CRF(config.labels, constrained=config.crf_constraints)
        self.post_init()

    def forward(self, batch: Batch) -> Output:
        """Emissions from text and image; losses `tags`, `matching` and `alignment`."""
        states, vector = self.text(batch.pieces, batch.pieces_mask)  # H [B, P, H], t [B, H]
        features, pooled = self.features(batch)
        regions = self.project(features)
        looked = self.look(states, regions, present=batch.has_image)  # X [B, P, H]
        matches = self._matches(states, looked, batch.pieces_mask)
        emissions = self._emissions(states, matches.softmax(1)[:, 1, None, None] * looked, batch.first)
        if batch.labels is None:
            return Output(emissions)
        differ = differing(batch.pieces, pooled, batch.has_image)
        matching = self._matching_losses(batch, states, regions, matches, differ)
        tags = self.decoder.loss(emissions, batch.labels, batch.words_mask)
        beside = 1 - TAGS_WEIGHT
        alignment = self.align(vector, pooled, differ)
        return Output(
            emissions, {"tags": TAGS_WEIGHT * tags, "matching": beside * matching, "alignment": beside * alignment}
        )

    def _emissions(self, states: Tensor, weighed: Tensor, first: Tensor) -> Tensor:
        """[B, W, L] from H and X' [B, P, H]."""
        texts, images = gather_first_subwords(states, first), gather_first_subwords(weighed, first)
        gate = torch.sigmoid(self.gate_text(texts) + self.gate_image(images))
        emissions: Tensor = self.classifier(torch.cat([texts, gate * images], 2))
        return emissions

    def _matches(self, states: Tensor, looked: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, 2] of mismatch and match, from H and X [B, P, H]."""
        joined = torch.cat([states, looked], 2).masked_fill(~mask.unsqueeze(2), 0.0)
        logits: Tensor = self.matching(joined.sum(1) / mask.sum(1, keepdim=True))
        return logits

    def _matching_losses(
        self, batch: Batch, states: Tensor, regions: Tensor, matches: Tensor, differ: Tensor
    ) -> Tensor:
        """Cross-entropy of each post's match, float32 [B]: with its own image, or in training with a swapped one."""
        kinds = torch.ones_like(batch.has_image, dtype=torch.long)
        if self.training:
            posts, others = swap_images(batch.has_image)
            foreign = self.look(states[posts], regions[others])
            matches = matches.index_copy(0, posts, self._matches(states[posts], foreign, batch.pieces_mask[posts]))
            kinds[posts] = 1 - differ[posts, others].long()
        return F.cross_entropy(matches.float(), kinds, reduction="none").masked_fill(~batch.has_image, 0.0)


TEMPERATURE = 0.179
TEXT_TO_IMAGE = 0.7
"""Weight of text -> image; the rest is image -> text."""


class Alignment(nn.Module):
    """Texts [B, H] and pooled images [B, C] through two layers each to vectors of width H that are compared."""

    def __init__(self, width: int, visual_width: int) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.image = nn.Sequential(nn.Linear(visual_width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, texts: Tensor, images: Tensor, compared: Tensor) -> Tensor:
        """`alignment_losses` of both."""
        return alignment_losses(self.text(texts), self.image(images), compared)


def alignment_losses(texts: Tensor, images: Tensor, compared: Tensor) -> Tensor:
    """Float32 [B]: how badly each of vectors `texts` [B, H] and `images` [B, H] finds its partner by cosine.

    `compared` bool [B, B], symmetric: which other posts are negatives of a post. One that has none loses exactly 0.
    """
    with torch.autocast(texts.device.type, enabled=False):
        similar = (
            F.normalize(texts.float(), dim=1) @ F.normalize(images.float(), dim=1).T / TEMPERATURE
        )  # [text, image]
    own = torch.eye(len(compared), dtype=torch.bool, device=compared.device)
    similar = similar.masked_fill(~(compared | own), float("-inf"))
    to_image, to_text = (similar.log_softmax(way).diagonal() for way in (1, 0))
    return -(TEXT_TO_IMAGE * to_image + (1 - TEXT_TO_IMAGE) * to_text)


SHARE = 8
"""One in so many posts with an image in each half of the swap: together a quarter of them."""


def swap_images(has_image: Tensor) -> tuple[Tensor, Tensor]:
    """Places [N] of a random quarter of the posts with an image, and whose image each gets instead.

    From `has_image` bool [B]. Two halves swap, so that a second swap puts everything back. N is even, and 0 where
    there are fewer than 8 images. Draws from torch's random state.
    """
    places = has_image.nonzero().squeeze(1)
    half = len(places) // SHARE
    chosen = places[torch.randperm(len(places), device=places.device)[: 2 * half]]
    return chosen, chosen.roll(half)


def differing(pieces: Tensor, pooled: Tensor, has_image: Tensor) -> Tensor:
    """Bool [B, B]: pairs of posts with an image that differ in both text and image.

    From pieces long [B, P] and images [B, C]. A repost or a repeated image matches no worse than one's own.
    """
    return has_image[:, None] & has_image & ~_equal(pieces) & ~_equal(pooled.detach())


def _equal(rows: Tensor) -> Tensor:
    """Bool [B, B]: which of the rows [B, N] are equal."""
    number: Tensor = rows.unique(dim=0, return_inverse=True)[1]  # [B]
    return number[:, None] == number
