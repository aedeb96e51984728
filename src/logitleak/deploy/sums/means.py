"""Means that clients alone decrypt: each writes them down in its own folder, and whoever audits the federation from a
client's side brings them into what the server recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from logitleak.deploy.sums.steps import CLOSED
from logitleak.errors import UserError
from logitleak.files.lock import alone
from logitleak.files.storage import TensorFile, read_tensors, write_tensors
from logitleak.wire.public import read_manifest
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import MEAN, round_folder

_FOLDER = "means"


def write_mean(folder: Path, federation: str, round: int, action: str, mean: Tensor) -> None:
    """Keep a mean of a round, float32 [N, J], in a client's folder, as ``means/FEDERATION/round-RR.safetensors``."""
    write_tensors(folder / _FOLDER / federation / f"round-{round:02d}.safetensors", {MEAN: mean})


def bring_in(run: Path, means: Path) -> Path:
    """Put the means that a client decrypted where a server would have recorded them, so that a client's view can be
    attacked.

    Args:
        run: the run folder of a server that has none.
        means: the folder that a client wrote for this federation.

    Returns:
        the run folder.

    Raises:
        UserError: the server recorded its means, or a round's is missing or of another shape.
    """
    wire = run / "wire"
    if not (wire / "manifest.json").is_file():
        raise UserError(f"{run} is no run folder of a federation; there is no wire/manifest.json in it.")
    with alone(run):
        manifest = read_manifest(wire / "manifest.json")
        if manifest.aggregation is None or manifest.aggregation.seen_by != "client":
            raise UserError(f"{run} holds what its server saw; there is nothing to bring in.")
        shape = TensorFile(wire / "public.safetensors").shape("images")[0], manifest.num_classes
        found = {t: _mean(means, t, shape) for t in range(1, manifest.rounds + 1)}
        for round, mean in found.items():
            for path in sorted(round_folder(wire, round).glob("*.safetensors")):
                _fill(path, mean, manifest.uploads.action, manifest.uploads.tensor)
        Transcript(run)
    return run


def _mean(means: Path, round: int, shape: tuple[int, int]) -> Tensor:
    path = means / f"round-{round:02d}.safetensors"
    mean = read_tensors(path).get(MEAN)
    if mean is None or mean.dtype != torch.float32 or tuple(mean.shape) != shape:
        raise UserError(
            f"{path} holds no mean of this federation, float32 {list(shape)}; give another folder."
        )
    return mean


def _fill(path: Path, mean: Tensor, uploads: str, tensor: str) -> None:
    """Put the mean into one exchange, where it was summed or sent."""
    tensors, metadata = read_tensors(path), TensorFile(path).metadata()
    scalars = _scalars(path, metadata)
    sent = scalars.pop(f"sent/{CLOSED}", None)
    name = f"sent/{sent}" if sent is not None else f"{MEAN}/{tensor}" if path.stem == uploads else None
    if name is None:
        return
    if name in tensors and not torch.equal(tensors[name], mean):
        raise UserError(f"{path} holds another mean already; take a folder to which none was brought.")
    tensors[name] = mean
    write_tensors(path, tensors, {**metadata, "scalars": json.dumps(scalars, sort_keys=True)})


def _scalars(path: Path, metadata: Mapping[str, str]) -> dict[str, object]:
    try:
        found = json.loads(metadata.get("scalars", "{}"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: its scalars cannot be read.")
    return found
