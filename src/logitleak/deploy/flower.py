"""The federation over Flower: the only file that imports it.

A scheme's action is a Flower message of the type ``train.ACTION``; who a node is, it is asked by ``query.hello``.
Answers are read one by one, each against the form that the scheme gives, so that a client can spoil its own answer
and nobody else's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from torch import Tensor

from logitleak import registry
from logitleak.answers import Form, Shape, printable
from logitleak.deploy import arrays
from logitleak.deploy.client import Client
from logitleak.deploy.config import DeployConfig, parse
from logitleak.deploy.folders import client_folder
from logitleak.deploy.logs import show_log
from logitleak.deploy.server import Forms, serve
from logitleak.errors import UserError
from logitleak.types import Absence, Payload

log = logging.getLogger(__name__)

_TENSORS, _SCALARS, _MODEL, _ROUND = "tensors", "scalars", "model", "round"
_POLL = 0.3
"""Seconds between two looks for answers; Flower's own ``send_and_receive`` takes 3."""

_HELLO_TIMEOUT = 60.0
_HELLO_TRIES = 3

client_app = ClientApp()
server_app = ServerApp()


class FlowerTransport:
    """Reaches the clients through Flower's grid.

    A client is known by the number that its node says (``partition-id`` in its node config). A node that comes back
    under another id, as one without a key of its own does, takes its number again if nobody else holds it.

    Args:
        grid: Flower's grid.
        config: what everybody is told.
        form: what valid answers look like.
    """

    def __init__(self, grid: Grid, config: DeployConfig, form: Forms) -> None:
        self._grid = grid
        self._form = form
        self._timeout = config.answer_timeout
        self._nodes: dict[int, int] = {}  # client to node
        self._hellos: dict[int, int] = {}  # node to how often it was asked who it is
        self.clients = config.federation.clients
        self._wait(config.start_timeout)

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload | Absence]:
        """Send one action to every client that is connected, and wait for their answers."""
        message = message or Payload()
        form = self._form(action, message)
        self._roll()
        online = set(self._grid.get_node_ids())
        there = {client: node for client, node in self._nodes.items() if node in online}
        replies = self._exchange(f"train.{action}", round, _records(message, round), there, self._timeout)
        answers: dict[int, Payload | Absence] = {}
        for client in range(self.clients):
            reply = replies.get(client, Absence("is not connected"))
            answers[client] = reply if isinstance(reply, Absence) else _answer(reply, form)
            replies.pop(client, None)  # what is decoded need not be held twice
        return answers

    def _wait(self, seconds: float) -> None:
        """Until every client has connected, or the time is up; `ask` then says who is missing."""
        end = time.monotonic() + seconds
        while self._roll() < self.clients and time.monotonic() < end:
            time.sleep(_POLL)

    def _roll(self) -> int:
        """Ask nodes that nobody knows who they are, while a client has no node. Returns how many clients have one."""
        online = sorted(self._grid.get_node_ids())
        known = {client for client, node in self._nodes.items() if node in online}
        strangers = [
            n for n in online if n not in self._nodes.values() and self._hellos.get(n, 0) < _HELLO_TRIES
        ]
        if len(known) == self.clients or not strangers:
            return len(known)
        for node in strangers:
            self._hellos[node] = self._hellos.get(node, 0) + 1
        asked = {node: node for node in strangers}
        hellos = self._exchange(
            "query.hello", 0, _records(Payload(), 0), asked, min(self._timeout, _HELLO_TIMEOUT)
        )
        for node, reply in hellos.items():
            number = reply.reason if isinstance(reply, Absence) else _number(reply, self.clients)
            if not isinstance(number, int):
                log.warning("a node does not say which client it is: %s", number)
            elif number in known:
                log.warning("a second node says that it is client %d; it is left out", number)
                self._hellos[node] = _HELLO_TRIES
            else:
                self._nodes[number] = node
                known.add(number)
                log.info("client %d is connected", number)
        return len(known)

    def _exchange(
        self, kind: str, round: int, content: RecordDict, nodes: Mapping[int, int], timeout: float
    ) -> dict[int, RecordDict | Absence]:
        """Send the same message to some nodes, by any key, and collect what comes back in time."""
        end = time.monotonic() + timeout
        waiting: dict[int, str] = {}
        found: dict[int, RecordDict | Absence] = {}
        for key, node in nodes.items():
            sent = Message(content, node, kind, ttl=timeout, group_id=str(round))
            ids = list(self._grid.push_messages([sent]))
            if ids and ids[0]:
                waiting[key] = ids[0]
            else:
                found[key] = Absence("is not connected")
        while waiting and time.monotonic() < end:
            online = set(self._grid.get_node_ids())
            for key in list(waiting):
                reply = self._pull(waiting[key])
                if reply is None and nodes[key] not in online:
                    reply = Absence("lost its connection")
                if reply is not None:
                    found[key] = reply
                    del waiting[key]
            time.sleep(_POLL if waiting else 0)
        late = {key: Absence(f"did not answer within {timeout:g} s") for key in waiting}
        return found | late

    def _pull(self, message_id: str) -> RecordDict | Absence | None:
        """What came back to one message; None while nothing did."""
        try:
            replies = list(self._grid.pull_messages([message_id]))
            if not replies:
                return None
            if replies[0].has_error():
                return Absence(f"failed: {replies[0].error.reason or 'no reason is given'}")
            return replies[0].content
        except (
            Exception
        ) as error:  # Flower unpacks what a stranger packed: whatever goes wrong is that answer's
            return Absence(f"sent what cannot be read ({type(error).__name__})")


def _records(payload: Payload, round: int) -> RecordDict:
    """A message as Flower carries it."""
    records = RecordDict({_SCALARS: ConfigRecord(dict(payload.scalars))})
    if payload.tensors:
        records[_TENSORS] = _arrays(payload.tensors)
    records[_ROUND] = ConfigRecord({_ROUND: round})
    return records


def _arrays(tensors: Mapping[str, Tensor]) -> ArrayRecord:
    return ArrayRecord({name: _array(value) for name, value in tensors.items()})


def _array(value: Tensor) -> Array:
    name = str(value.dtype).removeprefix("torch.")
    return Array(dtype=name, shape=tuple(value.shape), stype=arrays.KIND, data=arrays.encode(value))


def _answer(records: RecordDict, form: Form) -> Payload | Absence:
    """A client's answer, of which nothing is decoded that was not asked for."""
    try:
        given, scalars = _array_table(records), _scalar_table(records)
        for name in given:
            if name not in form.tensors:
                return Absence(f"sent {printable(name)!r}, which nobody asked for")
        tensors = {}
        for name, array in given.items():
            try:
                said = arrays.declared(array.dtype, array.shape)
                tensors[name] = arrays.decode(array.data, array.stype, said, form.tensors[name])
            except arrays.BadArray as error:
                return Absence(f"{name} {error}")
    except Exception as error:  # fields of any type may be in a stranger's records
        return Absence(f"sent what cannot be read ({type(error).__name__})")
    return Payload(tensors, scalars)


def _array_table(records: RecordDict) -> dict[str, Array]:
    return dict(records.array_records[_TENSORS]) if _TENSORS in records.array_records else {}


def _scalar_table(records: RecordDict) -> dict[str, int | float | str]:
    """Scalars of an answer; whatever else Flower could carry here is left for the form to refuse."""
    table: Mapping[str, object] = records.config_records.get(_SCALARS, {})
    return {str(name): v if isinstance(v, int | float | str) else repr(v)[:100] for name, v in table.items()}


def _number(records: RecordDict, clients: int) -> int | str:
    """Which client a node says that it is, or what is wrong with that."""
    value = _scalar_table(records).get("client")
    return value if type(value) is int and 0 <= value < clients else f"it says {printable(str(value), 40)!r}"


def _tensors(record: ArrayRecord) -> dict[str, Tensor]:
    """The tensors that this node kept, or that its server sent."""
    table = {}
    for name, array in record.items():
        said: Shape = arrays.declared(array.dtype, array.shape)
        table[name] = arrays.decode(array.data, array.stype, said, said)
    return table


def _client(context: Context) -> Client:
    config, number = parse(context.run_config), _client_number(context)
    own = context.node_config.get("data")
    folder = Path(str(own)) if own is not None else client_folder(config.client_data, number)
    return Client(config, folder, number)


def _client_number(context: Context) -> int:
    """Which client this node is, as its node config says."""
    number = context.node_config.get("partition-id")
    if type(number) is not int:
        raise UserError(
            "This node does not know which client it is; give it partition-id=K in --node-config."
        )
    return number


Handler = Callable[[Message, Context], Message]

_RAISED = 2
"""Flower's number for "the client's app raised an exception"."""


def _discreet(handle: Handler) -> Handler:
    """Keep what went wrong in the client's own log. Flower would send the exception's text to the server, with
    whatever paths or values are in it."""

    def guarded(message: Message, context: Context) -> Message:
        try:
            return handle(message, context)
        except Exception as error:
            show_log()
            log.error("%s", error, exc_info=None if isinstance(error, UserError) else error)
            return Message(Error(_RAISED, "its own log says why"), reply_to=message)

    return guarded


@client_app.query("hello")
@_discreet
def _hello(message: Message, context: Context) -> Message:
    content = RecordDict({_SCALARS: ConfigRecord({"client": _client_number(context)})})
    return Message(content, reply_to=message)


def _action(action: str) -> Handler:
    """The Flower function that does one action of the configured scheme."""

    def handle(message: Message, context: Context) -> Message:
        records = message.content
        table = _tensors(records.array_records[_TENSORS]) if _TENSORS in records.array_records else {}
        sent = Payload(table, _scalar_table(records))
        round = int(str(records.config_records[_ROUND][_ROUND]))
        kept = _tensors(context.state.array_records[_MODEL]) if _MODEL in context.state else {}
        payload, model = _client(context).answer(action, round, sent, kept)
        context.state[_MODEL] = _arrays(model)
        return Message(_records(payload, round), reply_to=message)

    return _discreet(handle)


def _actions() -> set[str]:
    """The actions of every registered scheme: which one runs is known only when a message comes."""
    schemes = [registry.load("scheme", name) for name in registry.names("scheme")]
    return {action for scheme in schemes for action in scheme(scheme.Settings()).actions}


for _name in sorted(_actions()):
    client_app.train(_name)(_action(_name))


@server_app.main()
def _main(grid: Grid, context: Context) -> None:
    show_log()
    try:
        config = parse(context.run_config)
        run = serve(config, lambda form: FlowerTransport(grid, config, form))
    except UserError as error:
        log.error("%s", error)
        raise
    log.info("the federation is finished; attack it with: logitleak attack %s", run.path)
