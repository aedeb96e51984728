"""The report of a sweep: its tables and figures, from the sweep's folder alone."""

from __future__ import annotations

from pathlib import Path


def build_sweep(sweep: Path) -> Path:
    """Write ``SWEEP/report.html``; return its path."""
    page = Path(sweep) / "report.html"
    page.write_text("<!doctype html><title>sweep</title>", encoding="utf-8")
    return page
