"""What the template of a sweep shows, worked out beforehand, with the figures and grids that go beside the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from logitleak.report.parts.load import table
from logitleak.report.run.page import BIBTEX, PAPER, Row, plain
from logitleak.report.sweep import record as sweep_record
from logitleak.report.sweep import sheets, strips
from logitleak.report.sweep import tables as sweep_tables
from logitleak.report.sweep.attacks import CAPTION, attack_tables
from logitleak.report.sweep.bars import bars
from logitleak.report.sweep.histograms import client_ssim, confidence
from logitleak.report.sweep.load import Cell, Show, Sweep, spelled, text
from logitleak.report.sweep.pooling import chosen, pooled_over
from logitleak.report.sweep.sharing import sharing
from logitleak.report.sweep.trade_off import trade_offs
from logitleak.text import plural


def context(sweep: Sweep) -> tuple[dict[str, Any], dict[str, str], dict[str, bytes]]:
    """Everything the template reads, the figures by name, and the grids by file name."""
    figures: dict[str, str] = {}
    grids: dict[str, bytes] = {}
    shows = sweep.show or _default(sweep)
    sections = [_section(sweep, show, index, figures, grids) for index, show in enumerate(shows, start=1)]
    known = sweep.federations()
    counts = {
        status: sum(c.status == status for c in sweep.cells) for status in ("finished", "failed", "missing")
    }
    page = {
        "title": sweep.title,
        "facts": _facts(sweep),
        "counts": counts,
        "cells": len(sweep.cells),
        "failed": sweep_record.failed(sweep),
        "nature": _nature(sweep),
        "own": "identity" if sweep.noun == "person" else sweep.noun,
        "many": plural(sweep.noun),
        "real": sweep.real,
        "has_truth": any(section["strips"] for section in sections),
        "seeds": sweep.labels("seed"),
        "sections": sections,
        "full": sweep_record.full_table(sweep),
        "rivals": sweep_record.rivals(sweep),
        "threats": sweep_record.threats(sweep),
        "tuned": sweep_record.tuned(sweep),
        "timings": sweep_record.timings(sweep),
        "plan": sweep_record.plan(sweep),
        "grids": list(grids),
        "paper": PAPER,
        "bibtex": BIBTEX,
        "version": table(sweep.metrics(known[0]), "versions").get("logitleak") if known else None,
    }
    return page, figures, grids


def _default(sweep: Sweep) -> list[Show]:
    """Without a wish: accuracy and SSIM of everything, schemes side by side."""
    varying = [axis for axis in sweep.axes if axis not in ("attack", "seed") and len(sweep.labels(axis)) > 1]
    columns = [axis for axis in varying if axis == "scheme"]
    lines = ["attack", *(axis for axis in varying if axis not in columns)]
    accuracy = Show(title="Attack accuracy", rows=lines, columns=columns)
    return [accuracy, replace(accuracy, title="Likeness to the truth", value="ssim")]


def _section(
    sweep: Sweep, show: Show, index: int, figures: dict[str, str], grids: dict[str, bytes]
) -> dict[str, Any]:
    """One wish of the sweep: its tables, its figures or its strips, or a note why there is nothing."""
    section: dict[str, Any] = {
        "index": index, "title": show.title, "kind": show.kind,
        "tables": [], "panels": [], "strips": [], "caption": "", "note": "",
    }  # fmt: skip
    unknown = [axis for axis in show.axes if axis not in sweep.axes]
    cells = chosen(
        sweep.cells, {axis: [text(label) for label in labels] for axis, labels in show.only.items()}
    )
    if unknown:
        names = ", ".join(f"“{axis}”" for axis in unknown)
        section["note"] = f"No axis is called {names}. The axes of this sweep: {', '.join(sweep.axes)}."
    elif not cells:
        section["note"] = "No cell of the grid fits what is to be shown here."
    elif show.kind == "table":
        section |= {
            "tables": sweep_tables.tables(sweep, show, cells),
            "caption": sweep_tables.caption(sweep, show, cells),
        }
    elif show.kind == "attacks":
        section |= {"tables": attack_tables(sweep, show, cells), "caption": CAPTION}
    elif show.kind == "strips":
        section |= _strips(sweep, show, cells, index, grids)
    else:
        section |= _figures(sweep, show, cells, index, figures)
    return section


def _figures(
    sweep: Sweep, show: Show, cells: Sequence[Cell], index: int, figures: dict[str, str]
) -> dict[str, Any]:
    draw: dict[str, Callable[[Sweep, Show, Sequence[Cell]], dict[str, Any]]] = {
        "bars": bars, "trade-off": trade_offs, "confidence": confidence, "client-ssim": client_ssim,
        "sharing": sharing,
    }  # fmt: skip
    if show.kind not in draw:
        return {"note": f"This version of the report knows no figure of the kind “{show.kind}”."}
    if show.kind == "trade-off" and show.size is None:
        return {"note": "A trade-off needs the axis that its dots are sized by; give it as “size”."}
    panels = []
    for name, drawn in draw[show.kind](sweep, show, cells).items():
        parts = drawn if isinstance(drawn, dict) else {"": drawn}
        for part, svg in parts.items():
            stem = "-".join(filter(None, [f"{index:02d}", slug(show.title), slug(name), part]))
            figures[unique(stem, figures)] = svg
        panels.append({"heading": name, "svgs": [Markup(svg) for svg in parts.values()]})
    if not panels:
        return {"note": "No cell has the numbers of this figure."}
    return {"panels": panels, "caption": _caption(sweep, show, cells)}


def _caption(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> str:
    if show.kind == "bars":
        return sweep_tables.caption(sweep, show, cells)
    if show.kind == "trade-off":
        named = ["attack", *show.places, str(show.size)]
        over = pooled_over(cells, named)
        return (
            f"Each dot is one value of {show.size}, written beside it; its area grows with the value. A line joins "
            "the values of a series in order; a mark without a circle is an attack that has no such setting. "
            + (f"Pooled over {' and '.join(over)}. " if over else "")
            + "Accuracy has no whiskers here; its intervals are in the tables. Compare Fig. 7 and 9 of the paper."
        )
    if show.kind == "sharing":
        return (
            "Each dot is one partition of the private data: to the right the same class is at more clients. A class is "
            "at as many clients as the exponential of the entropy of its images among them says. "
            + sweep_tables.caption(sweep, show, cells)
        )
    if show.kind == "confidence":
        return (
            "Entropy of the predictions, normalized histograms: the gap between server and clients on private images "
            "is what the attack exploits. Of several federations in a panel, the mean. Compare Fig. 3 of the paper."
        )
    over = pooled_over(cells, ["attack", *show.places])
    return (
        "How alike a client’s reconstruction of a target is to the other clients’, normalized histograms; dotted: the "
        "medians. If owners stand apart, Eq. 11 can name them. "
        + (f"Pooled over {' and '.join(over)}. " if over else "")
        + "Compare Fig. 4 of the paper."
    )


def _strips(
    sweep: Sweep, show: Show, cells: Sequence[Cell], index: int, grids: dict[str, bytes]
) -> dict[str, Any]:
    found = strips.strips(sweep, show, cells)
    if not found:
        return {"note": "No finished cell left such images."}
    placed = []
    for strip in found:
        stem = "-".join(filter(None, [f"{index:02d}", slug(show.title), slug(strip.name)]))
        name = f"{unique(stem, {file.removesuffix('.png') for file in grids})}.png"
        real = f"Images of {_really(sweep)}: share only as the terms of the data allow." if sweep.real else ""
        grids[name] = sheets.sheet(strip, show.title, real)
        placed.append({**strips.placed(strip), "grid": name})
    what = {
        "round": "the image that the attack chose (Eq. 11) after each round",
        "cell": "the image that the attack chose (Eq. 11)",
        "prior": "the image that the prior gives the attack before it sees any logits",
    }[show.strip]
    over = pooled_over(cells, show.places)
    caption = (
        f"Truth (the mean private image), the mean public image of the same label, and {what}. The targets are spread "
        "evenly over all targets in label order, none picked for its looks."
    )
    if show.strip != "prior":
        caption += " Under an image: its SSIM to the truth; ✓ rebuilt, ✗ missed, ≈ too close to public."
    if over:
        caption += f" Where several cells fit ({' and '.join(over)}), the first one is shown."
    return {"strips": placed, "caption": caption}


def _facts(sweep: Sweep) -> list[Row]:
    targets = sorted({row for cell in sweep.cells if (row := cell.row.get("targets")) is not None})
    varying = [
        (_title(axis), ", ".join(spelled(axis, label) for label in sweep.labels(axis)))
        for axis in sweep.axes
        if axis == "attack" or len(sweep.labels(axis)) > 1
    ]
    counted = [
        ("Cells", plain(len({cell.id for cell in sweep.cells}))),
        ("Federations", plain(len({cell.federation for cell in sweep.cells}))),
        ("Targets in a cell", plain(targets)),
    ]
    return [*counted, *varying]


def _title(axis: str) -> str:
    return {"attack": "Attacks", "clients": "Clients (K)", "seed": "Seeds"}.get(axis, axis)


def _nature(sweep: Sweep) -> str:
    data = [table(sweep.metrics(id), "data") for id in sweep.federations()]
    titles = dict.fromkeys(str(one.get("title") or one.get("source")) for one in data if one)
    said = f"Data: {'; '.join(titles)}. " if titles else ""
    if not data or any(one.get("synthetic") is None for one in data):
        return f"{said}The sweep does not say of all data whether they are synthetic or real."
    if sweep.real:
        return (
            f"{said}The images are real data: this file and its grids show private images of {_really(sweep)} and "
            "likenesses of them. They are as sensitive as the data; share them only as the terms of the data allow."
        )
    nobody = ": no real person is shown, and" if sweep.noun == "person" else ", and"
    return f"{said}The images are synthetic{nobody} rates on real data may differ."


def _really(sweep: Sweep) -> str:
    """Who or what real images show."""
    return "real people" if sweep.noun == "person" else f"real {plural(sweep.noun)}"


def slug(name: str) -> str:
    """A name as a part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:60]


def unique(stem: str, taken: Container[str]) -> str:
    """The stem, with a number where it is taken."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name
