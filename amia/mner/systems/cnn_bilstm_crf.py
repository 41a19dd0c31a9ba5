"""CNN-BiLSTM-CRF (Ma and Hovy 2016): words, and a convolution over their characters."""

from amia.mner.config import LstmConfig
from amia.mner.layers.word_encoder import CharCnn
from amia.mner.systems.bilstm_crf import BilstmCrf

__all__ = ["CnnBilstmCrf"]


class CnnBilstmCrf(BilstmCrf):
    """`BilstmCrf` with a character CNN."""

    @staticmethod
    def make_char_encoder(sizes: LstmConfig) -> CharCnn:
        """Return a convolution over characters."""
        return CharCnn(sizes)
