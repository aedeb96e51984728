"""The report of a run: one HTML file, its figures and its grids, built from the run folder alone; and those of a sweep,
of an audit and of defenses."""

from logitleak.report.audit.build import audit_findings, build_audit
from logitleak.report.defend.build import build_defend
from logitleak.report.parts.load import ReportError
from logitleak.report.run.build import build, verdict
from logitleak.report.sweep.build import build_sweep

__all__ = ["ReportError", "audit_findings", "build", "build_audit", "build_defend", "build_sweep", "verdict"]
