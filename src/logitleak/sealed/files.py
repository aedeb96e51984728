"""The sealed folder of a run: the truth and the game's coins, on disk. Only the federation writes it; only evaluation
reads it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.sealed.game import Design, Game, Unit
from logitleak.sealed.truth import GroundTruth

_FIELDS = ("images", "labels", "owners", "held_images", "held_labels", "public_labels")


def write_truth(folder: Path, truth: GroundTruth) -> None:
    """Write ``truth.safetensors`` and ``names.json``."""
    tensors = {name: getattr(truth, name) for name in _FIELDS}
    if truth.designated is not None:
        tensors["designated"] = truth.designated
    write_tensors(folder / "truth.safetensors", tensors)
    write_json(folder / "names.json", list(truth.names))


def read_truth(folder: Path) -> GroundTruth:
    """Read them back.

    Raises:
        UserError: a file is missing or damaged.
    """
    path = folder / "truth.safetensors"
    tensors = read_tensors(path)
    for name in _FIELDS:
        if name not in tensors:
            raise UserError(f'{path} holds no tensor called "{name}".')
    return GroundTruth(
        **{name: tensors[name] for name in _FIELDS},
        names=read_json(folder / "names.json"),
        designated=tensors.get("designated"),
    )


def write_game(folder: Path, game: Game) -> None:
    """Write ``game.json``: who is in in which world."""
    write_json(
        folder / "game.json",
        {
            "format": 1,
            "design": game.design,
            "unit": game.unit,
            "units": game.units.tolist(),
            "strata": game.strata.tolist(),
            "coins": game.coins.tolist(),
            **({} if game.rows is None else {"rows": game.rows.tolist()}),
            **({} if game.share is None else {"share": game.share}),
        },
    )


def read_game(folder: Path) -> Game | None:
    """Read it back; None where no game was played.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / "game.json"
    if not path.exists():
        return None
    found = read_json(path)
    try:
        design, unit = found["design"], found["unit"]
        if design not in get_args(Design) or unit not in get_args(Unit):
            raise ValueError(f"unknown design or unit: {design}, {unit}")
        units, strata = (torch.tensor(found[name], dtype=torch.int64) for name in ("units", "strata"))
        rows = torch.tensor(found["rows"], dtype=torch.int64) if "rows" in found else None
        coins = torch.tensor(found["coins"], dtype=torch.bool)
        return Game(design, units, strata, coins, unit, rows, found.get("share"))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: {error}.") from None
