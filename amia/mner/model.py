"""Base class of all systems: a `PreTrainedModel` that maps a batch of posts to emissions and per-post losses."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch
from amia.mner.layers.decoders import CRF, SoftmaxDecoder
from amia.mner.layers.visual_encoder import VisualEncoder

__all__ = ["Recipe", "RecognizerModel", "RecognizerOutput", "gather_first_subwords"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Default hyperparameters of a system; the published values if there are any."""

    batch: int = 32
    """Posts per optimizer step."""
    epochs: int = 24
    lr_encoder: float = 5e-5
    """Learning rate of pretrained weights."""
    lr_new: float = 1e-4
    """Learning rate of randomly initialized layers."""


@dataclass(slots=True)
class RecognizerOutput:
    """Result of a forward pass."""

    emissions: Tensor
    """float [B, W, L]: input of the decoder."""
    losses: dict[str, Tensor] = field(default_factory=dict)
    """Name -> float32 [B], already weighted; empty if the batch has no labels. Losses are kept per post so that their
    mean over a global batch does not depend on how it was split among workers."""

    def total(self) -> Tensor:
        """Return the training loss of each post, float32 [B]."""
        return torch.stack(list(self.losses.values())).sum(0)


class RecognizerModel(PreTrainedModel):
    """Base class of every system.

    A subclass builds its layers, calls `post_init()` at the end of its constructor and implements `forward`. The names
    of its layers are the names of the saved weights: renaming one breaks every saved model.
    """

    config_class = RecognizerConfig
    config: RecognizerConfig
    decoder: CRF | SoftmaxDecoder
    visual: VisualEncoder
    """Only if `reads_images`."""

    input_unit: ClassVar[Literal["subwords", "words"]] = "subwords"
    """Text input: subwords of a pretrained encoder, or words and characters of a vocabulary."""
    reads_images: ClassVar[bool] = False
    loss_names: ClassVar[tuple[str, ...]] = ("tags",)
    """Names of the terms of the loss."""
    recipe: ClassVar[Recipe] = Recipe()

    def forward(self, batch: Batch) -> RecognizerOutput:
        """Compute emissions, and losses if the batch has labels."""
        raise NotImplementedError

    def pretrained_parameter_names(self) -> set[str]:
        """Return the names of the pretrained parameters that are fine-tuned."""
        prefixes = ("text.encoder.", "visual.backbone.")
        return {
            name for name, parameter in self.named_parameters() if name.startswith(prefixes) and parameter.requires_grad
        }

    def make_output(self, batch: Batch, emissions: Tensor, **extra_losses: Tensor) -> RecognizerOutput:
        """Return emissions with the decoder's loss as `tags` and `extra_losses` by name, if the batch has labels."""
        if batch.labels is None:
            return RecognizerOutput(emissions)
        tags = self.decoder.loss(emissions, batch.labels, batch.word_mask)
        return RecognizerOutput(emissions, {"tags": tags, **extra_losses})

    def encode_images(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return regions [B, 49, C] and pooled vectors [B, C]: those of the batch, or else the backbone's.

        Both are exactly zero for a post without an image, for any pixels.
        """
        if batch.regions is not None and batch.pooled is not None:
            regions, pooled = batch.regions, batch.pooled
        else:
            regions, pooled = self.visual(batch.pixel_values)
        no_image = ~batch.has_image
        return regions.masked_fill(no_image[:, None, None], 0.0), pooled.masked_fill(no_image[:, None], 0.0)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, CRF):
            for parameter in module.parameters(recurse=False):
                init.uniform_(parameter, -0.1, 0.1)
        else:
            super()._init_weights(module)


def gather_first_subwords(states: Tensor, first_subwords: Tensor) -> Tensor:
    """Select the state of each word's first subword: states [B, S, H], indices [B, W] -> [B, W, H]."""
    return states.gather(1, first_subwords.unsqueeze(2).expand(-1, -1, states.shape[2]))
