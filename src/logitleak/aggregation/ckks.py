"""A sum of encrypted uploads by CKKS (Cheon et al., 2017), with TenSEAL: the server adds what it cannot read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat
from torch import Tensor

from logitleak.aggregation.base import AggregatorSettings, Hiding, Sealed, Secrets
from logitleak.aggregation.fixed_point import FixedPoint, Whole, range_of
from logitleak.errors import UserError
from logitleak.types import UploadKind

MOST_BITS = {4096: 109, 8192: 218, 16384: 438}
"""Bits of all primes for 128 bits of security against classical computers, by degree (homomorphicencryption.org)."""

USUAL_SCALE = 40
NOISE_BITS = 20
"""Encryption changes the last dozen bits below the scale; steps are this far above it, so that rounding undoes that."""


class CKKSSettings(AggregatorSettings):
    """How values are encrypted.

    Attributes:
        degree: N of the ring; a ciphertext holds N/2 values.
        chain: bits of the primes; the last serves keys alone, and the others must hold the sum.
        scale_bits: values are multiplied by 2 to this power; null for the largest that the chain has room for, 40 at
            most.
        range: the largest absolute value that is summed; clients clip what is beyond. Null: 1 for probabilities, 256
            for logits.
        server: "participant": it is told the decrypted mean, as every client is. "aggregator": it adds ciphertexts and
            reads nothing, and clients alone have the mean.
    """

    degree: Literal[4096, 8192, 16384] = 4096
    chain: list[Annotated[int, Field(ge=20, le=60)]] = Field(default=[54, 55])
    scale_bits: Annotated[int, Field(ge=24, le=60)] | None = None
    range: PositiveFloat | None = None
    server: Literal["participant", "aggregator"] = "participant"


class CKKS(Hiding):
    """Clients share a key that the server does not have. Each rounds its upload to whole steps and encrypts it in
    chunks of N/2 values; the server adds ciphertexts; clients decrypt the sum and round it to steps again, so that it
    is exact, and the noise of the encryption, from which a key can be learnt, does not leave them.

    TenSEAL draws keys and noise from the operating system. Whoever has the clients' key and single ciphertexts reads
    single uploads: a client that colludes with the server breaks it for all.
    """

    Settings = CKKSSettings
    how = "Clients encrypt their uploads under a key that the server does not have, and the server adds ciphertexts."
    settings: CKKSSettings

    def __init__(self, settings: Any, kind: UploadKind, clients: int, secrets: Secrets) -> None:
        super().__init__(settings, kind, clients, secrets)
        self.scale_bits = self._scale()
        self.numbers = FixedPoint(range_of(kind, self.settings.range), self.scale_bits - NOISE_BITS)
        self._library = _tenseal()
        self._clients = self._keys()
        self._server = self._library.context_from(self._public(self._clients))
        self._chunk = len(self._encrypt(np.zeros(1)))

    @property
    def seen_by(self) -> Literal["server", "client"]:
        return "server" if self.settings.server == "participant" else "client"

    def nbytes(self, values: int) -> int:
        return math.ceil(values / self._slots) * self._chunk

    def seal(self, client: int, round: int, values: Tensor) -> Sealed:
        whole = self.whole(client, round, values)
        chunks = (whole[at : at + self._slots] for at in range(0, len(whole), self._slots))
        return Sealed(
            tuple(self._encrypt(chunk * self.numbers.step) for chunk in chunks), tuple(values.shape)
        )

    def mean(self, round: int, sealed: Mapping[int, Sealed], absent: Collection[int]) -> Tensor:
        shape = next(iter(sealed.values())).shape
        total = self._decrypt(self._added([one.parts for one in sealed.values()]))
        return self.numbers.mean(total, len(sealed), shape)

    @property
    def _slots(self) -> int:
        return self.settings.degree // 2

    def _scale(self) -> int:
        """Bits of the scale, after a look at whether everything fits."""
        s, most = self.settings, MOST_BITS[self.settings.degree]
        if len(s.chain) < 2:
            raise UserError(
                "The chain of ckks is too short; it needs a prime for values and one for keys, such as [54, 55]."
            )
        if sum(s.chain) > most:
            raise UserError(
                f"The chain of ckks has {sum(s.chain)} bits, and a degree of {s.degree} is secure up to {most}; "
                "shorten chain, or raise degree."
            )
        value_bits = math.log2(self.clients * range_of(self.kind, s.range))
        room = math.floor(sum(s.chain[:-1]) - 1 - value_bits)
        scale = min(USUAL_SCALE, room) if s.scale_bits is None else s.scale_bits
        if scale > room or scale < NOISE_BITS + 4:
            raise UserError(
                f"The chain of ckks has room for a scale of {room} bits with {self.clients} clients and a range of "
                f"{range_of(self.kind, s.range):g}, and {max(scale, NOISE_BITS + 4)} are asked for; lengthen chain, or "
                "lower range or scale_bits."
            )
        return scale

    def _keys(self) -> Any:
        """What clients have: the context with its secret key."""
        scheme = self._library.SCHEME_TYPE.CKKS
        return self._library.context(scheme, self.settings.degree, coeff_mod_bit_sizes=self.settings.chain)

    @staticmethod
    def _public(context: Any) -> bytes:
        """What the server gets of it. Sums need no other key."""
        made: bytes = context.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False)
        return made

    def _encrypt(self, values: np.ndarray) -> bytes:
        vector = self._library.ckks_vector(self._clients, values.tolist(), scale=2.0**self.scale_bits)
        sent: bytes = vector.serialize()
        return sent

    def _added(self, uploads: list[tuple[bytes, ...]]) -> Iterator[bytes]:
        """What the server does, chunk by chunk."""
        for chunks in zip(*uploads, strict=True):
            first, *others = (self._library.ckks_vector_from(self._server, chunk) for chunk in chunks)
            for other in others:
                first += other
            yield first.serialize()

    def _decrypt(self, chunks: Iterator[bytes]) -> Whole:
        """What every client does with the sum: whole numbers, int64 [n]."""
        values = [self._library.ckks_vector_from(self._clients, chunk).decrypt() for chunk in chunks]
        steps = np.concatenate(values) / self.numbers.step
        whole = np.rint(steps)
        if np.abs(steps - whole).max(initial=0) > 0.25:
            raise UserError(
                f"The noise of ckks with {self.clients} clients reaches the values; choose a smaller degree, or "
                "federation.aggregation=secure-sum."
            )
        return whole.astype(np.int64)


def _tenseal() -> Any:
    try:
        import tenseal
    except ImportError:
        raise UserError(
            "The aggregator ckks needs TenSEAL; install it with: pip install 'logitleak[he]'."
        ) from None
    return tenseal
