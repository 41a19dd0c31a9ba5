"""What all systems are: a `PreTrainedModel` from a batch of posts to emissions, a decoder, and losses a post."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import CRF, Softmax
from amia.mner.layers.visual_encoder import VisualEncoder

__all__ = ["Output", "Recipe", "RecognizerModel", "gather_first_subwords"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a system is trained unless asked otherwise; the published values where there are any."""

    batch: int = 32
    """Posts an optimizer step."""
    epochs: int = 24
    lr_encoder: float = 5e-5
    """Learning rate of pretrained weights."""
    lr_new: float = 1e-4
    """Learning rate of layers that start from nothing."""


@dataclass(slots=True)
class Output:
    """What a forward pass gives."""

    emissions: Tensor
    """float [B, W, L]: what the decoder reads."""
    losses: dict[str, Tensor] = field(default_factory=dict)
    """Float32 [B] each, by name, weighted as they are summed; empty where the batch has no labels. Losses are kept post
    by post so that their mean over a global batch does not depend on how it was cut among workers."""

    def total(self) -> Tensor:
        """The training loss of each post, float32 [B]."""
        return torch.stack(list(self.losses.values())).sum(0)


class RecognizerModel(PreTrainedModel):
    """Base of every system. A system builds its layers, ends its constructor in `post_init()`, and says `forward`."""

    config_class = RecognizerConfig
    config: RecognizerConfig
    decoder: CRF | Softmax
    visual: VisualEncoder
    """Only where `reads_images`."""

    family: ClassVar[Literal["pieces", "words"]] = "pieces"
    """What it reads of a text: word pieces of a pretrained encoder, or words and characters of a vocabulary."""
    reads_images: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("tags",)
    """Names of the parts of its loss."""
    recipe: ClassVar[Recipe] = Recipe()

    def forward(self, batch: Batch) -> Output:
        """Emissions, and losses where the batch has labels. Each system has its own."""
        raise NotImplementedError

    def encoder_parameters(self) -> set[str]:
        """Names of the weights that come pretrained and are trained on."""
        pretrained = ("text.encoder.", "visual.backbone.")
        return {name for name, each in self.named_parameters() if name.startswith(pretrained) and each.requires_grad}

    def output(self, batch: Batch, emissions: Tensor, **more: Tensor) -> Output:
        """With the decoder's loss as `tags`, and further losses by name, where the batch has labels."""
        if batch.labels is None:
            return Output(emissions)
        return Output(emissions, {"tags": self.decoder.loss(emissions, batch.labels, batch.words_mask), **more})

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Regions [B, 49, C] and pooled [B, C]: those that came with the batch, else the backbone's.

        Exactly zero for a post without an image, whatever its pixels are.
        """
        if batch.regions is not None and batch.pooled is not None:
            regions, pooled = batch.regions, batch.pooled
        else:
            regions, pooled = self.visual(batch.pixels)
        gone = ~batch.has_image
        return regions.masked_fill(gone[:, None, None], 0.0), pooled.masked_fill(gone[:, None], 0.0)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, CRF):
            for weights in module.parameters(recurse=False):
                init.uniform_(weights, -0.1, 0.1)
        else:
            super()._init_weights(module)


def gather_first_subwords(states: Tensor, first: Tensor) -> Tensor:
    """The states [B, W, H] of each word's first piece, from states [B, P, H] of all pieces."""
    return states.gather(1, first.unsqueeze(2).expand(-1, -1, states.shape[2]))
