"""Transcripts of schemes that share models: one tensor for each parameter, named ``sender/tensor/parameter``, or its
singular vectors (`logitleak.files.low_rank`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.low_rank import factors, largest_rank, split, unpack
from logitleak.files.storage import TensorFile
from logitleak.text import printable
from logitleak.types import GlobalModel
from logitleak.wire.checks import check_finite, check_tensor

UPDATE = "update"
"""The exchange in which a server that has sent its model before sends what everybody is to step along."""


def read_global_model(
    uploads: Callable[[int], TensorFile], updates: Callable[[int], TensorFile], tensor: str, round: int
) -> GlobalModel:
    """The model that clients began a round with: what the server sent out in it, or last, and then stepped along.

    Args:
        uploads: the exchange of a round that carries uploads.
        updates: the exchange of a round in which the server sent what everybody steps along; see `UPDATE`.
        tensor: what the manifest calls the uploads.
        round: which.

    Raises:
        UserError: a value is missing or not finite, or a file is damaged.
    """
    file = uploads(round)
    architecture, lr = _scalars(file).get("sent/architecture"), _rate(file)
    if not isinstance(architecture, str) or lr is None:
        raise UserError(f"{file.path} does not say architecture and learning rate of the model it sent.")
    whole = round
    while whole > 1 and not outline_of(uploads(whole), tensor):
        whole -= 1
    first = uploads(whole)
    wanted = outline_of(first, tensor)
    weights = read_model(first, "sent", tensor, f"The model sent in round {whole}", wanted)
    for t in range(whole, round):
        step = updates(t)
        if (rate := _rate(step)) is None:
            raise UserError(f"{step.path} does not say the learning rate of what was sent.")
        gradients = read_model(step, "sent", tensor, f"What was sent in round {t}", wanted)
        weights = {name: value - rate * gradients[name] for name, value in weights.items()}
    return GlobalModel(architecture, lr, weights)


def read_model(
    file: TensorFile, sender: str, tensor: str, what: str, wanted: Collection[str]
) -> dict[str, Tensor]:
    """The model, or gradients, that somebody sent in a round, float32, by parameter. What was sent as singular vectors
    is put together.

    Args:
        file: the exchange, after `check_model`.
        sender: "sent" for the server, "client-K" for a client.
        tensor: what the manifest calls the uploads.
        what: how an error calls it.
        wanted: the parameters.

    Raises:
        UserError: a value is not finite, or the file is damaged.
    """
    keys = {
        key: value for key, value in _keys(file, f"{sender}/{tensor}/").items() if split(key)[0] in wanted
    }
    values = {key: file.read(name).to(torch.float32) for key, name in sorted(keys.items())}
    for value in values.values():
        check_finite(value, what)
    found = unpack(values)
    return {name: found[name] for name in sorted(found)}


def outline_of(file: TensorFile, tensor: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the model that the server sent out in an exchange, by parameter; none where it sent none."""
    return {key: file.shape(name) for key, name in _keys(file, f"sent/{tensor}/").items()}


def check_model(
    file: TensorFile, sender: str, tensor: str, who: str, outline: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise a `UserError` unless somebody sent all parameters, each as it is or as singular vectors.

    Args:
        file: the exchange.
        sender: "sent" or "client-K".
        tensor: what the manifest calls the uploads.
        who: how an error calls the sender, and where that is.
        outline: the shapes that they must have.
    """
    prefix, ranks = f"{sender}/{tensor}/", dict[str, set[int | None]]()
    for key in _keys(file, prefix):
        name, rank, _ = split(key)
        ranks.setdefault(name, set()).add(rank)
    for name, sizes in sorted(outline.items()):
        found = ranks.get(name, {None})
        if len(found) > 1:
            raise UserError(f"{who.format(name)} was sent in several ways.")
        (rank,) = found
        parts = {name: sizes} if rank is None else {
            f"{name}/{rank}/{part}": shape for part, shape in factors(sizes, rank).items()
        }  # fmt: skip
        if rank is not None and not 0 < rank <= largest_rank(sizes):
            raise UserError(
                f"{who.format(name)} was sent as {rank} singular vectors, which are no fewer numbers."
            )
        for key, shape in parts.items():
            check_tensor(file, prefix + key, shape, who.format(printable(key)), "what was sent")


def _keys(file: TensorFile, prefix: str) -> dict[str, str]:
    """The names of a file that begin with a prefix, by the rest of them."""
    return {name.removeprefix(prefix): name for name in file.names() if name.startswith(prefix)}


def _rate(file: TensorFile) -> float | None:
    """The learning rate that the server said with a message."""
    lr = _scalars(file).get("sent/lr")
    return lr if isinstance(lr, float) and lr > 0 else None


def _scalars(file: TensorFile) -> dict[str, Any]:
    """What a message said besides tensors; empty where that is missing or damaged."""
    try:
        said = json.loads(file.metadata().get("scalars", "{}"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
