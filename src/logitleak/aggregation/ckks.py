"""A sum of encrypted uploads by CKKS (Cheon et al., 2017), with TenSEAL: the server adds what it cannot read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from torch import Tensor

from logitleak.aggregation.base import Hiding, Sealed, Secrets
from logitleak.aggregation.encryption import CKKSSettings, Encryption
from logitleak.types import UploadKind


class CKKS(Hiding):
    """Clients share a key that the server does not have. Each rounds its upload to whole steps and encrypts it in
    chunks of N/2 values; the server adds ciphertexts; clients decrypt the sum and round it to steps again, so that it
    is exact, and the noise of the encryption, from which a key can be learnt, does not leave them.

    TenSEAL draws keys and noise from the operating system. Whoever has the clients' key and single ciphertexts reads
    single uploads: a client that colludes with the server breaks it for all.

    Attributes:
        encryption: what clients and server compute with.
    """

    Settings = CKKSSettings
    how = "Clients encrypt their uploads under a key that the server does not have, and the server adds ciphertexts."
    settings: CKKSSettings

    def __init__(self, settings: Any, kind: UploadKind, clients: int, secrets: Secrets) -> None:
        super().__init__(settings, kind, clients, secrets)
        self.encryption = Encryption(self.settings, kind, clients)
        self.numbers = self.encryption.numbers
        self.scale_bits = self.encryption.scale_bits

    @property
    def seen_by(self) -> Literal["server", "client"]:
        return "server" if self.settings.server == "participant" else "client"

    def nbytes(self, values: int) -> int:
        return self.encryption.chunks(values) * self._chunk

    def seal(self, client: int, round: int, values: Tensor) -> Sealed:
        whole = self.whole(client, round, values)
        return Sealed(self.encryption.encrypt(self._clients, whole), tuple(values.shape))

    def mean(self, round: int, sealed: Mapping[int, Sealed], absent: Collection[int]) -> Tensor:
        shape = next(iter(sealed.values())).shape
        added = self.encryption.added(self._server, [one.parts for one in sealed.values()])
        return self.numbers.mean(self.encryption.decrypt(self._clients, added), len(sealed), shape)

    @cached_property
    def _clients(self) -> Any:
        """What simulated clients have. Where clients are elsewhere nobody asks for it, and it is not made."""
        return self.encryption.keys()

    @cached_property
    def _server(self) -> Any:
        return self.encryption.adder()

    @cached_property
    def _chunk(self) -> int:
        """Bytes of a ciphertext, about."""
        (one,) = self.encryption.encrypt(self._clients, np.zeros(1, np.int64))
        return len(one)
