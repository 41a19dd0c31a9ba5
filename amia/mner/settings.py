"""Settings of a recogniser's parts. Apart from them, so that reading settings does not import torch."""

from pydantic import Field

from amia.strict import Strict

__all__ = ["EncoderSettings", "RecogniserSettings"]


class EncoderSettings(Strict):
    """A pretrained encoder."""

    model: str
    """Its name at the Hugging Face hub, or a folder with config and safetensors."""
    revision: str | None = None
    """Commit at the hub. None: the newest."""


class RecogniserSettings(Strict):
    """What a new recogniser starts from."""

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
