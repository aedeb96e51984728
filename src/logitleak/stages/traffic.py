"""What the federation cost in bytes, and who was missing: what metrics.json says of the exchange itself."""

from __future__ import annotations

from typing import Any

import torch

from logitleak import registry
from logitleak.config import Config
from logitleak.transcript import Transcript

_FLOAT = 4
"""Bytes of a weight as FedAvg sends it."""


def traffic(view: Transcript, config: Config) -> dict[str, Any]:
    """Bytes in both directions, the bytes that FedAvg would send instead, and every absence.

    Bytes are those of the tensors; what a transport adds (headers, encryption) is not counted.
    """
    rounds = range(1, view.rounds + 1)
    return {
        "bytes": [
            {"round": round, "client": client, "received": received, "sent": sent}
            for round in rounds
            for (client, received), sent in zip(
                view.bytes_received(round).items(), view.bytes_sent(round).values(), strict=True
            )
        ],
        "weights": _weights(view, config),
        "absent": [
            {"round": round, "action": action, "client": client, "reason": reason}
            for round in (0, *rounds)
            for action, missing in view.absent(round).items()
            for client, reason in missing.items()
        ],
    }


def _weights(view: Transcript, config: Config) -> list[int]:
    """Bytes of each client's model: what it would send in a round of FedAvg."""
    models = config.federation.models
    size, classes = view.knowledge.public.image_size, view.knowledge.num_classes
    with torch.device("meta"):  # shapes alone: nothing is allocated
        made = {name: registry.load("model", name)(size, classes) for name in models}
    bytes_of = {name: _FLOAT * sum(p.numel() for p in model.parameters()) for name, model in made.items()}
    return [bytes_of[models[client % len(models)]] for client in range(view.clients)]
