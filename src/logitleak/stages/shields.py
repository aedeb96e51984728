"""The defenses of a federation, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import torch

from logitleak import registry
from logitleak.config import DefenseConfig, FederationConfig
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Draws, System
from logitleak.defenses.inside import Inside
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import Kind
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.errors import UserError
from logitleak.federation.understudy import Understudy
from logitleak.schemes.base import Scheme
from logitleak.stages.banks import bank_of
from logitleak.stages.company import check_company
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


Understudies = dict[int, Understudy]
"""By client, of those who have a defense that looks inside."""


def understudies_of(
    config: DefendedFederation,
    scheme: Scheme,
    data: Mapping[int, ClientData],
    public: PublicData,
    num_classes: int,
    device: torch.device,
) -> Understudies:
    """An understudy for every client with a defense that looks inside, and for no other: each is one more model to
    train.

    Args:
        config: seed, federation and defenses.
        scheme: what is played.
        data: private data of the clients that are here.
        public: the public set.
        num_classes: J.
        device: where the models live.

    Raises:
        UserError: an unknown defense.
    """
    f, size = config.federation, public.image_size
    return {
        client: Understudy(
            scheme,
            bank_of(f, f.model_of(client), [client], size, num_classes, config.seed, device),
            own,
            public,
        )
        for client, own in data.items()
        if needs_understudy(config.defenses, client)
    }


def needs_understudy(defenses: Sequence[DefenseConfig], client: int) -> bool:
    """Whether one of a client's defenses looks inside."""
    return any(
        entry.acts_at(client) and registry.load("defense", entry.name).looks_inside for entry in defenses
    )


def shields_of(
    defenses: Sequence[DefenseConfig],
    scheme: Scheme,
    clients: Iterable[int],
    draws: MakeDraws,
    understudies: Understudies,
) -> dict[int, Shield]:
    """The shield of every client that has a defense of its uploads; for those of its training see
    `logitleak.stages.trainers`.

    Args:
        defenses: as configured, in their order.
        scheme: whose uploads they act on.
        clients: the clients that are here.
        draws: where chance is from.
        understudies: see `understudies_of`.

    Raises:
        UserError: an unknown defense or setting, or a scheme whose clients send models.
    """
    if not defenses:
        return {}
    kind = form_of(scheme.upload_kind)
    shields = {}
    for client in clients:
        mine = [
            make_defense(entry, kind, draws(place, entry.name, client), understudies.get(client))
            for place, entry in enumerate(defenses)
            if entry.acts_at(client)
        ]
        mine = [made for made in mine if not isinstance(made, TrainingDefense)]
        if mine:
            shields[client] = Shield(scheme.uploads, kind, mine, understudies.get(client))
    return shields


def make_defense(
    entry: DefenseConfig | Defended, kind: Kind, draws: Draws, inside: Inside | None = None
) -> Defense:
    """One defense with its settings.

    Raises:
        UserError: an unknown name or setting.
    """
    kind_of = registry.load("defense", entry.name)
    made: Defense = kind_of(
        registry.settings(f"defense {entry.name}", kind_of.Settings, entry.settings), kind, draws, inside
    )
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
        check_company(
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
