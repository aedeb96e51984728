"""Transcripts of schemes that share weights: read as (old − new) / lr, and with the same suspicion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.types import Event, Payload, PublicData
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads

Table = dict[str, Tensor]
PUBLIC = PublicData(torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.arange(4), torch.arange(4) < 2)


def model(seed: int) -> Table:
    generator = torch.Generator().manual_seed(seed)
    return {
        "head.weight": torch.rand(4, 3, generator=generator),
        "head.bias": torch.rand(4, generator=generator),
    }


def named(table: Table) -> Table:
    return {f"model/{name}": value for name, value in table.items()}


def write(
    folder: Path, kind: str = "weights", change: Callable[[Table], None] = lambda t: None, lr: float = 0.5
) -> Path:
    """One round, two clients; ``change`` spoils what client 1 sends."""
    uploads = Uploads.model_validate({"action": "train", "tensor": "model", "kind": kind})
    manifest = Manifest(
        format=1, scheme="fedavg", clients=2, rounds=1, num_classes=4, target_labels=[2, 3], uploads=uploads
    )
    writer = TranscriptWriter(folder / "wire", manifest, PUBLIC)
    tables = {0: model(1), 1: model(2)}
    change(tables[1])
    sent = Payload(named(model(0)), {"architecture": "cnn", "lr": lr})
    writer.write(Event(1, "train", sent, {k: Payload(named(t), {"images": 3}) for k, t in tables.items()}))
    writer.write_own(1, torch.rand(4, 4))
    writer.commit(1)
    return folder


def test_gradients_are_differences_over_the_rate(tmp_path: Path) -> None:
    view = Transcript(write(tmp_path))
    assert view.provides == {"gradients", "server_logits", "labels"}
    sent = view.global_model(1)
    assert (sent.architecture, sent.lr) == ("cnn", 0.5)
    for name, value in view.client_gradients(1, 1).items():
        torch.testing.assert_close(value, (model(0)[name] - model(2)[name]) / 0.5)
    assert view.bytes_received(1) == {0: 64, 1: 64}


def test_gradients_as_they_were_sent(tmp_path: Path) -> None:
    view = Transcript(write(tmp_path, kind="gradients"))
    for name, value in view.client_gradients(0, 1).items():
        assert torch.equal(value, model(1)[name])


def spoil(name: str, value: Tensor | None) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        if value is None:
            del table[name]
        else:
            table[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("head.bias", None), 'no tensor called "client-1/model/head.bias"'),
        (spoil("head.bias", torch.rand(5)), r"head.bias of client 1 has shape \[5\]; \[4\] is needed"),
        (spoil("head.bias", torch.zeros(4, dtype=torch.int64)), "has type I64"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, change: Callable[[Table], None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Transcript(write(tmp_path, change=change))


def test_a_value_that_is_no_number(tmp_path: Path) -> None:
    view = Transcript(write(tmp_path, change=spoil("head.bias", torch.full((4,), torch.nan))))
    view.client_gradients(0, 1)
    with pytest.raises(UserError, match="client 1 in round 1 holds 4 values that are NaN"):
        view.client_gradients(1, 1)


@pytest.mark.parametrize("lr", [0.0, -1.0])
def test_a_rate_that_cannot_be(tmp_path: Path, lr: float) -> None:
    with pytest.raises(UserError, match="does not say architecture and learning rate"):
        Transcript(write(tmp_path, lr=lr)).global_model(1)


def test_parameters_that_were_not_sent_out_are_ignored(tmp_path: Path) -> None:
    view = Transcript(write(tmp_path, change=spoil("extra", torch.rand(2))))
    assert set(view.client_gradients(1, 1)) == {"head.weight", "head.bias"}
