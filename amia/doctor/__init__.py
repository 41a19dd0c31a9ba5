"""What is wrong with a corpus, before it costs money: `lines_of(examine(corpus, settings))`."""

from amia.doctor.diagnosis import Diagnosis, Findings, SplitCounts
from amia.doctor.duplicates import Duplicates
from amia.doctor.examining import examine
from amia.doctor.words import lines_of

__all__ = ["Diagnosis", "Duplicates", "Findings", "SplitCounts", "examine", "lines_of"]
