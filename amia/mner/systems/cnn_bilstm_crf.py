"""CNN-BiLSTM-CRF (Ma and Hovy 2016): words, and a convolution over their characters."""

from amia.mner.config import LstmConfig
from amia.mner.layers.word_encoder import CharCnn
from amia.mner.systems.bilstm_crf import BilstmCrf

__all__ = ["CnnBilstmCrf"]


class CnnBilstmCrf(BilstmCrf):
    """`BilstmCrf` that sees the characters of each word at once."""

    @staticmethod
    def spelling(sizes: LstmConfig) -> CharCnn:
        """A convolution over characters."""
        return CharCnn(sizes)
