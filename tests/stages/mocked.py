"""What tests of the server's own federation begin with: what a server knows, and a run's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from logitleak import config as configs
from logitleak import registry
from logitleak.seeds import derive
from logitleak.stages.cast import Cast, cast
from logitleak.types import Knowledge, PublicData

SETTINGS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "identity": lambda clients, classes: {},
    "iid": lambda clients, classes: {},
    "dirichlet": lambda clients, classes: {"alpha": 0.3},
    "quantity": lambda clients, classes: {},
    "overlap": lambda clients, classes: {"clients": min(2, clients)},
    "shards": lambda clients, classes: {"classes": -(-classes // clients)},
}
"""What each partition is asked for, so that so many classes can be divided among so many clients."""

WAYS = [
    (partition, unit)
    for partition in registry.names("partition")
    for unit in ("person", "person-at-client", "image")
    if (partition, unit) != ("identity", "person-at-client")
]
"""Every partition with every unit that a run may have with it."""


def knowledge(one_domain: bool, classes: int = 32, images: int = 6, targets: int | None = None) -> Knowledge:
    """What a server knows where the first classes are targets: their public images are of the other domain alone, those
    of everybody else of both. With one domain all classes are targets, and all images are sensitive."""
    labels = torch.arange(classes).repeat_interleave(images)
    pixels = torch.randint(0, 256, (len(labels), 3, 16, 16), dtype=torch.uint8, generator=derive(0, "test"))
    if one_domain:
        return Knowledge(
            PublicData(pixels, labels, torch.ones(len(labels), dtype=torch.bool)),
            torch.arange(targets or classes),
            classes,
        )
    wanted = targets or classes // 4
    sensitive = (torch.arange(len(labels)) % 2 == 0) & (labels >= wanted)
    return Knowledge(PublicData(pixels, labels, sensitive), torch.arange(wanted), classes)


def configured(
    clients: int = 2, unit: str = "person", one_domain: bool = False, **data: Any
) -> configs.Config:
    section = {"protocol": "one-domain"} if one_domain else {}
    return configs.parse(
        {
            "device": "cpu",
            "data": {**section, **data},
            "federation": {"clients": clients, "rounds": 2, "batch": 16},
            "game": {"design": "twins", "unit": unit},
        }
    )


def played(known: Knowledge, config: configs.Config, seed: int = 7) -> Cast:
    found = cast(known, config, seed)
    assert isinstance(found, Cast), found
    return found
