"""What the confidence gap asks models for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak.config import parse
from logitleak.metrics import confidence
from logitleak.stages.simulation import Simulation


@pytest.mark.parametrize("game", ["none", "twins"])
def test_clients_see_their_own_private_images_alone(
    tmp_path: Path, tiny_config: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, game: str
) -> None:
    """The numbers against all outputs of all models, of which most are thrown away."""
    compute, compared = Simulation.confidence, []

    def watched(self: Simulation) -> dict[str, Any]:
        seen: dict[int, list[int]] = {}
        hooks = []
        for group in self.groups:
            for k, model in zip(group.clients, group.bank.models, strict=True):
                note = seen.setdefault(k, [])
                hooks.append(model.register_forward_hook(lambda m, x, y, note=note: note.append(len(x[0]))))
        found = compute(self)
        for hook in hooks:
            hook.remove()
        truth, public = self.split.truth, self.split.public
        mine = [(truth.owners == k) & self.used for k in sorted(seen)]
        assert [sum(seen[k]) for k in sorted(seen)] == [len(public) + int(own.sum()) for own in mine]
        outputs = {
            k: logits
            for group in self.groups
            for k, logits in zip(group.clients, group.bank.predict_each(truth.images), strict=True)
        }
        private = torch.cat([confidence.entropy(outputs[k][own]) for k, own in enumerate(mine)])
        told = torch.cat(
            [confidence.entropy(l) for g in self.groups for l in g.bank.predict_each(public.images)]  # noqa: E741
        )
        server = confidence.entropy(self.server.bank.predict(truth.images)[0])[self.used]
        classes = self.split.num_classes
        assert found["client_private"] == confidence.histogram(private, classes)
        assert found["client_public"] == confidence.histogram(told, classes)
        assert found["server_private"] == confidence.histogram(server, classes)
        compared.append(found)
        return found

    monkeypatch.setattr(Simulation, "confidence", watched)
    config = {**tiny_config(targets=4), "attacks": {}, "game": {"design": game}}
    logitleak.run(config, tmp_path / "run")
    assert len(compared) == parse(config).game.simulations
