"""What the federation cost in bytes, and who was missing: what metrics.json says of the exchange itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logitleak.config import FederationConfig
from logitleak.config.recorded import RecordedConfig, RunConfig
from logitleak.models import own
from logitleak.wire.transcript import Transcript

_FLOAT = 4
"""Bytes of a weight as FedAvg sends it."""


def traffic(view: Transcript, config: RunConfig, status: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes in both directions, the bytes that FedAvg would send instead, and every absence.

    Bytes are those of the tensors; what a transport adds (headers, encryption) is not counted. How an imported
    federation sent its tensors is not known, so no bytes are claimed for it.

    Args:
        view: the transcript.
        config: of the run.
        status: its ``run.json``. The sizes of the models are read from there: a run folder may come from a
            stranger, and building the models that its configuration names could run the stranger's code.
    """
    rounds = range(1, view.rounds + 1)
    return {
        "bytes": [] if isinstance(config, RecordedConfig) else _bytes(view),
        "weights": [] if isinstance(config, RecordedConfig) else _weights(view, status.get("weights")),
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


def _weights(view: Transcript, said: Any) -> list[int]:
    """What `weights_of` said when the federation ran; empty where nobody did."""
    sizes = said if isinstance(said, list) else []
    sound = len(sizes) == view.parties and all(type(size) is int and size >= 0 for size in sizes)
    return sizes if sound else []


def weights_of(f: FederationConfig, image_size: tuple[int, int], num_classes: int) -> list[int]:
    """Bytes of each client's model: what it would send in a round of FedAvg. Whoever runs a federation asks this.

    Raises:
        UserError: a model of the user's own cannot be built.
    """
    models = {name: own.outline(name, image_size, num_classes) for name in f.models}
    bytes_of = {name: _FLOAT * sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    return [bytes_of[f.model_of(client)] for client in range(f.clients)]
