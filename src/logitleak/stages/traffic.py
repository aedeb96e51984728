"""What the federation cost in bytes, and who was missing: what metrics.json says of the exchange itself."""

from __future__ import annotations

from typing import Any

import torch

from logitleak import registry
from logitleak.errors import UserError
from logitleak.models import own
from logitleak.recorded import RecordedConfig, RunConfig
from logitleak.transcript import Transcript

_FLOAT = 4
"""Bytes of a weight as FedAvg sends it."""


def traffic(view: Transcript, config: RunConfig) -> dict[str, Any]:
    """Bytes in both directions, the bytes that FedAvg would send instead, and every absence.

    Bytes are those of the tensors; what a transport adds (headers, encryption) is not counted. How an imported
    federation sent its tensors is not known, so no bytes are claimed for it.
    """
    rounds = range(1, view.rounds + 1)
    return {
        "bytes": [] if isinstance(config, RecordedConfig) else _bytes(view),
        "weights": [] if isinstance(config, RecordedConfig) else _weights(view, config.federation.models),
        "absent": [
            {"round": round, "action": action, "client": client, "reason": reason}
            for round in (0, *rounds)
            for action, missing in view.absent(round).items()
            for client, reason in missing.items()
        ],
    }


def _bytes(view: Transcript) -> list[dict[str, int]]:
    return [
        {"round": round, "client": client, "received": received, "sent": sent}
        for round in range(1, view.rounds + 1)
        for (client, received), sent in zip(
            view.bytes_received(round).items(), view.bytes_sent(round).values(), strict=True
        )
    ]


def _weights(view: Transcript, models: list[str]) -> list[int]:
    """Bytes of each client's model: what it would send in a round of FedAvg. Empty where a model is the user's own
    and its code is not here."""
    try:
        bytes_of = {name: _FLOAT * _parameters(name, view) for name in models}
    except UserError:
        return []
    return [bytes_of[models[client % len(models)]] for client in range(view.clients)]


def _parameters(name: str, view: Transcript) -> int:
    size, classes = view.knowledge.public.image_size, view.knowledge.num_classes
    if own.is_own(name):
        model: torch.nn.Module = own.build(name, size, classes, seed=0)
    else:
        with torch.device("meta"):  # shapes alone: nothing is allocated
            model = registry.load("model", name)(size, classes)
    return sum(p.numel() for p in model.parameters())
