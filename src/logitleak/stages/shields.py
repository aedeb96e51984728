"""The defenses of a federation, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import torch

from logitleak import registry
from logitleak.config import DefenseConfig, FederationConfig
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Draws, System
from logitleak.defenses.inside import Company, Inside
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import Kind
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.errors import UserError
from logitleak.federation.company import Accompanied
from logitleak.schemes.base import Scheme
from logitleak.stages.banks import bank_of
from logitleak.stages.combined import check_combined
from logitleak.types import ClientData, PublicData, UploadKind
from logitleak.wire.writer import Defended, PrivateTraining

MakeDraws = Callable[..., Draws]
"""From the names of a use (place in the list, defense, client) to where its chance is from."""


class DefendedFederation(Protocol):
    """The part of a configuration, of a simulation or of a deployment, that is about this."""

    @property
    def seed(self) -> int: ...

    @property
    def federation(self) -> FederationConfig: ...

    @property
    def defenses(self) -> list[DefenseConfig]: ...


Insides = dict[int, dict[Company, Accompanied]]
"""By client, of those who train models beside their own for a defense."""


def insides_of(
    config: DefendedFederation,
    scheme: Scheme,
    data: Mapping[int, ClientData],
    public: PublicData,
    num_classes: int,
    device: torch.device,
) -> Insides:
    """The models that clients train beside their own, once for all defenses of a client that want the same.

    Args:
        config: seed, federation and defenses.
        scheme: what is played.
        data: private data of the clients that are here.
        public: the public set.
        num_classes: J.
        device: where the models live.

    Raises:
        UserError: an unknown defense or setting, or a share of private images from which no model can learn.
    """
    f, size = config.federation, public.image_size

    def accompanied(client: int, company: Company) -> Accompanied:
        teachers = [f"{client}/teacher-{place}" for place in range(company.teachers)]
        members: Sequence[str | int] = teachers or [client]
        bank = bank_of(f, f.model_of(client), members, size, num_classes, config.seed, device)
        return Accompanied(scheme, bank, company, data[client], public)

    found: Insides = {}
    for client in data:
        if wanted := companies(config.defenses, client):
            found[client] = {company: accompanied(client, company) for company in wanted}
    return found


def companies(defenses: Sequence[DefenseConfig], client: int) -> list[Company]:
    """What models a client trains beside its own.

    Raises:
        UserError: an unknown defense or setting.
    """
    made = defenses_at(client, defenses, "logits", lambda *names: System())
    return list(dict.fromkeys(one.company for one in made if one.company is not None))


def shields_of(
    defenses: Sequence[DefenseConfig],
    scheme: Scheme,
    clients: Iterable[int],
    draws: MakeDraws,
    insides: Insides,
) -> dict[int, Shield]:
    """The shield of every client that has a defense of its uploads; for those of its training see
    `logitleak.stages.trainers`.

    Args:
        defenses: as configured, in their order.
        scheme: whose uploads they act on.
        clients: the clients that are here.
        draws: where chance is from.
        insides: see `insides_of`.

    Raises:
        UserError: an unknown defense or setting, or a scheme whose clients send models.
    """
    if not defenses:
        return {}
    kind = form_of(scheme.upload_kind)
    shields = {}
    for client in clients:
        made = defenses_at(client, defenses, kind, draws, insides.get(client))
        if mine := [one for one in made if not isinstance(one, TrainingDefense)]:
            shields[client] = Shield(scheme.uploads, kind, mine)
    return shields


def defenses_at(
    client: int,
    defenses: Sequence[DefenseConfig],
    kind: Kind,
    draws: MakeDraws,
    insides: Mapping[Company, Inside] | None = None,
) -> list[Defense]:
    """The defenses of one client, of both kinds, in their order; see `make_defense`.

    Raises:
        UserError: an unknown name or setting.
    """
    return [
        make_defense(entry, kind, draws(place, entry.name, client), insides)
        for place, entry in enumerate(defenses)
        if entry.acts_at(client)
    ]


def make_defense(
    entry: DefenseConfig | Defended,
    kind: Kind,
    draws: Draws,
    insides: Mapping[Company, Inside] | None = None,
) -> Defense:
    """One defense with its settings.

    Args:
        entry: which.
        kind: what the scheme sends.
        draws: where its chance is from.
        insides: what its client trains beside its own model; None where it is only described or checked.

    Raises:
        UserError: an unknown name or setting.
    """
    kind_of = registry.load("defense", entry.name)
    made: Defense = kind_of(
        registry.settings(f"defense {entry.name}", kind_of.Settings, entry.settings), kind, draws
    )
    if made.company is not None and insides is not None:
        made.inside = insides[made.company]
    return made


def check_defenses(defenses: Sequence[DefenseConfig], scheme: Scheme, clients: int) -> None:
    """Raise a `UserError` unless so many clients of this scheme can have these defenses."""
    made = [make_defense(entry, form_of(scheme.upload_kind), System()) for entry in defenses]
    for entry, one in zip(defenses, made, strict=True):
        if isinstance(one, TrainingDefense):
            one.check_installed()
        for client in () if entry.clients == "all" else entry.clients:
            if client >= clients:
                raise UserError(
                    f"The defense {entry.name} is for client {client}, and clients are 0 to {clients - 1}; correct "
                    "defenses or federation.clients."
                )
    acting = [tuple(entry.acts_at(client) for entry in defenses) for client in range(clients)]
    for mine in dict.fromkeys(acting):  # clients with the same ones need one look
        check_combined(
            [(entry.name, one) for entry, one, acts in zip(defenses, made, mine, strict=True) if acts]
        )


def form_of(kind: UploadKind) -> Kind:
    """What defenses have to do with, from what clients send.

    Raises:
        UserError: clients send models.
    """
    if kind in ("logits", "probabilities"):
        return kind
    raise UserError(
        f"Defenses act on outputs, and clients of this scheme send {kind}; leave defenses out, or use another scheme."
    )


def who(clients: Literal["all"] | list[int]) -> str:
    """Such as "client 3"."""
    if clients == "all":
        return "all clients"
    return f"client{'' if len(clients) == 1 else 's'} {', '.join(map(str, clients))}"


def on_record(defenses: Sequence[DefenseConfig], schedule: Schedule | None = None) -> list[Defended]:
    """What ``wire/`` says of defenses: their settings are written out, defaults included.

    Args:
        defenses: as configured.
        schedule: how long clients learn private images, for defenses that act then.
    """
    found = []
    for entry in defenses:
        kind_of = registry.load("defense", entry.name)
        settings = registry.settings(f"defense {entry.name}", kind_of.Settings, entry.settings)
        told = settings.model_dump(mode="json")
        training = None
        if schedule is not None and issubclass(kind_of, TrainingDefense):
            training = PrivateTraining(epochs=schedule.epochs, batch=schedule.batch)
        found.append(Defended(name=entry.name, settings=told, clients=entry.clients, training=training))
    return found
