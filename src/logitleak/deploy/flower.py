"""The federation over Flower: nothing but this file and `records` imports it.

A scheme's action is a Flower message of the type ``train.ACTION``; who a node is, it is asked by ``query.hello``.
Answers are read one by one, each against the form that the scheme gives, so that a client can spoil its own answer
and nobody else's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from logitleak import registry
from logitleak.deploy.client import Client
from logitleak.deploy.config import DeployConfig, parse
from logitleak.deploy.fetching import Fetcher
from logitleak.deploy.folders import client_folder, fingerprint, read_public
from logitleak.deploy.logs import show_log
from logitleak.deploy.nodes import Nodes
from logitleak.deploy.records import (
    PUBLIC,
    ROUND,
    SCALARS,
    TENSORS,
    read_answer,
    read_number,
    read_scalars,
    read_tensors,
    to_arrays,
    to_records,
)
from logitleak.deploy.server import next_step, serve
from logitleak.deploy.sums.server import Forms
from logitleak.deploy.sums.steps import STEPS
from logitleak.deploy.told import Told
from logitleak.errors import UserError
from logitleak.federation.answers import printable
from logitleak.federation.draws import Reach
from logitleak.machine.allocator import own_process
from logitleak.types import Absence, Payload

log = logging.getLogger(__name__)

_MODEL = "model"
_POLL = 0.3
"""Seconds between two looks for answers; Flower's own ``send_and_receive`` takes 3."""

_HELLO_TIMEOUT = 60.0

_Read = TypeVar("_Read")

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
        public: the hash of the public set, which goes with every message.
    """

    def __init__(self, grid: Grid, config: DeployConfig, form: Forms, public: str) -> None:
        self._grid, self._form, self._public = grid, form, public
        self._timeout = config.answer_timeout
        self.clients = config.federation.clients
        self._nodes = Nodes(self.clients)
        self._wait(config.start_timeout)

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload | Absence]:
        """Send one action to every client that is connected, or to some of these, and wait for their answers."""
        message = message or Payload()
        read = partial(read_answer, form=self._form(action, message))
        content = to_records(message, round, self._public)
        self._ask_who_is_there()
        asked = range(self.clients) if only is None else only
        nodes = {client: node for client, node in self._nodes.nodes.items() if client in asked}
        answers = self._exchange(f"train.{action}", round, content, nodes, self._timeout, read)
        return {client: answers.get(client, Absence("is not connected")) for client in asked}

    def _wait(self, seconds: float) -> None:
        """Until every client has connected, or the time is up; `ask` then says who is missing."""
        end = time.monotonic() + seconds
        self._ask_who_is_there()
        while not self._nodes.complete and time.monotonic() < end:
            time.sleep(_POLL)
            self._ask_who_is_there()

    def _ask_who_is_there(self) -> None:
        """Ask nodes that nobody knows who they are, while a client has no node."""
        self._look()
        asked = {node: node for node in self._nodes.strangers()}
        if not asked:
            return
        content, seconds = to_records(Payload(), 0, self._public), min(self._timeout, _HELLO_TIMEOUT)
        read = partial(read_number, clients=self.clients)
        for node, said in self._exchange("query.hello", 0, content, asked, seconds, read).items():
            self._nodes.enter(node, said)
        self._look()  # who has left since has no number

    def _look(self) -> None:
        self._nodes.look(self._grid.get_node_ids())

    def _exchange(
        self, kind: str, round: int, content: RecordDict, nodes: Mapping[int, int], timeout: float,
        read: Callable[[RecordDict], _Read | Absence],
    ) -> dict[int, _Read | Absence]:  # fmt: skip
        """Send the same message to some nodes, by any key, and read what comes back in time.

        What a node sends is read when it arrives, so that no two answers are held as they travelled.
        """
        end = time.monotonic() + timeout
        fetcher: Fetcher[Message] = Fetcher(lambda message: self._grid.pull_messages([message]))
        waiting: dict[int, str] = {}
        found: dict[int, _Read | Absence] = {}
        for key, node in nodes.items():
            sent = Message(content, node, kind, ttl=timeout, group_id=str(round))
            ids = list(self._grid.push_messages([sent]))
            if ids and ids[0]:
                waiting[key] = ids[0]
            else:
                found[key] = Absence("is not connected")
        while waiting and time.monotonic() < end:
            self._look()
            for key in list(waiting):
                reply = _read_reply(fetcher.fetch(waiting[key]), read)
                gone = nodes[key] not in self._nodes.online and not fetcher.trying(waiting[key])
                if reply is None and gone:
                    reply = Absence("lost its connection")
                if reply is not None:
                    found[key] = reply
                    del waiting[key]
            time.sleep(_POLL if waiting else 0)
        return found | {key: fetcher.late(message, timeout) for key, message in waiting.items()}


def _read_reply(
    reply: Message | Absence | None, read: Callable[[RecordDict], _Read | Absence]
) -> _Read | Absence | None:
    """What came back, as far as it has come back."""
    if reply is None or isinstance(reply, Absence):
        return reply
    try:
        if reply.has_error():
            return Absence(f"failed: {printable(reply.error.reason or '') or 'no reason is given'}")
        return read(reply.content)
    except Exception as error:  # a stranger packed this: whatever goes wrong is that answer's
        return Absence(f"sent what cannot be read ({type(error).__name__})")


def _client(context: Context) -> Client:
    own_process()
    config, number = parse(context.run_config, context.node_config), _client_number(context)
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
            told = str(error) if isinstance(error, Told) else "its own log says why"
            return Message(Error(_RAISED, told), reply_to=message)

    return guarded


@client_app.query("hello")
@_discreet
def _hello(message: Message, context: Context) -> Message:
    content = RecordDict({SCALARS: ConfigRecord({"client": _client_number(context)})})
    return Message(content, reply_to=message)


def _action(action: str) -> Handler:
    """The Flower function that does one action of the configured scheme."""

    def handle(message: Message, context: Context) -> Message:
        records, client = message.content, _client(context)
        said = records.config_records[ROUND]
        client.check_public(str(said.get(PUBLIC)))
        table = read_tensors(records.array_records[TENSORS]) if TENSORS in records.array_records else {}
        sent = Payload(table, read_scalars(records))
        round = int(str(said[ROUND]))
        kept = read_tensors(context.state.array_records[_MODEL]) if _MODEL in context.state else {}
        payload, model = client.answer(action, round, sent, kept)
        context.state[_MODEL] = to_arrays(model)
        return Message(to_records(payload, round), reply_to=message)

    return _discreet(handle)


def _actions() -> set[str]:
    """The actions of every scheme, and the steps of sums: which one runs is known only when a message comes."""
    schemes = [registry.load("scheme", name) for name in registry.names("scheme")]
    return {action for scheme in schemes for action in scheme(scheme.Settings()).actions} | set(STEPS)


for _name in sorted(_actions()):
    client_app.train(_name)(_action(_name))


@server_app.main()
def _main(grid: Grid, context: Context) -> None:
    own_process()
    show_log()
    try:
        config = parse(context.run_config)

        def connect(form: Forms) -> Reach:
            return FlowerTransport(grid, config, form, fingerprint(read_public(config.server_data)))

        run = serve(config, connect)
    except UserError as error:
        log.error("%s", error)
        raise
    log.info("the federation is finished; %s", next_step(run))
