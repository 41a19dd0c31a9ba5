"""Readers of corpora on disk or on the Hugging Face hub: iterate over `open_corpus(source)`."""

from amia.readers.corpus import Corpus
from amia.readers.detect import open_corpus

__all__ = ["Corpus", "open_corpus"]
