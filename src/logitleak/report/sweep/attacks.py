"""Table 1 of the paper, measured: every attack with what it needs, and whether what it shows is the private images'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitleak.report.parts.words import percent, size
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.paper import TABLE1
from logitleak.report.sweep.pooling import Value, ordered, pooled
from logitleak.report.sweep.tables import shown

NEEDS = {"gradients": "weights or gradients", "logits": "outputs on the public set"}

HEADS = (
    "needs", "gradient-free", "success without the images", "leak", "knowledge-decoupling", "SSIM", "owner named",
    "bytes a client and round", "seconds",
)  # fmt: skip

DECOUPLED = 0.5
"""Which share of what comes back must be due to the private images."""


def attack_tables(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A table for every combination of the panels' axes: a line for every attack and combination of rows."""
    return [
        {"heading": sweep.phrase(show.panels, labels), **_table(sweep, show, group)}
        for labels, group in ordered(sweep, cells, show.panels).items()
    ]


CAPTION = (
    "Needs and gradient-free follow from what the attack asks of the transcript. Knowledge-decoupling is measured: yes "
    "where the leak’s 95% interval is above 0 and at least half of what comes back with the private images does not "
    "come back without them. Success out and leak are pooled over targets and seeds, with Wilson’s and Newcombe’s 95% "
    "intervals; seconds are of the attack, in all worlds. Below a mark: what Table 1 of the paper says."
)


def _table(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, Any]:
    axes = list(dict.fromkeys(["attack", *show.rows]))
    body = [
        {"heads": [(label, 1) for label in labels], "cells": _line(group)}
        for labels, group in ordered(sweep, cells, axes).items()
    ]
    return {"axes": axes, "heads": [[(head, 1) for head in HEADS]], "body": body, "value": "", "dense": True}


def _line(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    done = [cell for cell in cells if cell.status == "finished"]
    needs = str(done[0].row.get("needs") or "") if done else ""
    plain = str(done[0].row.get("plugin") or "") if done else ""
    paper = TABLE1.get(plain)
    out, leak, inside = pooled(done, "out"), pooled(done, "leak"), pooled(done, "accuracy")
    free = None if not done else "gradients" not in needs.split()
    return [
        _entry(
            "; ".join(text for need, text in NEEDS.items() if need in needs.split()) or None,
            paper and paper[0],
        ),
        _entry(_mark(free), paper and _paper(paper[1])),
        _entry(shown(out, "out") if out else None, interval=_span(out)),
        _entry(shown(leak, "leak") if leak else None, interval=_span(leak)),
        _entry(_mark(decoupled(leak, inside)), paper and _paper(paper[2])),
        _entry(_mean(done, "ssim", "{:.3f}")),
        _entry(_share(pooled(done, "owner_named"))),
        _entry(size(round(value.value)) if (value := pooled(done, "bytes_per_client_round")) else None),
        _entry(_mean(done, "seconds", "{:.0f}")),
    ]


def decoupled(leak: Value | None, inside: Value | None) -> bool | None:
    """Whether what comes back is the private images' doing; None where nobody can say."""
    if leak is None or inside is None or leak.trials is None:
        return None
    return leak.low > 0 and leak.value >= DECOUPLED * inside.value


def _entry(value: str | None, paper: str | None = None, interval: str = "") -> dict[str, Any]:
    return {
        "value": value, "why": "no number", "bar": None, "interval": interval, "count": "",
        "range": f"paper: {paper}" if paper else "", "partial": "", "paper": None,
    }  # fmt: skip


def _mark(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _paper(value: bool) -> str:
    return "✓" if value else "✗"


def _span(value: Value | None) -> str:
    return f"{100 * value.low:.0f}–{100 * value.high:.0f}" if value and value.trials else ""


def _share(value: Value | None) -> str | None:
    return percent(value.value) if value else None


def _mean(cells: Sequence[Cell], column: str, form: str) -> str | None:
    value = pooled(cells, column)
    return form.format(value.value) if value else None
