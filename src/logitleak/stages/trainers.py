"""How clients with training defenses learn, made from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logitleak.config import DefenseConfig, FederationConfig
from logitleak.defenses.draws import System
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.federation.trainer import Trainer
from logitleak.models import own
from logitleak.schemes.base import Scheme
from logitleak.stages.shields import MakeDraws, defenses_at, form_of, make_defense


def schedule_of(f: FederationConfig, scheme: Scheme) -> Schedule:
    """How long each client learns its private images in the whole run."""
    return Schedule(scheme.planned_epochs(1, f.rounds).private, f.batch)


def trainers_of(
    defenses: Sequence[DefenseConfig],
    f: FederationConfig,
    scheme: Scheme,
    clients: Iterable[int],
    draws: MakeDraws,
) -> dict[int, Trainer]:
    """The trainer of every client that has a training defense.

    Args:
        defenses: as configured, in their order.
        f: the federation.
        scheme: whose uploads leave.
        clients: the clients that are here.
        draws: where chance is from.

    Raises:
        UserError: an unknown defense or setting, or a scheme whose clients send models.
    """
    if not defenses:
        return {}
    kind, schedule, found = form_of(scheme.upload_kind), schedule_of(f, scheme), {}
    for client in clients:
        made = defenses_at(client, defenses, kind, draws)
        if mine := [one for one in made if isinstance(one, TrainingDefense)]:
            for one in mine:
                one.schedule = schedule
            found[client] = Trainer(mine)
    return found


def check_trained(
    defenses: Sequence[DefenseConfig],
    f: FederationConfig,
    scheme: Scheme,
    clients: Sequence[int],
    image_size: tuple[int, int],
    num_classes: int,
) -> None:
    """Raise a `UserError` unless the models of these clients can be trained as their defenses want it."""
    for entry in defenses:
        made = make_defense(entry, form_of(scheme.upload_kind), System())
        if not isinstance(made, TrainingDefense):
            continue
        for name in sorted({f.model_of(client) for client in clients if entry.acts_at(client)}):
            made.check_model(name, own.outline(name, image_size, num_classes))
