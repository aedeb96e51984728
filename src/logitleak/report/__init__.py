"""The report of a run: one HTML file, its figures and its grids, built from the run folder alone."""

from logitleak.report.parts.load import ReportError
from logitleak.report.run.build import build, verdict
from logitleak.report.sweep.build import build_sweep

__all__ = ["ReportError", "build", "build_sweep", "verdict"]
