"""Settings of a recognizer and of prediction. This module does not import torch, so that reading settings is fast."""

from pydantic import Field

from amia.utils.config import Dtype, StrictModel

__all__ = ["EncoderSettings", "PredictionSettings", "RecognizerSettings"]


class EncoderSettings(StrictModel):
    """A pretrained encoder."""

    model: str
    """Name at the Hugging Face hub, or a folder with a config and safetensors."""
    revision: str | None = None
    """Commit at the hub. None: the newest."""


class RecognizerSettings(StrictModel):
    """Initialization of a new recognizer."""

    text: EncoderSettings = EncoderSettings(model="google-bert/bert-base-cased")
    """Text encoder (BERT family)."""
    visual: EncoderSettings = EncoderSettings(model="microsoft/resnet-152")
    """Visual encoder: a ResNet of any depth."""
    train_visual: bool = False
    """Whether to train the ResNet too. A frozen one computes each image's features once instead of once per epoch."""
    crf_constraints: bool = True
    """Whether the CRF enforces BIO2: `I-X` only after `B-X` or `I-X`. Published systems do not."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability of the encoder's output states. None: the system's default (0.1; 0.5 for the LSTM family)."""
    vectors: str | None = None
    """Word vectors for the LSTM family: a text file in the format of GloVe or word2vec. None: random vectors."""


class PredictionSettings(StrictModel):
    """Settings of prediction with a trained recognizer."""

    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision of the forward pass; weights stay float32. `auto`: float32 on the CPU, bfloat16 on a GPU (float16 if it
    does not support bfloat16)."""
    micro_batch: int = Field(default=64, ge=1)
    """Posts per forward pass: speed against memory. Part of the predictions' identity, as it changes the last bits."""
