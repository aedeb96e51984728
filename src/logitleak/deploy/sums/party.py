"""One client's half of a sum: its keys, whom it shares secrets with, and what it seals no more than once."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from logitleak.aggregation.agreement import BadKey, KeyPair
from logitleak.deploy.sums.steps import KEYS, ROSTER, majority, to_bytes, to_tensor
from logitleak.deploy.told import Told
from logitleak.types import Payload

Step = Callable[[int, Payload], Payload]
"""From the round and the server's message to the answer."""


class Party(ABC):
    """A client that seals its uploads. It trusts the server to hand on public keys as they are, and little besides: it
    agrees on keys once, and seals one upload of a round.

    What it remembers is a table of tensors, the private key among them, that stays where its model does.

    Args:
        client: which client this is.
        clients: K.
    """

    def __init__(self, client: int, clients: int) -> None:
        self.client, self.clients = client, clients
        self.kept: dict[str, Tensor] = {}

    @property
    def steps(self) -> Mapping[str, Step]:
        """What a server may ask of it besides uploads."""
        return {KEYS: self._keys, ROSTER: self._roster}

    @abstractmethod
    def seal(self, round: int, values: Tensor) -> Payload:
        """What is sent in place of an upload, float32 [N, J].

        Raises:
            Told: it has no keys, or has sealed an upload of this round or of a later one.
        """

    def opened(self, round: int, message: Payload) -> tuple[str, Payload]:
        """A message of the server's with the mean in it that the server does not have, and the name of that; "" where
        there is none."""
        return "", message

    @property
    def federation(self) -> str:
        """What clients call the federation that they agreed on keys for: whoever has their public keys knows it."""
        return self._seen().hex()[:12]

    @property
    def roster(self) -> dict[int, bytes]:
        """The public key of every client that agreed on keys, this one's too.

        Raises:
            Told: there is none.
        """
        if "keys" not in self.kept:
            raise Told(
                "it has no keys of this federation: it was not there when they were agreed on, or was started again"
            )
        keys = (to_bytes(key) for key in self.kept["keys"])
        return dict(zip(self.kept["clients"].tolist(), keys, strict=True))

    def secrets(self, use: str) -> dict[int, bytes]:
        """What this client shares with each other one, by client; 32 bytes. They differ wherever a server has shown
        others another roster."""
        roster, pair = self.roster, KeyPair(to_bytes(self.kept["private"]))
        try:
            return {
                client: pair.secret(key, use, self._seen())
                for client, key in roster.items()
                if client != self.client
            }
        except BadKey as bad:
            raise Told(f"a key that it was shown {bad}") from None

    def once(self, round: int, shape: torch.Size) -> None:
        """Note that an upload of this shape is sealed in this round.

        Raises:
            Told: one of this round or of a later one is, and the difference of two might show what both hide.
        """
        if round <= int(self.kept.get("round", torch.tensor(-1))):
            raise Told(f"it has sealed its upload of round {round} already")
        self.kept |= {"round": torch.tensor(round), "shape": torch.tensor(list(shape))}

    def sealed_in(self, round: int) -> torch.Size:
        """The shape of the upload that was sealed in a round.

        Raises:
            Told: none was.
        """
        if "round" not in self.kept or int(self.kept["round"]) != round:
            raise Told(f"it has sealed no upload in round {round}")
        return torch.Size(self.kept["shape"].tolist())

    def _seen(self) -> bytes:
        """The same for all who were shown one roster, 32 bytes."""
        listed = (client.to_bytes(4, "little") + key for client, key in self.roster.items())
        return hashlib.sha256(b"".join(listed)).digest()

    def _keys(self, round: int, message: Payload) -> Payload:
        if "keys" in self.kept:
            raise Told("it has agreed on keys already")
        if "private" not in self.kept:
            self.kept["private"] = to_tensor(KeyPair.drawn().private)
        return Payload({"key": to_tensor(KeyPair(to_bytes(self.kept["private"])).public)})

    def _roster(self, round: int, message: Payload) -> Payload:
        if "keys" in self.kept:
            raise Told("it has agreed on keys already")
        clients, keys = message.tensors["clients"].tolist(), message.tensors["keys"]
        if clients != sorted(set(clients)) or not set(clients) <= set(range(self.clients)):
            raise Told("it was shown a list of clients that is none")
        if len(clients) < majority(self.clients):
            raise Told(f"it was shown {len(clients)} keys, and sums are of {majority(self.clients)} at least")
        if len({to_bytes(key) for key in keys}) < len(clients):
            raise Told("it was shown one key of two clients")
        own = KeyPair(to_bytes(self.kept["private"])).public if "private" in self.kept else None
        self.kept |= {"clients": message.tensors["clients"], "keys": keys}
        if own is None or self.roster.get(self.client) != own:
            raise Told("its own key is not among those that it was shown")
        self.secrets("check")
        return Payload()
