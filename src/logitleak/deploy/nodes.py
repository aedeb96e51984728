"""Who is connected to a deployed federation: which node stands for which client."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from logitleak.types import Absence

log = logging.getLogger(__name__)

_TRIES = 3
"""How often a node that does not say who it is, is asked."""


class Nodes:
    """Knows clients by the number that their nodes say, for as long as these are connected.

    A node that was away is asked anew when it comes back, under its old id or another: it may be another client
    now, or a client at last.

    Args:
        clients: how many there are; they are numbered from 0.
    """

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self.nodes: dict[int, int] = {}  # client to node
        self.online: frozenset[int] = frozenset()
        self._asked: dict[int, int] = {}  # node to how often it was asked who it is

    @property
    def complete(self) -> bool:
        """Whether every client has a node."""
        return len(self.nodes) == self.clients

    def look(self, online: Iterable[int]) -> None:
        """Take in which nodes are connected now, and forget those that are not."""
        self.online = frozenset(online)
        self.nodes = {client: node for client, node in self.nodes.items() if node in self.online}
        self._asked = {node: count for node, count in self._asked.items() if node in self.online}

    def strangers(self) -> list[int]:
        """The nodes to ask now who they are: none while every client has one."""
        if self.complete:
            return []
        known = set(self.nodes.values())
        found = [n for n in sorted(self.online - known) if self._asked.get(n, 0) < _TRIES]
        for node in found:
            self._asked[node] = self._asked.get(node, 0) + 1
        return found

    def enter(self, node: int, client: int | Absence) -> None:
        """Note which client a node says that it is, or what was wrong with its answer."""
        if isinstance(client, Absence):
            log.warning("a node does not say which client it is: %s", client.reason)
        elif client in self.nodes:
            log.warning("a second node says that it is client %d; it is left out", client)
            self._asked[node] = _TRIES
        else:
            self.nodes[client] = node
            log.info("client %d is connected", client)
