"""HBiLSTM-CRF (Lample et al. 2016): words, and an LSTM over their characters.

Without the layer that the original has between states and labels: the public systems for Twitter have none.
"""

from amia.mner.config import LstmConfig
from amia.mner.layers.word_encoder import CharLstm
from amia.mner.systems.bilstm_crf import BilstmCrf

__all__ = ["HbilstmCrf"]


class HbilstmCrf(BilstmCrf):
    """`BilstmCrf` with a character LSTM."""

    @staticmethod
    def make_char_encoder(sizes: LstmConfig) -> CharLstm:
        """Return a bidirectional LSTM over characters."""
        return CharLstm(sizes)
