"""Transcripts of schemes that share models: one tensor for each parameter, named ``sender/tensor/parameter``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.storage import TensorFile
from logitleak.text import printable
from logitleak.types import GlobalModel
from logitleak.wire.checks import check_finite, check_tensor


def read_global_model(file: TensorFile, tensor: str, round: int) -> GlobalModel:
    """The model that the server sent out in a round.

    Raises:
        UserError: a value is missing or not finite, or the file is damaged.
    """
    said = _scalars(file)
    architecture, lr = said.get("sent/architecture"), said.get("sent/lr")
    if not isinstance(architecture, str) or not isinstance(lr, float) or not lr > 0:
        raise UserError(f"{file.path} does not say architecture and learning rate of the model it sent.")
    return GlobalModel(architecture, lr, read_model(file, "sent", tensor, f"The model sent in round {round}"))


def read_model(file: TensorFile, sender: str, tensor: str, what: str) -> dict[str, Tensor]:
    """The model that somebody sent in a round, float32, by parameter.

    Args:
        file: the exchange.
        sender: "sent" for the server, "client-K" for a client.
        tensor: what the manifest calls the uploads.
        what: how an error calls it.

    Raises:
        UserError: a value is not finite, or the file is damaged.
    """
    prefix = f"{sender}/{tensor}/"
    names = sorted(name for name in file.names() if name.startswith(prefix))
    values = {name.removeprefix(prefix): file.read(name).to(torch.float32) for name in names}
    for value in values.values():
        check_finite(value, what)
    return values


def check_models(file: TensorFile, present: Iterable[int], tensor: str, where: str) -> None:
    """Raise a `UserError` unless every client that is present sent the parameters that the server sent."""
    prefix = f"sent/{tensor}/"
    sent = {name.removeprefix(prefix) for name in file.names() if name.startswith(prefix)}
    if not sent:
        raise UserError(f"{where}: the server sent no model.")
    for k in present:
        for name in sorted(sent):
            what = f"{where}: {printable(name)} of client {k}"
            check_tensor(
                file, f"client-{k}/{tensor}/{name}", file.shape(prefix + name), what, "what was sent"
            )


def _scalars(file: TensorFile) -> dict[str, Any]:
    """What a message said besides tensors; empty where that is missing or damaged."""
    try:
        said = json.loads(file.metadata().get("scalars", "{}"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
