"""Build the page of an audit from ``audit.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logitleak.formats import AuditFile
from logitleak.report.audit.findings import Finding, findings
from logitleak.report.parts.load import ReportError, read_required
from logitleak.report.parts.render import render, write


def build_audit(run: Path) -> Path:
    """Write ``RUN/audit.html``; return its path.

    Raises:
        ReportError: ``audit.json`` is missing or unreadable, or the page cannot be written.
    """
    from logitleak.report.audit import page

    html = render("audit.html.j2", page.context(read_audit(run)))
    target = Path(run) / "audit.html"
    try:
        write(target, html.encode())
    except OSError as problem:
        raise ReportError(f"the report cannot be written to {target}: {problem.strerror}") from None
    return target


def audit_findings(run: Path) -> list[Finding]:
    """What the page says of every question.

    Raises:
        ReportError: ``audit.json`` is missing or unreadable.
    """
    return findings(read_audit(run))


def read_audit(run: Path) -> dict[str, Any]:
    """``audit.json`` of a run.

    Raises:
        ReportError: it is missing or unreadable.
    """
    return read_required(Path(run) / "audit.json", "audit the run with `logitleak audit` first", AuditFile)
