"""From a source on disk or on a hub to posts as they stand there: `open_corpus(source)` and iterate."""

from amia.readers.corpus import Corpus
from amia.readers.detect import open_corpus

__all__ = ["Corpus", "open_corpus"]
