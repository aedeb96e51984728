"""A deployed federation without a network: the clients of a Flower app, asked one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from logitleak import config as configs
from logitleak.deploy.arrays import KIND, decode, encode
from logitleak.deploy.client import Client
from logitleak.deploy.config import DeployConfig, flat, of_run, parse
from logitleak.deploy.folders import client_folder, divide
from logitleak.deploy.told import Told
from logitleak.federation.answers import Shape
from logitleak.types import Absence, Payload

Spoil = Callable[[int, str, int, Payload], Payload | Absence]


def deployment(values: dict[str, Any], folder: Path) -> DeployConfig:
    """What everybody is told of a simulation's federation, once its data are divided into folders."""
    config = configs.parse(values)
    divide(config, folder / "data")
    return parse(flat(of_run(config, folder / "data", folder / "run")))


def carried(value: Tensor) -> Tensor:
    """A tensor as it is after it was written down and read."""
    shape = Shape(value.dtype, tuple(value.shape))
    return decode(encode(value), KIND, shape, shape)


def faithful(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
    return answer


class Loopback:
    """Every client is made anew for every message, as Flower does, and keeps its model in between."""

    def __init__(self, config: DeployConfig, spoil: Spoil = faithful) -> None:
        self._config, self._spoil = config, spoil
        self._kept: dict[int, dict[str, Tensor]] = {}
        self.clients = config.federation.clients

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload | Absence]:
        answers: dict[int, Payload | Absence] = {}
        for k in range(self.clients) if only is None else only:
            client = Client(self._config, client_folder(self._config.client_data, k), k)
            try:
                payload, model = client.answer(action, round, message or Payload(), self._kept.get(k, {}))
            except Told as told:
                answers[k] = Absence(f"failed: {told}")
                continue
            self._kept[k] = {name: carried(value) for name, value in model.items()}
            answers[k] = self._spoil(round, action, k, payload)
        return answers
