"""What is wrong with a corpus, before it costs money: `lines_of(examine(corpus, settings))`."""

from amia.doctor.duplicates import Duplicates
from amia.doctor.findings import Diagnosis, Findings, SplitCounts
from amia.doctor.render import lines_of
from amia.doctor.scan import examine

__all__ = ["Diagnosis", "Duplicates", "Findings", "SplitCounts", "examine", "lines_of"]
