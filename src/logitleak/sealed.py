"""The sealed folder of a run: the truth, on disk. Only the federation writes it; only evaluation reads it."""

from __future__ import annotations

from pathlib import Path

from logitleak.errors import UserError
from logitleak.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.truth import GroundTruth

_FIELDS = ("images", "labels", "owners", "held_images", "held_labels", "public_labels")


def write_truth(folder: Path, truth: GroundTruth) -> None:
    """Write ``truth.safetensors`` and ``names.json``."""
    write_tensors(folder / "truth.safetensors", {name: getattr(truth, name) for name in _FIELDS})
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
    return GroundTruth(**{name: tensors[name] for name in _FIELDS}, names=read_json(folder / "names.json"))
