"""The registry of recognizers: a name, and the one file that it stands for."""

from importlib import import_module

from amia.errors import SettingsError
from amia.mner.model import RecognizerModel

__all__ = ["SYSTEMS", "system_of"]

SYSTEMS = {
    "bilstm-crf": "bilstm_crf:BilstmCrf",
    "cnn-bilstm-crf": "cnn_bilstm_crf:CnnBilstmCrf",
    "hbilstm-crf": "hbilstm_crf:HbilstmCrf",
    "bert": "bert:Bert",
    "bert-crf": "bert_crf:BertCrf",
    "bert-resnet-crf": "bert_resnet_crf:BertResnetCrf",
    "umt": "umt:Umt",
    "maf": "maf:Maf",
}
"""Name of a system -> file in this folder, and its class."""


def system_of(name: str) -> type[RecognizerModel]:
    """The class of a system. Raises SettingsError for a name that is none."""
    if name not in SYSTEMS:
        raise SettingsError(f"no recognizer {name!r}: there are {', '.join(SYSTEMS)}")
    file, _, kind = SYSTEMS[name].partition(":")
    found: type[RecognizerModel] = getattr(import_module(f"amia.mner.systems.{file}"), kind)
    return found
