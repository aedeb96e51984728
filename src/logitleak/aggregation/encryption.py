"""CKKS (Cheon et al., 2017) with TenSEAL, as a sum needs it: numbers in, ciphertexts, their sum, and numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from logitleak.aggregation.base import AggregatorSettings
from logitleak.aggregation.fixed_point import LEAST_LEVELS, FixedPoint, Range, Whole, range_of
from logitleak.errors import UserError, to_install
from logitleak.types import UploadKind

MOST_BITS = {4096: 109, 8192: 218, 16384: 438}
"""Bits of all primes for 128 bits of security against classical computers, by degree (homomorphicencryption.org)."""

USUAL_SCALE = 40
NOISE_BITS = 20
"""Encryption changes the last dozen bits below the scale; steps are this far above it, so that rounding undoes that."""

LENGTH_BYTES = 4
"""What `padded` adds to the largest, in bytes."""

_HEADER_BYTES = 1024
"""The most that TenSEAL writes around its numbers."""


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
    range: Range | None = None
    server: Literal["participant", "aggregator"] = "participant"


class BadCiphertext(ValueError):
    """Bytes that are no ciphertext, or not one of what was asked for; the message says so in a few words."""


class Encryption:
    """How the values of one federation are encrypted; it holds no key.

    Args:
        settings: how.
        kind: what is summed.
        clients: K.

    Attributes:
        scale_bits: values are multiplied by 2 to this power.
        numbers: how values become whole numbers.

    Raises:
        UserError: so many clients cannot be summed with these settings, or TenSEAL is missing.
    """

    def __init__(self, settings: CKKSSettings, kind: UploadKind, clients: int) -> None:
        self.settings, self.kind, self.clients = settings, kind, clients
        self.scale_bits = self._scale()
        self.numbers = self._numbers()
        self._library = _tenseal()

    @property
    def slots(self) -> int:
        """How many values a ciphertext holds."""
        return self.settings.degree // 2

    def chunks(self, values: int) -> int:
        """How many ciphertexts so many values take."""
        return math.ceil(values / self.slots)

    def keys(self) -> Any:
        """What clients have: a context with fresh keys, the secret one too, from the operating system."""
        scheme = self._library.SCHEME_TYPE.CKKS
        return self._library.context(scheme, self.settings.degree, coeff_mod_bit_sizes=self.settings.chain)

    def adder(self) -> Any:
        """A context that adds ciphertexts of anybody's keys and can read none: it is made of the settings alone."""
        context = self.keys()
        context.make_context_public()
        return context

    def private_bytes(self, context: Any) -> bytes:
        """What one client hands to another of its context, secret key and public one. Sums need no other key."""
        made: bytes = context.serialize(save_secret_key=True, save_galois_keys=False, save_relin_keys=False)
        return made

    def context(self, raw: bytes) -> Any:
        """The context in some bytes.

        Raises:
            BadCiphertext: there is none.
        """
        try:
            return self._library.context_from(raw)
        except Exception:
            raise BadCiphertext("is no context") from None

    def encrypt(self, context: Any, whole: Whole) -> tuple[bytes, ...]:
        """Whole numbers int64 [n] as ciphertexts."""
        parts = (whole[at : at + self.slots] for at in range(0, len(whole), self.slots))
        return tuple(self._encrypted(context, part * self.numbers.step) for part in parts)

    def added(self, context: Any, uploads: Sequence[Sequence[bytes]]) -> tuple[bytes, ...]:
        """The sum of ciphertexts, chunk by chunk."""
        sums = []
        for chunks in zip(*uploads, strict=True):
            first, *others = (self._library.ckks_vector_from(context, chunk) for chunk in chunks)
            for other in others:
                first += other
            sums.append(first.serialize())
        return tuple(sums)

    def values(self, context: Any, chunks: Iterable[bytes]) -> NDArray[np.float64]:
        """The values in a sum as they decrypt, with the noise of the encryption, float64 [n]."""
        return np.concatenate([self._library.ckks_vector_from(context, chunk).decrypt() for chunk in chunks])

    def decrypt(self, context: Any, chunks: Iterable[bytes]) -> Whole:
        """The whole numbers in a sum, int64 [n].

        Raises:
            UserError: the noise of the encryption reaches the values.
        """
        steps = self.values(context, chunks) / self.numbers.step
        whole = np.rint(steps)
        if not np.abs(steps - whole).max(initial=0) <= 0.25:
            raise UserError(
                f"The noise of ckks with {self.clients} clients reaches the values; choose a smaller degree, or "
                "federation.aggregation=secure-sum."
            )
        return whole.astype(np.int64)

    def check(self, context: Any, chunks: Sequence[bytes], values: int) -> None:
        """Look whether a stranger's bytes are ciphertexts of so many values, as far as that can be seen.

        Raises:
            BadCiphertext: they are not.
        """
        if len(chunks) != self.chunks(values):
            raise BadCiphertext("holds another number of ciphertexts")
        left = values
        for chunk in chunks:
            try:
                vector = self._library.ckks_vector_from(context, chunk)
                (one,) = vector.ciphertext()
                found = vector.size(), one.size(), one.coeff_modulus_size(), one.scale
            except Exception:  # whatever a stranger's bytes make TenSEAL raise
                raise BadCiphertext("holds what is no ciphertext") from None
            wanted = min(left, self.slots), 2, len(self.settings.chain) - 1, 2.0**self.scale_bits
            if found != wanted:
                raise BadCiphertext("holds a ciphertext of other settings")
            left -= self.slots

    @property
    def row_bytes(self) -> int:
        """Bytes of a row that holds one ciphertext, whatever is in it."""
        numbers = 2 * self.settings.degree * (len(self.settings.chain) - 1)
        return LENGTH_BYTES + 8 * numbers + _HEADER_BYTES

    @property
    def context_bytes(self) -> int:
        """The most that `private_bytes` takes: one polynomial of the secret key, and two of the public one."""
        return 3 * 8 * self.settings.degree * len(self.settings.chain) + _HEADER_BYTES

    def packed(self, chunks: Sequence[bytes]) -> NDArray[np.uint8]:
        """Ciphertexts as rows of one length, uint8 [n, row_bytes]."""
        return np.stack([padded(chunk, self.row_bytes - LENGTH_BYTES) for chunk in chunks])

    def unpacked(self, rows: NDArray[np.uint8]) -> tuple[bytes, ...]:
        """What `packed` packed.

        Raises:
            BadCiphertext: a length is beyond its row.
        """
        return tuple(stripped(row) for row in rows)

    def _encrypted(self, context: Any, values: NDArray[np.floating[Any]]) -> bytes:
        vector = self._library.ckks_vector(context, values.tolist(), scale=2.0**self.scale_bits)
        sent: bytes = vector.serialize()
        return sent

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

    def _numbers(self) -> FixedPoint:
        """Steps that the noise of encryption does not reach, after a look at whether they tell values apart."""
        largest = range_of(self.kind, self.settings.range)
        numbers = FixedPoint(largest, self.scale_bits - NOISE_BITS)
        if numbers.limit < LEAST_LEVELS:
            raise UserError(
                f"A scale of {self.scale_bits} bits leaves values up to {largest:g} only {numbers.limit} steps above "
                "the noise of ckks; raise federation.aggregation.settings.scale_bits, or lengthen its chain."
            )
        return numbers


def padded(raw: bytes, most: int) -> NDArray[np.uint8]:
    """Bytes and their length, with zeros behind, uint8 [4 + most]: sizes of ciphertexts and keys vary by chance.

    Raises:
        ValueError: there are more than that.
    """
    if len(raw) > most:
        raise ValueError(f"{len(raw)} bytes, and {most} are the most")
    row = np.zeros(LENGTH_BYTES + most, np.uint8)
    written = len(raw).to_bytes(LENGTH_BYTES, "little") + raw
    row[: len(written)] = np.frombuffer(written, np.uint8)
    return row


def stripped(row: NDArray[np.uint8]) -> bytes:
    """What `padded` padded.

    Raises:
        BadCiphertext: the length is beyond the row.
    """
    length = int.from_bytes(row[:LENGTH_BYTES].tobytes(), "little")
    if length > len(row) - LENGTH_BYTES:
        raise BadCiphertext("is longer than its row")
    return row[LENGTH_BYTES : LENGTH_BYTES + length].tobytes()


def _tenseal() -> Any:
    try:
        import tenseal
    except ImportError:
        raise UserError(f"The aggregator ckks needs TenSEAL; {to_install('he')}.") from None
    return tenseal
