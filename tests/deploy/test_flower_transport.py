"""Flower's side of the channel against a grid in memory, whose nodes are late, die, come back and lie."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from logitleak.config import FederationConfig
from logitleak.deploy.config import DeployConfig
from logitleak.stages.banks import scheme_of
from logitleak.types import Absence, Payload
from needs import require

if TYPE_CHECKING:
    from logitleak.deploy.flower import FlowerTransport

pytestmark = pytest.mark.flower
flwr = require("flwr.app")

ROWS, CLASSES = 5, 3
LOGITS = torch.arange(15.0).view(ROWS, CLASSES)


class Sent:
    """A message on its way; Flower's own can only be made inside a running app."""

    def __init__(self, content: Any, node: int, kind: str, ttl: float, group_id: str) -> None:
        self.content = content
        self.metadata = SimpleNamespace(dst_node_id=node, message_type=kind, ttl=ttl, group_id=group_id)


@pytest.fixture(autouse=True)
def _messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logitleak.deploy.flower.Message", Sent)


Node = Callable[[Any], Any]
"""What comes back to a message: a RecordDict, an Error, or None for nothing."""


class Grid:
    """Nodes by id; each answers by a function of its own."""

    def __init__(self, nodes: dict[int, Node]) -> None:
        self.nodes = nodes
        self._replies: dict[str, Any] = {}
        self.asked: list[tuple[int, str]] = []

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Any]) -> list[str]:
        ids = []
        for message in messages:
            node, number = message.metadata.dst_node_id, f"{len(self._replies)}"
            self.asked.append((node, message.metadata.message_type))
            self._replies[number] = (node, message)
            ids.append(number)
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Any]:
        node, message = self._replies[next(iter(ids))]
        if node not in self.nodes:
            return []
        content = self.nodes[node](message)
        return [] if content is None else [Reply(content)]


class Reply:
    """A message that came back."""

    def __init__(self, content: Any) -> None:
        self.content = self.error = content

    def has_error(self) -> bool:
        return isinstance(self.content, flwr.Error)


def node(client: Any, answer: Callable[[], Any] | None = None) -> Node:
    """A node that says it is this client, and answers every action alike."""

    def reply(message: Any) -> Any:
        if message.metadata.message_type == "query.hello":
            return flwr.RecordDict({"scalars": flwr.ConfigRecord({"client": client})})
        return good() if answer is None else answer()

    return reply


def good(tensor: torch.Tensor = LOGITS, name: str = "logits") -> Any:
    from logitleak.deploy import records

    return records.to_records(Payload({name: tensor}), 1)


def array(**changes: Any) -> Any:
    """An answer whose array says or holds something else."""
    true = good().array_records["tensors"]["logits"]
    said = {"dtype": true.dtype, "shape": true.shape, "stype": true.stype, "data": true.data} | changes
    return flwr.RecordDict({"tensors": flwr.ArrayRecord({"logits": flwr.Array(**said)})})


def transport(grid: Grid, clients: int = 2, timeout: float = 1.0, start: float = 0.5) -> FlowerTransport:
    from logitleak.deploy.flower import FlowerTransport

    config = DeployConfig(
        federation=FederationConfig(clients=clients), answer_timeout=timeout, start_timeout=start,
        server_data=Path("s"), client_data=Path("c"), out=Path("o"),
    )  # fmt: skip
    form = partial(scheme_of(config.federation).form, public=ROWS, num_classes=CLASSES)
    return FlowerTransport(grid, config, form, "hash")  # type: ignore[arg-type]


def reason(reply: Payload | Absence) -> str:
    assert isinstance(reply, Absence)
    return reply.reason


def test_two_good_clients() -> None:
    answers = transport(Grid({11: node(1), 10: node(0)})).ask("upload", 1)
    for k in range(2):
        found = answers[k]
        assert isinstance(found, Payload)
        assert torch.equal(found.tensors["logits"], LOGITS)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda: None, "did not answer within 1 s"),
        (lambda: flwr.Error(3, "it\nbroke"), "failed: it broke"),
        (lambda: good(name="../../etc/passwd"), "'../../etc/passwd', which nobody asked for"),
        (lambda: good(LOGITS[:4]), "is float32 [4, 3] instead of float32 [5, 3]"),
        (lambda: good(LOGITS.double()), "is float64 [5, 3] instead"),
        (lambda: array(stype="pickle"), "written as 'pickle'"),
        (lambda: array(dtype="object"), "no message uses"),
        (lambda: array(shape=(10**9, 10**9)), "instead of float32 [5, 3]"),
        (lambda: array(data=bytes(10**6)), "takes 1000000 bytes"),
        (lambda: array(data=b"\x80\x04N."), "damaged header"),
        (
            lambda: (_ for _ in ()).throw(RuntimeError("no such object")),
            "could not be fetched within 1 s (RuntimeError)",
        ),
        (lambda: "no records at all", "cannot be read (AttributeError)"),
    ],
)
def test_a_bad_answer_spoils_nobody_elses(answer: Callable[[], Any], says: str) -> None:
    answers = transport(Grid({10: node(0), 11: node(1, answer)})).ask("upload", 1)
    assert says in reason(answers[1])
    assert isinstance(answers[0], Payload)


def test_no_answer_is_left_for_the_form_to_refuse() -> None:
    empty = transport(Grid({10: node(0, flwr.RecordDict), 11: node(1)})).ask("upload", 1)
    assert empty[0] == Payload()


def test_a_node_that_dies_while_it_is_asked() -> None:
    grid = Grid({10: node(0)})

    def die() -> None:
        del grid.nodes[11]

    grid.nodes[11] = node(1, die)
    answers = transport(grid, timeout=30).ask("upload", 1)
    assert reason(answers[1]) == "lost its connection"
    assert reason(transport(grid).ask("upload", 1)[1]) == "is not connected"


def test_a_client_that_comes_back_under_another_id() -> None:
    grid = Grid({10: node(0), 11: node(1)})
    channel = transport(grid)
    grid.nodes = {10: node(0)}
    assert reason(channel.ask("upload", 1)[1]) == "is not connected"
    grid.nodes = {10: node(0), 12: node(1)}
    assert isinstance(channel.ask("upload", 2)[1], Payload)


def test_a_client_that_comes_back_under_its_old_id() -> None:
    """A registered key keeps its id, whatever its node said before, and whoever it is now."""
    grid = Grid({10: node(0), 11: node("who?")})
    channel = transport(grid)
    assert reason(channel.ask("upload", 1)[1]) == "is not connected"
    grid.nodes = {10: node(0)}
    channel.ask("upload", 2)
    grid.nodes = {10: node(0), 11: node(1)}
    assert isinstance(channel.ask("upload", 3)[1], Payload)
    grid.nodes = {}
    channel.ask("upload", 4)
    grid.nodes = {10: node(1, lambda: good(LOGITS + 1)), 11: node(0)}
    for client, found in channel.ask("upload", 5).items():
        assert isinstance(found, Payload)
        assert torch.equal(found.tensors["logits"], LOGITS + client)


def test_answers_are_read_as_they_arrive() -> None:
    """Undecoded answers of many clients at once would be gigabytes."""
    sent: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def answer() -> Any:
        gc.collect()
        alive.append(sum(each() is not None for each in sent))
        content = good()
        sent.append(weakref.ref(content))
        return content

    transport(Grid({10 + k: node(k, answer) for k in range(3)}), clients=3).ask("upload", 1)
    assert alive == [0, 0, 0]


@pytest.mark.parametrize("client", [2, -1, 10**9, "0", True, 0.0, [0], b"0"])
def test_a_node_that_is_no_client(client: Any) -> None:
    answers = transport(Grid({10: node(0), 11: node(client)})).ask("upload", 1)
    assert reason(answers[1]) == "is not connected"


def test_nobody_takes_the_number_of_a_client_that_is_there() -> None:
    grid = Grid({10: node(0), 11: node(0, lambda: good(LOGITS + 1)), 12: node(1)})
    answers = transport(grid).ask("upload", 1)
    found = answers[0]
    assert isinstance(found, Payload)
    assert torch.equal(found.tensors["logits"], LOGITS)
    assert (11, "train.upload") not in grid.asked


def test_a_stranger_is_not_asked_for_ever() -> None:
    grid = Grid({10: node(0), 11: node("who?")})
    channel = transport(grid)
    for round in range(1, 8):
        channel.ask("upload", round)
    assert grid.asked.count((11, "query.hello")) == 3


@pytest.mark.parametrize("message", ["query.hello", "train.upload"])
def test_what_goes_wrong_at_a_client_stays_there(
    message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an exception may hold paths and values; Flower would send it to the server."""
    from logitleak.deploy import flower, records

    said: list[Any] = []
    monkeypatch.setattr(flower, "Message", lambda content, reply_to: said.append(content))
    node_config = {} if message == "query.hello" else {"partition-id": 0, "data": "/secret/place"}
    context = SimpleNamespace(node_config=node_config, run_config={}, state=flwr.RecordDict())
    sent = SimpleNamespace(content=records.to_records(Payload(), 1))
    with caplog.at_level("ERROR", logger="logitleak"):
        flower.client_app._registered_funcs[message](sent, context)  # type: ignore[arg-type]
    (error,) = said
    assert error.reason == "its own log says why"
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None


def test_another_public_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from logitleak.deploy import flower, records
    from logitleak.deploy.told import OtherPublicSet

    said: list[Any] = []
    asked: list[str] = []

    def differ(wanted: str) -> None:
        asked.append(wanted)
        raise OtherPublicSet("this public set is not the server's")

    monkeypatch.setattr(flower, "Message", lambda content, reply_to: said.append(content))
    monkeypatch.setattr(flower, "_client", lambda context: SimpleNamespace(check_public=differ))
    sent = SimpleNamespace(content=records.to_records(Payload(), 1, "hash"))
    flower.client_app._registered_funcs["train.upload"](sent, SimpleNamespace())  # type: ignore[arg-type]
    assert asked == ["hash"]
    assert said[0].reason == "this public set is not the server's"


def test_actions_of_every_scheme_have_a_message() -> None:
    from logitleak.deploy import flower

    assert {f"train.{name}" for name in flower._actions()} <= set(flower.client_app._registered_funcs)


def test_an_answer_that_cannot_be_fetched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is the network's fault: it is fetched again, and the client is no less there."""
    monkeypatch.setattr("logitleak.deploy.fetching.DELAY", 0.05)
    left = 2

    def answer() -> Any:
        nonlocal left
        if left:
            left -= 1
            raise ConnectionError
        return good()

    answers = transport(Grid({10: node(0), 11: node(1, answer)}), timeout=10).ask("upload", 1)
    assert isinstance(answers[1], Payload)
    assert left == 0


def test_some_clients_are_asked_and_no_other() -> None:
    grid = Grid({10: node(0), 11: node(1), 12: node(2)})
    made = transport(grid, clients=3)
    answers = made.ask("upload", 1, only=[2, 0])
    assert sorted(answers) == [0, 2]
    assert sorted(n for n, kind in grid.asked if kind == "train.upload") == [10, 12]
    del grid.nodes[12]
    assert reason(made.ask("upload", 1, only=[2])[2]) == "is not connected"


def test_large_arrays_travel_in_pieces_below_any_limit() -> None:
    """So that no sealed upload is too large for a message."""
    from logitleak.deploy import records

    made = records.to_records(Payload({"sealed": torch.zeros(12 * 2**20, dtype=torch.uint8)}), 1)
    (sent,) = made.array_records["tensors"].values()
    pieces = [len(piece.deflate()) for piece in sent.children.values()]
    assert sum(pieces) > 12 * 2**20
    assert max(pieces) < 6 * 2**20
