"""The recorder behind an aggregator that hides: what it writes down, and what it refuses to hand on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
import torch

from logitleak.aggregation.secure_sum import SecureSum, SecureSumSettings
from logitleak.errors import UserError
from logitleak.federation.answers import Form, Shape
from logitleak.federation.channel import Recorder
from logitleak.schemes.fedmd import mean_logits
from logitleak.seeds import derive_bytes
from logitleak.types import Absence, Event, Payload

SHAPE = (6, 4)


class Answers:
    """Three clients with fixed answers."""

    clients = 3

    def __init__(self, answers: Mapping[int, Payload | Absence]) -> None:
        self.answers = answers

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload | Absence]:
        return self.answers


class Tape:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(event)


def form(action: str, message: Payload) -> Form:
    return Form({"logits": Shape(torch.float32, SHAPE)} if action == "upload" else {})


def logits(client: int) -> Payload:
    return Payload({"logits": torch.randn(SHAPE, generator=torch.Generator().manual_seed(client))})


def recorder(answers: Mapping[int, Payload | Absence]) -> tuple[Recorder, Tape]:
    tape = Tape()
    hiding = SecureSum(SecureSumSettings(), "logits", 3, partial(derive_bytes, 0, "recorder"))
    return Recorder(Answers(answers), tape, form, hiding=hiding), tape


def test_the_mean_alone_is_written_and_handed_on() -> None:
    channel, tape = recorder({k: logits(k) for k in range(3)})
    mean = channel.mean("upload", 1, mean_logits)
    expected = torch.stack([logits(k).tensors["logits"] for k in range(3)]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-6)
    (event,) = tape.events
    assert (event.received, event.absent) == ({}, {})
    assert event.summed is not None
    assert torch.equal(event.summed.mean.tensors["logits"], mean)
    assert event.summed.nbytes == dict.fromkeys(range(3), 4 * 6 * 4)


def test_absent_and_spoilt_answers_are_not_in_the_mean() -> None:
    spoilt = Payload({"logits": torch.full(SHAPE, torch.nan)})
    for answer in (spoilt, Absence("stayed away"), Payload()):
        channel, tape = recorder({0: logits(0), 1: answer, 2: logits(2)})
        mean = channel.mean("upload", 1, mean_logits)
        expected = (logits(0).tensors["logits"] + logits(2).tensors["logits"]) / 2
        torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-6)
        assert list(tape.events[0].absent) == [1]
        assert tape.events[0].summed is not None
        assert set(tape.events[0].summed.nbytes) == {0, 2}


def test_a_sum_of_one_is_neither_made_nor_written() -> None:
    channel, tape = recorder({0: logits(0)})
    with pytest.raises(
        UserError, match="1 of 3 clients answered upload in round 1 validly, and 2 are needed"
    ) as why:
        channel.mean("upload", 1, mean_logits)
    assert "client 1: gave no answer; client 2: gave no answer" in str(why.value)
    assert [(event.received, event.summed) for event in tape.events] == [({}, None)]


def test_a_scheme_that_asks_for_single_uploads_gets_none() -> None:
    channel, tape = recorder({k: logits(k) for k in range(3)})
    with pytest.raises(ValueError, match="must not be seen one by one"):
        channel.ask("upload", 1)
    assert tape.events == []
    silent, _ = recorder({k: Payload() for k in range(3)})
    assert len(silent.ask("digest", 1)) == 3  # answers that hold nothing are as ever
