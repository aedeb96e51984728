"""Clients that are late, die, come back or send rubbish: every scheme goes on with the rest, and the record says who
was missing and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from three_clients import CLASSES, OPTIMIZATION, ROUNDS, SIDE, world

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.federation.bank import ModelBank
from logitleak.federation.channel import ClientGroup, InProcessChannel, Recorder, TooFewClients
from logitleak.federation.rounds import play
from logitleak.schemes.base import ClientContext, Scheme, Server
from logitleak.types import MODEL_KINDS, Absence, Payload
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads
from quick_schemes import quick

Spoil = Callable[[int, str, int, Payload], Payload | Absence]
"""(round, action, client, its answer) to what arrives."""


class Unreliable:
    """A transport that loses or garbles answers."""

    def __init__(self, channel: InProcessChannel, spoil: Spoil) -> None:
        self._channel, self._spoil = channel, spoil
        self.clients = channel.clients

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload | Absence]:
        answers = self._channel.ask(action, round, message)
        return {k: self._spoil(round, action, k, answer) for k, answer in answers.items()}


def federate(name: str, folder: Path, spoil: Spoil, minimum: int = 1) -> Transcript:
    """Two rounds with three clients, recorded."""
    scheme_class = registry.load("scheme", name)
    scheme: Scheme = scheme_class(scheme_class.Settings(**quick(name)))
    public, data = world(3)
    optimization = OPTIMIZATION
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0, 1, 2], optimization, 9)
    channel = InProcessChannel(scheme, [ClientGroup(bank, [0, 1, 2], data)], ClientContext(public))
    server = Server(ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], optimization, 9), public)
    action, tensor = scheme.uploads
    manifest = Manifest(
        format=1, scheme=name, clients=3, rounds=ROUNDS, num_classes=CLASSES, target_labels=[0, 1],
        uploads=Uploads(action=action, tensor=tensor, kind=scheme.upload_kind),
    )  # fmt: skip
    writer = TranscriptWriter(folder / "wire", manifest, public)
    form = partial(scheme.form, public=len(public), num_classes=CLASSES)
    recorder = Recorder(Unreliable(channel, spoil), writer, form, minimum)
    list(play(scheme, recorder, server, writer, ROUNDS))
    return Transcript(folder)


def faithful(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
    return answer


def garbled(change: Callable[[torch.Tensor], torch.Tensor]) -> Spoil:
    """Client 1 changes every tensor that it sends."""

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if client != 1:
            return answer
        return Payload({name: change(value) for name, value in answer.tensors.items()}, answer.scalars)

    return spoil


RUBBISH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "NaN": lambda x: x * torch.nan,
    "another shape": lambda x: x.flatten()[None, None],
    "fewer rows": lambda x: x[:-1] if x.dim() else x[None],
    "more rows": lambda x: torch.cat([x, x]) if x.dim() else x[None],
    "another type": lambda x: x.to(torch.float16),
    "infinite": lambda x: x + torch.inf,
    "a wall of zeros": lambda x: torch.zeros(1).expand(10**12),
}


@pytest.mark.parametrize("name", registry.names("scheme"))
class TestEveryScheme:
    def test_nobody_is_missing_by_default(self, name: str, tmp_path: Path) -> None:
        view = federate(name, tmp_path, faithful, minimum=3)
        assert all(view.absent(t) == {} for t in range(ROUNDS + 1))
        assert not (tmp_path / "wire" / "round-00").exists()

    @pytest.mark.parametrize("kind", RUBBISH)
    def test_rubbish_is_left_out(self, name: str, kind: str, tmp_path: Path) -> None:
        """The others go on exactly as they would without the garbler."""
        view = federate(name, tmp_path / "a", garbled(RUBBISH[kind]))
        away = federate(
            name, tmp_path / "b", lambda t, a, k, p: Absence("away") if k == 1 and p.tensors else p
        )
        carrier = view.manifest.uploads.action
        for t in range(1, ROUNDS + 1):
            assert list(view.absent(t)) == [carrier]
            assert list(view.absent(t)[carrier]) == [1]
            torch.testing.assert_close(view.server_logits(t), away.server_logits(t), rtol=0, atol=0)
            assert view.bytes_received(t)[1] == 0
            assert view.bytes_received(t)[0] > 0

    def test_dies_and_comes_back(self, name: str, tmp_path: Path) -> None:
        """Away from the upload of round 1 on, back in the last action of that round."""
        actions: list[str] = []

        def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
            actions.append(action)
            away = client == 2 and round == 1 and action in ("upload", "train")
            return Absence("did not answer within 5 s") if away else answer

        view = federate(name, tmp_path, spoil)
        carrier = view.manifest.uploads.action
        assert view.absent(1) == {carrier: {2: "did not answer within 5 s"}}
        assert view.absent(2) == {}
        if view.manifest.uploads.kind in MODEL_KINDS:
            assert view.client_gradients(2, 1) == {}
            assert view.client_gradients(2, 2)
        else:
            rows, values = view.client_logits(2, 1)
            assert rows.shape == (0,)
            assert values.shape == (0, CLASSES)
            assert len(view.client_logits(2, 2)[0]) == len(view.client_logits(0, 2)[0])

    def test_too_few(self, name: str, tmp_path: Path) -> None:
        """The message is one line, and says who and why."""

        def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
            return Absence("was\nkilled") if client and round == 2 else answer

        with pytest.raises(
            TooFewClients, match="1 of 3 clients answered .* in round 2 .* 2 are needed"
        ) as caught:
            federate(name, tmp_path, spoil, minimum=2)
        assert "client 1: was killed; client 2: was killed" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert (tmp_path / "wire" / "round-01").is_dir()

    def test_attacks_work_on_it(self, name: str, tmp_path: Path) -> None:
        def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
            return Absence("never came") if client == 0 else answer

        view = federate(name, tmp_path, spoil)
        kind = "gradients" if view.manifest.uploads.kind in MODEL_KINDS else "ridge"
        settings = {"steps": 2} if kind == "gradients" else {}
        *_, (_, result) = create(kind, settings).replay(view)
        assert not (result.chosen == 0).any()
        assert result.images.isfinite().all()


def test_everybody_missing_before_the_first_round(tmp_path: Path) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("late") if round == 0 and client == 1 else answer

    view = federate("fedmd", tmp_path, spoil)
    assert view.absent(0) == {"transfer": {1: "late"}}
    assert view.absent(1) == {}


def test_a_client_without_any_reply_is_absent(tmp_path: Path) -> None:
    class Lossy(Unreliable):
        def ask(
            self, action: str, round: int, message: Payload | None = None
        ) -> Mapping[int, Payload | Absence]:
            answers = dict(super().ask(action, round, message))
            del answers[1]
            return answers

    public, data = world(3)
    scheme = registry.load("scheme", "fedmd")
    made = scheme(scheme.Settings())
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0, 1, 2], OPTIMIZATION, 9)
    channel = InProcessChannel(made, [ClientGroup(bank, [0, 1, 2], data)], ClientContext(public))
    events = []

    class Sink:
        def write(self, event: object) -> None:
            events.append(event)

    form = partial(made.form, public=len(public), num_classes=CLASSES)
    answers = Recorder(Lossy(channel, faithful), Sink(), form).ask("upload", 1)
    assert sorted(answers) == [0, 2]
    assert events[0].absent == {1: "gave no answer"}


@pytest.mark.parametrize("said", ['{"7": "no such client"}', "[1]", '{"x": "y"}', "{", '{"1": 3}'])
def test_a_strangers_list_of_absent_clients(said: str, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from logitleak.errors import UserError

    federate("fedmd", tmp_path, faithful)
    path = tmp_path / "wire" / "round-01" / "upload.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"absent": said})
    with pytest.raises(UserError, match="absent"):
        Transcript(tmp_path)


def test_absent_and_present_at_once(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from logitleak.errors import UserError

    federate("fedmd", tmp_path, faithful)
    path = tmp_path / "wire" / "round-01" / "upload.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"absent": '{"1": "away"}'})
    with pytest.raises(UserError, match="client-1 is said to be absent, and has sent"):
        Transcript(tmp_path)


def test_a_transcript_that_ends_before_its_time(tmp_path: Path) -> None:
    federate("fedmd", tmp_path, faithful)
    writer = TranscriptWriter(tmp_path / "wire", Transcript(tmp_path).manifest, world(3)[0])
    (tmp_path / "wire" / "round-03.partial").mkdir()
    writer.finish(1)
    view = Transcript(tmp_path)
    assert view.rounds == 1
    assert sorted(p.name for p in (tmp_path / "wire").glob("round-*")) == ["round-01"]
