"""Registry of the systems. Each is one file, whose docstring lists how it deviates from the published code."""

from importlib import import_module

from amia.errors import SettingsError
from amia.mner.model import RecognizerModel

__all__ = ["SYSTEMS", "get_system"]

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
"""Name of a system -> module in this package, and class."""


def get_system(name: str) -> type[RecognizerModel]:
    """Return the class of a system. Raises SettingsError for an unknown name."""
    if name not in SYSTEMS:
        raise SettingsError(f"unknown recognizer {name!r}: choose one of {', '.join(SYSTEMS)}")
    module_name, _, class_name = SYSTEMS[name].partition(":")
    system: type[RecognizerModel] = getattr(import_module(f"amia.mner.systems.{module_name}"), class_name)
    return system
