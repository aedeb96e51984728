"""Transcripts of schemes that share weights: read as (old − new) / lr, and with the same suspicion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.low_rank import pack, unpack
from logitleak.files.storage import read_tensors, write_tensors
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


def steps(folder: Path, change: Callable[[int, str, Table], None] = lambda t, who, table: None) -> Path:
    """Three rounds of gradients as singular vectors, one client; the model is sent in the first alone. ``change``
    spoils what "client" or "server" sends in a round."""
    uploads = Uploads.model_validate({"action": "train", "tensor": "model", "kind": "gradients"})
    manifest = Manifest(
        format=1, scheme="fedkd", clients=1, rounds=3, num_classes=4, target_labels=[2, 3], uploads=uploads
    )
    writer = TranscriptWriter(folder / "wire", manifest, PUBLIC)
    for t in (1, 2, 3):
        sent = named(large(0)) if t == 1 else {}
        told = {who: packed(large(10 * t + place)) for place, who in enumerate(("client", "server"))}
        for who, table in told.items():
            change(t, who, table)
        scalars: dict[str, Any] = {"architecture": "cnn", "lr": 0.5, "energy": 0.9}
        writer.write(Event(t, "train", Payload(sent, scalars), {0: Payload(told["client"], {"images": 3})}))
        writer.write(Event(t, "update", Payload(told["server"], {"lr": 0.5}), {0: Payload()}))
        writer.write_own(t, torch.rand(4, 4))
        writer.commit(t)
    return folder


def large(seed: int) -> Table:
    generator = torch.Generator().manual_seed(seed)
    return {
        "head.weight": torch.rand(9, 12, generator=generator),
        "head.bias": torch.rand(9, generator=generator),
    }


def packed(table: Table) -> Table:
    return named({key: value for name, one in table.items() for key, value in pack(name, one, 0.9).items()})


def kept(seed: int) -> Table:
    """What arrives of `large`."""
    return unpack({key.removeprefix("model/"): value for key, value in packed(large(seed)).items()})


def test_a_model_that_was_stepped_along(tmp_path: Path) -> None:
    view = Transcript(steps(tmp_path))
    weights = large(0)
    for t in (1, 2, 3):
        sent = view.global_model(t)
        assert (sent.architecture, sent.lr, sent.weights.keys()) == ("cnn", 0.5, weights.keys())
        assert all(torch.equal(value, weights[name]) for name, value in sent.weights.items())
        weights = {name: value - 0.5 * kept(10 * t + 1)[name] for name, value in weights.items()}
        for name, value in view.client_gradients(0, t).items():
            torch.testing.assert_close(value, kept(10 * t)[name])
    whole = sum(value.nbytes for value in large(0).values())
    assert all(
        view.bytes_received(t)[0] == sum(v.nbytes for v in packed(large(10 * t)).values()) for t in (1, 2, 3)
    )
    assert view.bytes_received(1)[0] < whole
    assert view.bytes_sent(2)[0] < whole < view.bytes_sent(1)[0]


def spoil_at(at: int, by: str, change: Callable[[Table], None]) -> Callable[[int, str, Table], None]:
    def act(t: int, who: str, table: Table) -> None:
        if (t, who) == (at, by):
            change(table)

    return act


def left(table: Table) -> str:
    return next(key for key in table if key.endswith("/left"))


def shorter(table: Table) -> None:
    table[left(table)] = table[left(table)][:-1]


def another_rank(table: Table) -> None:
    for key in [key for key in table if "head.weight/" in key]:
        table[key.replace("head.weight/", "head.weight/1")] = table.pop(key)


def twice(table: Table) -> None:
    table["model/head.weight"] = torch.rand(9, 12)


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shorter, "left .*has shape"),
        (another_rank, "singular vectors, which are no fewer"),
        (twice, "sent in several ways"),
        (lambda table: table.pop(left(table)), "left"),
        (lambda table: table.pop("model/head.bias"), "head.bias"),
    ],
)
def test_singular_vectors_of_strangers(
    change: Callable[[Table], None], said: str, who: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        Transcript(steps(tmp_path, spoil_at(2, who, change)))


def test_what_is_missing_on_the_way_to_a_model(tmp_path: Path) -> None:
    steps(tmp_path)
    (tmp_path / "wire" / "round-02" / "update.safetensors").unlink()
    with pytest.raises(UserError, match=r"update\.safetensors"):
        Transcript(tmp_path)


def test_a_model_that_was_never_sent(tmp_path: Path) -> None:
    steps(tmp_path)
    path = tmp_path / "wire" / "round-01" / "train.safetensors"
    tensors = {name: value for name, value in read_tensors(path).items() if not name.startswith("sent/")}
    write_tensors(path, tensors)
    with pytest.raises(UserError, match="the server sent no model"):
        Transcript(tmp_path)


def with_participant(folder: Path, labels: Tensor, images: Tensor) -> Transcript:
    """The round of `write`, with what a participant holds."""
    write(folder)
    path = folder / "wire" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"participant": True}))
    write_tensors(
        folder / "wire" / "round-01" / "participant.safetensors", {"labels": labels, "images": images}
    )
    return Transcript(folder)


def test_what_a_participant_holds(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (2, 5, 3, 16, 16), dtype=torch.uint8)
    view = with_participant(tmp_path, torch.tensor([2, 3]), images)
    assert "generated" in view.provides
    labels, found = view.generated(1)
    assert labels.tolist() == [2, 3]
    assert torch.equal(found, images.float() / 255)
    assert view.actions(1) == ["train"]  # it is no message, and no bytes
    assert view.bytes_received(1) == {0: 64, 1: 64}
    assert [len(part) for part in Transcript(write(tmp_path / "none")).generated(1)] == [0, 0]


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (torch.tensor([3, 2]), torch.zeros(2, 1, 3, 16, 16, dtype=torch.uint8)),
        (torch.tensor([2.0, 3.0]), torch.zeros(2, 1, 3, 16, 16, dtype=torch.uint8)),
        (torch.tensor([2, 3]), torch.zeros(2, 1, 3, 8, 8, dtype=torch.uint8)),
        (torch.tensor([2, 3]), torch.zeros(2, 1, 3, 16, 16)),
        (torch.tensor([2, 3]), torch.zeros(1, 1, 3, 16, 16, dtype=torch.uint8)),
        (torch.tensor([2, 3]), torch.zeros(2, 0, 3, 16, 16, dtype=torch.uint8)),
    ],
)
def test_what_a_stranger_says_that_a_participant_holds(
    labels: Tensor, images: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"participant\.safetensors"):
        with_participant(tmp_path, labels, images).generated(1)
