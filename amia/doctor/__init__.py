"""What is wrong with a corpus, before it costs money: `examine(corpus, settings).lines()`."""

from amia.doctor.diagnosis import Diagnosis, Findings, SplitCounts
from amia.doctor.duplicates import Duplicates
from amia.doctor.examining import examine

__all__ = ["Diagnosis", "Duplicates", "Findings", "SplitCounts", "examine"]
