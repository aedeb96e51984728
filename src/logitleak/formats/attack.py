"""``attacks/NAME/attack.json``: what an attack says of itself once it is finished."""

from __future__ import annotations

from typing import ClassVar

from logitleak.choices import Reading, Tuning, View
from logitleak.formats.parts import AttackLoss, Free, Record


class AttackFile(Record):
    """A finished attack.

    Attributes:
        attack: the registered attack.
        prior, prior_settings: null where the prior has no weight.
        tune: how its settings were chosen.
        view: what the server sees: clients, or their sum.
        uploads: how the clients' uploads are read: with their defenses undone as far as they can be, or as they came.
        kind: "attack" or "baseline".
        compares_clients: whether one client's images depend on what others sent.
        settings: as used.
        needs: what it needs of a transcript.
        assumptions: sentences.
        choices: what it chose by itself, such as τ and λ in every round.
        losses: of its training; empty for closed forms.
    """

    older: ClassVar = {"tune": "none", "view": "clients", "uploads": "as-sent", "compares_clients": False}
    remedy = "attack again with `logitleak attack RUN`, under the same --name"

    attack: str
    prior: str | None
    prior_settings: Free | None
    tune: Tuning
    view: View
    uploads: Reading
    kind: str
    compares_clients: bool
    settings: Free
    needs: list[str]
    assumptions: list[str]
    choices: Free
    losses: list[AttackLoss]
