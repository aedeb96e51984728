"""The two halves of a sum, made from a federation's configuration. What needs keys is imported where a sum is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logitleak.aggregation.ckks import CKKS
from logitleak.aggregation.secure_sum import SecureSum
from logitleak.config import FederationConfig
from logitleak.deploy.sums.server import Forms, RemoteSums
from logitleak.deploy.sums.steps import majority
from logitleak.errors import UserError
from logitleak.schemes.base import Scheme
from logitleak.stages.aggregation import check_sum, hiding_of

if TYPE_CHECKING:
    from logitleak.deploy.sums.party import Party


def check_deployed(f: FederationConfig, scheme: Scheme) -> None:
    """Raise a `UserError` where the sum of a federation cannot be had from clients that are elsewhere."""
    hiding = check_sum(f, scheme, no_secrets)
    if hiding is not None and not isinstance(hiding, SecureSum | CKKS):
        raise UserError(
            f"The aggregator {f.aggregation.kind} is simulated only; over Flower use "
            "federation.aggregation=secure-sum, or ckks."
        )
    if hiding is not None and f.drawn < majority(f.clients):
        raise UserError(
            f"Over Flower clients open sums of a majority alone, and federation.participation draws {f.drawn} of "
            f"{f.clients} clients for each round; raise it, or use federation.aggregation=plain."
        )


def party_of(f: FederationConfig, scheme: Scheme, client: int) -> Party | None:
    """A client's half; None where every upload is seen."""
    hiding = hiding_of(f, scheme.upload_kind, no_secrets)
    if isinstance(hiding, SecureSum):
        from logitleak.deploy.sums.masked_party import MaskedParty

        return MaskedParty(client, hiding)
    if isinstance(hiding, CKKS):
        from logitleak.deploy.sums.encrypted_party import EncryptedParty

        return EncryptedParty(client, hiding)
    return None


def sums_of(f: FederationConfig, scheme: Scheme, form: Forms) -> RemoteSums | None:
    """The server's half; None where every upload is seen."""
    hiding = hiding_of(f, scheme.upload_kind, no_secrets)
    if isinstance(hiding, SecureSum):
        from logitleak.deploy.sums.masked_server import MaskedSums

        return MaskedSums(hiding, form, f.drawn)
    if isinstance(hiding, CKKS):
        from logitleak.deploy.sums.encrypted_server import EncryptedSums

        return EncryptedSums(hiding, form)
    return None


def no_secrets(*names: str | int) -> bytes:
    """Where clients are elsewhere nobody derives their secrets from a seed."""
    raise AssertionError("clients draw their own keys")
