"""Settings of a recognizer's parts. Apart from them, so that reading settings does not import torch."""

from pydantic import Field

from amia.utils.config import Dtype, StrictModel

__all__ = ["EncoderSettings", "PredictionSettings", "RecognizerSettings"]


class EncoderSettings(StrictModel):
    """A pretrained encoder."""

    model: str
    """Its name at the Hugging Face hub, or a folder with config and safetensors."""
    revision: str | None = None
    """Commit at the hub. None: the newest."""


class RecognizerSettings(StrictModel):
    """What a new recognizer starts from."""

    text: EncoderSettings = EncoderSettings(model="google-bert/bert-base-cased")
    """The text encoder (BERT family)."""
    visual: EncoderSettings = EncoderSettings(model="microsoft/resnet-152")
    """The visual encoder: a ResNet of any depth."""
    train_visual: bool = False
    """Whether the ResNet learns too. A frozen one computes each image's features once, not once an epoch."""
    crf_constraints: bool = True
    """Whether the CRF knows that BIO2 allows no `I-X` after anything but `B-X` and `I-X`. Published systems do not."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of the states that leave the encoder. None: the system's own (0.1; 0.5 for the LSTM family)."""
    vectors: str | None = None
    """Word vectors for the LSTM family: a text file as GloVe or word2vec writes it. None: random ones."""


class PredictionSettings(StrictModel):
    """How a finished recognizer is run."""

    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`."""
    dtype: Dtype = "auto"
    """Precision of the forward pass; weights stay float32. `auto`: float32 on the CPU, bfloat16 on a GPU (float16 where
    that has none)."""
    micro_batch: int = Field(default=64, ge=1)
    """Posts a forward pass; memory against speed. Part of the predictions' identity, since it moves the last bits."""
