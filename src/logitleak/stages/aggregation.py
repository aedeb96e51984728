"""The aggregator of a federation, made from its configuration, and what a transcript says of it."""

from __future__ import annotations

from functools import partial

from logitleak import registry
from logitleak.aggregation.base import Hiding, Secrets
from logitleak.config import Config, FederationConfig
from logitleak.errors import UserError
from logitleak.schemes.base import Scheme
from logitleak.seeds import derive_bytes
from logitleak.text import printable
from logitleak.types import UploadKind
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Aggregated


def hiding_of(f: FederationConfig, kind: UploadKind, secrets: Secrets) -> Hiding | None:
    """What hides single uploads; None where each is seen.

    Args:
        f: the federation.
        kind: what clients send.
        secrets: where keys are from.

    Raises:
        UserError: an unknown setting, a missing package, or clients that cannot be summed so.
    """
    made = registry.load("aggregator", f.aggregation.kind)
    what = f"aggregator {f.aggregation.kind}"
    settings = registry.settings(what, made.Settings, f.aggregation.settings)
    if not issubclass(made, Hiding):
        return None
    hiding: Hiding = made(settings, kind, f.clients, secrets)
    return hiding


def secrets_of(seed: int, world: int) -> Secrets:
    """The secrets of simulated clients, which no attacker is told."""
    return partial(derive_bytes, seed, "aggregation", world)


def check_sum(f: FederationConfig, scheme: Scheme, secrets: Secrets) -> Hiding | None:
    """What hides the uploads of a federation; None where nothing does.

    Raises:
        UserError: its scheme cannot go on with sums alone, or its clients cannot be summed.
    """
    kind = f.aggregation.kind
    hides = issubclass(registry.load("aggregator", kind), Hiding)
    if hides and not scheme.averages:
        raise UserError(
            f"The server of {f.scheme} needs single answers, and {kind} shows their mean alone; use fedmd or dsfl, or "
            "federation.aggregation=plain."
        )
    if hides and f.clients < 2:
        raise UserError(
            f"A sum of one client is its upload, and {kind} would hide nothing; raise federation.clients."
        )
    if hides and f.drawn < 2:
        raise UserError(
            f"A sum of one client is its upload, and federation.participation draws one of {f.clients} for each round; "
            "raise it."
        )
    hiding = hiding_of(f, scheme.upload_kind, secrets)
    if hiding is not None and hiding.seen_by == "client" and not scheme.own_model_is_null:
        raise UserError(
            f"The server of {f.scheme} learns from the mean, so it must get it; set "
            "federation.aggregation.settings.server=participant, or use fedmd."
        )
    if hiding is not None and hiding.seen_by == "client" and f.drawn < f.clients:
        raise UserError(
            f"Only who takes part in a round has its mean, and federation.participation draws {f.drawn} of {f.clients} "
            "clients, so that no client has all means; set federation.participation=1, or "
            "federation.aggregation.settings.server=participant."
        )
    return hiding


def check_aggregation(config: Config, scheme: Scheme) -> Hiding | None:
    """What hides the uploads of a configuration; None where nothing does.

    Raises:
        UserError: this federation cannot go on with sums alone.
    """
    kind = config.federation.aggregation.kind
    hiding = check_sum(config.federation, scheme, secrets_of(config.seed, 0))
    if hiding is not None and config.candidates:
        raise UserError(
            f"What single clients would say of candidates is not seen behind {kind}; leave out candidates, or use "
            "federation.aggregation=plain."
        )
    for name, entry in config.attacks.items() if hiding is not None else ():
        if entry.settings.get("reference") == "others":
            raise UserError(
                f'The attack "{name}" compares clients (reference "others"), and {kind} shows none; use '
                "reference=server, or reference=shadow."
            )
    return hiding


def on_record(f: FederationConfig, hiding: Hiding | None) -> Aggregated | None:
    """What ``wire/`` says of it, all settings written out."""
    if hiding is None:
        return None
    return Aggregated(
        kind=f.aggregation.kind, settings=hiding.settings.model_dump(mode="json"), seen_by=hiding.seen_by
    )


def aggregation_of(view: Transcript) -> str:
    """The kind of aggregator behind which the mean of the uploads alone was seen, as a report can show it; "plain"
    where each was."""
    record = view.manifest.aggregation
    return "plain" if record is None else printable(record.kind, 100)


def described(view: Transcript, outputs: str, drawn: int | None = None) -> list[str]:
    """What is seen of uploads, in sentences.

    Args:
        view: a transcript of means.
        outputs: such as "logits on the public images".
        drawn: how many clients were drawn for each round; None where all take part.
    """
    record = view.manifest.aggregation
    assert record is not None  # else there are single uploads, and these are not asked about
    known = record.kind in registry.names("aggregator")
    made = registry.load("aggregator", record.kind) if known else None
    how = made.how if made is not None and issubclass(made, Hiding) else "How is not known here."
    whose = f"all {view.parties} clients' {outputs}"
    if drawn is not None:
        whose = f"the {outputs} of those who took part, {drawn} of {view.parties} clients"
    return [
        f"The mean of {whose}, in each of {view.rounds} rounds, and no single client's.",
        f"Which clients took part in each of these means. {how} ({printable(record.kind, 100)}) Guarantee: none; a "
        "mean can name whose data are in it.",
    ]


def adversary(view: Transcript) -> str:
    """Who has the mean of a transcript of means."""
    record = view.manifest.aggregation
    if record is not None and record.seen_by == "client":
        return (
            "An honest-but-curious client: it follows the protocol and looks at the mean that it decrypts. The server "
            "sees ciphertexts, their sizes and who sent them, and has nothing to attack; what is called the server's "
            "in this run, anybody with the public set has."
        )
    return "An honest-but-curious server: it follows the protocol and looks at what it receives."
