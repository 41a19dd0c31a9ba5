"""Check a corpus for problems before a run: `render_report(scan_corpus(corpus, settings))`."""

from amia.doctor.duplicates import Duplicates
from amia.doctor.findings import CorpusReport, Findings, SplitCounts
from amia.doctor.render import render_report
from amia.doctor.scan import scan_corpus

__all__ = ["CorpusReport", "Duplicates", "Findings", "SplitCounts", "render_report", "scan_corpus"]
