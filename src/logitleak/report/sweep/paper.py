"""The numbers of the paper, to stand beside ours.

Source: Hideaki Takahashi, Jingjing Liu, Yang Liu: Breaching FedMD: Image Recovery via Paired-Logits Inversion
Attack. CVPR 2023. Table 1; Tables 2 and 3: attack accuracy in percent.
"""

from __future__ import annotations

from collections.abc import Sequence

from logitleak.report.parts.load import table
from logitleak.report.sweep.load import Cell, Show, Sweep, text

DATA = ("FaceScrub", "LAG", "LFW")
SCHEMES = ("DS-FL", "FedGEMS", "FedMD")

_TABLE2 = {
    ("TBI", "1"): (87.0, 1.0, 92.5, 70.0, 0.5, 16.5, 73.5, 2.5, 2.0),
    ("PLI", "1"): (91.5, 29.0, 94.0, 71.0, 17.0, 60.0, 99.5, 91.0, 99.5),
    ("TBI", "10"): (2.0, 0.5, 7.0, 6.5, 0.0, 0.0, 17.5, 9.5, 10.0),
    ("PLI", "10"): (62.5, 20.0, 74.5, 15.0, 26.5, 63.5, 15.5, 71.5, 79.0),
}
_TABLE3 = {"client": (55.5, 57.0, 71.5), "full": (70.0, 65.5, 76.5)}

TABLE2 = {
    (data, scheme, attack, clients): numbers[len(SCHEMES) * i + j]
    for (attack, clients), numbers in _TABLE2.items()
    for i, data in enumerate(DATA)
    for j, scheme in enumerate(SCHEMES)
}
"""τ = 3, γ = 0.03; by data, scheme, attack and K."""

TABLE3 = {
    (data, q): number for q, numbers in _TABLE3.items() for data, number in zip(DATA, numbers, strict=True)
}
"""FedMD, K = 10, τ = 3, γ = 0; by data and by what the attack inverts: a client's p^k alone, or the full Q."""

_GRADIENTS, _MODELS = ("gradient", False, False), ("parameter", False, False)

TABLE1 = {
    "mi-face": ("logit or gradient", False, False),
    "tbi": ("logit", True, False),
    "dlg": _GRADIENTS, "gs": _GRADIENTS, "gradients": _GRADIENTS, "idlg": _GRADIENTS, "cpl": _GRADIENTS,
    "mgan-ai": _MODELS, "secret-revealer": _MODELS, "gan-attack": _MODELS,
    "pli": ("logit", True, True),
}  # fmt: skip
"""By attack: what it leaks from, whether it is gradient-free, whether it decouples knowledge."""

CAPTIONS = {"table2": "Table 2 (τ = 3, γ = 0.03)", "table3": "Table 3 (FedMD, K = 10, τ = 3, γ = 0)"}

_SPELLED = {
    name.lower().replace("-", ""): (kind, name)
    for kind, names in (("data", DATA), ("scheme", SCHEMES), ("attack", ("TBI", "PLI")))
    for name in names
}


def number(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> float | None:
    """What the paper has for these cells, in percent; None where they have no one place in its table."""
    found = {_look_up(show, _place(sweep, show, cell)) for cell in cells}
    return found.pop() if len(found) == 1 else None


def _look_up(show: Show, place: dict[str, str]) -> float | None:
    if show.paper == "table3":
        return TABLE3.get((place.get("data", ""), place.get("q", "")))
    return TABLE2.get(
        (place.get("data", ""), place.get("scheme", ""), place.get("attack", ""), place.get("clients", ""))
    )


def _place(sweep: Sweep, show: Show, cell: Cell) -> dict[str, str]:
    """Where a cell lies in the paper's table: by its labels, and by its federation where the grid is silent."""
    metrics = sweep.metrics(cell.federation)
    federation = table(table(metrics, "config"), "federation")
    silent = {
        "data": table(metrics, "data").get("source"),
        "scheme": federation.get("scheme"),
        "clients": federation.get("clients"),
    }
    labels = {axis: text(value) for axis, value in silent.items() if value is not None} | cell.axes
    place: dict[str, str] = {axis: labels[axis] for axis in ("clients", "q") if axis in labels}
    for axis, label in labels.items():
        name = show.paper_names.get(axis, {}).get(label, label)
        if axis in place:
            place[axis] = name
        # Of which kind a name of the paper's is says the name itself, whatever the axis is called here.
        elif name.lower().replace("-", "") in _SPELLED:
            kind, spelled = _SPELLED[name.lower().replace("-", "")]
            place[kind] = spelled
    return place
