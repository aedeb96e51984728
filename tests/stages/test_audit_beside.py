"""What stands beside an audit's answers: what attacks chose, and which model is the best that nobody stole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from logitleak.files.storage import write_tensors
from logitleak.stages.audit_beside import choices
from logitleak.stages.audit_truth import Scored, judge


def chosen(folder: Path, clients: int, rounds: int) -> dict[str, Tensor]:
    """The choices of the one attack that left files there."""
    world = SimpleNamespace(attack=lambda name: folder)
    return choices(cast(Any, SimpleNamespace(attacks=lambda: ["ridge"], worlds=[world])), 0, clients, rounds)


def test_the_last_round_is_read_however_many_there_are(tmp_path: Path) -> None:
    for round in (9, 99, 100):
        write_tensors(
            tmp_path / f"round-{round:02d}.safetensors", {"scores": torch.full((2, 3), float(round))}
        )
    assert chosen(tmp_path, 2, 100)["choice of the attack ridge"].unique().tolist() == [-100.0]
    assert chosen(tmp_path, 3, 100) == {}


def test_a_client_that_gave_nothing_has_no_number(tmp_path: Path) -> None:
    """Attacks write an infinite score for it, which would be the least likely holder of all."""
    scores = torch.tensor([[0.5, 0.25], [torch.inf, torch.inf]])
    write_tensors(tmp_path / "round-01.safetensors", {"scores": scores})
    found = chosen(tmp_path, 2, 1)["choice of the attack ridge"]
    assert found[0].tolist() == [-0.5, -0.25]
    assert bool(found[1].isnan().all())


@pytest.mark.parametrize(("labels_right", "against"), [(3, "public labels"), (1, "server's own model")])
def test_a_substitute_must_beat_every_model_that_nobody_stole(labels_right: int, against: str) -> None:
    """By hand: of four images a student is right about all, f_0 about two, a student of labels about some."""
    clients = torch.tensor([[0, 1, 2, 3]])
    server = torch.tensor([[0, 1, 9, 9]])
    labels = torch.where(torch.arange(4) < labels_right, clients, 9)

    def scored(variant: str, said: Tensor) -> Scored:
        return Scored("stealing", "server", variant, "agreement", [[([0], said)]])

    beside = [scored("last round", clients), scored("public labels", labels)]
    truth = cast(Any, SimpleNamespace(predicted={"clients": clients, "server": server}))
    stolen, rival = (judge(one, truth, beside)["models"] for one in beside)
    assert stolen["against"] == against
    assert stolen["gain"]["difference"] == pytest.approx(1 - max(labels_right, 2) / 4)
    assert rival["gain"] is None
    assert rival["against"] is None
