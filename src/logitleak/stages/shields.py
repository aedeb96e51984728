"""The defenses of a federation: made from its configuration, and described from its transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from logitleak import registry
from logitleak.config import DefenseConfig
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Draws, System
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import Kind, convert
from logitleak.errors import UserError
from logitleak.schemes.base import Scheme
from logitleak.text import printable
from logitleak.types import UploadKind
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Defended

MakeDraws = Callable[..., Draws]
"""From the names of a use (place in the list, defense, client) to where its chance is from."""


def shields_of(
    defenses: Sequence[DefenseConfig], scheme: Scheme, clients: Iterable[int], draws: MakeDraws
) -> dict[int, Shield]:
    """The shield of every client that has a defense.

    Args:
        defenses: as configured, in their order.
        scheme: whose uploads they act on.
        clients: the clients that are here.
        draws: where chance is from.

    Raises:
        UserError: an unknown defense or setting, or a scheme whose clients send models.
    """
    if not defenses:
        return {}
    kind = _kind(scheme.upload_kind)
    shields = {}
    for client in clients:
        mine = [
            make_defense(entry, kind, draws(place, entry.name, client))
            for place, entry in enumerate(defenses)
            if entry.acts_at(client)
        ]
        if mine:
            shields[client] = Shield(scheme.uploads, kind, mine)
    return shields


def make_defense(entry: DefenseConfig | Defended, kind: Kind, draws: Draws) -> Defense:
    """One defense with its settings.

    Raises:
        UserError: an unknown name or setting.
    """
    kind_of = registry.load("defense", entry.name)
    made: Defense = kind_of(
        registry.settings(f"defense {entry.name}", kind_of.Settings, entry.settings), kind, draws
    )
    return made


def check_defenses(defenses: Sequence[DefenseConfig], scheme: Scheme, clients: int) -> None:
    """Raise a `UserError` unless so many clients of this scheme can have these defenses."""
    for entry in defenses:
        make_defense(entry, _kind(scheme.upload_kind), System())
        for client in () if entry.clients == "all" else entry.clients:
            if client >= clients:
                raise UserError(
                    f"The defense {entry.name} is for client {client}, and clients are 0 to {clients - 1}; correct "
                    "defenses or federation.clients."
                )


def _kind(kind: UploadKind) -> Kind:
    if kind in ("logits", "probabilities"):
        return kind
    raise UserError(
        f"Defenses act on outputs, and clients of this scheme send {kind}; leave defenses out, or use another scheme."
    )


def on_record(defenses: Sequence[DefenseConfig]) -> list[Defended]:
    """What ``wire/`` says of defenses: their settings are written out, defaults included."""
    found = []
    for entry in defenses:
        model = registry.load("defense", entry.name).Settings
        settings = registry.settings(f"defense {entry.name}", model, entry.settings).model_dump(mode="json")
        found.append(Defended(name=entry.name, settings=settings, clients=entry.clients))
    return found


def described(view: Transcript) -> list[str]:
    """What the defenses on record leave for the server to see, and what they promise: a sentence or two for each."""
    said = []
    for entry in view.manifest.defenses:
        made = _known(entry, view)
        name = printable(entry.name, 100)
        if made is None:
            said.append(f"{_who(entry)} first, by a defense that is not known here: {name}. Guarantee: none.")
            continue
        guarantee = made.guarantee(len(view.knowledge.public), view.rounds)
        said.append(f"{_who(entry)} first ({name}): {made.sees()} Guarantee: {guarantee}.")
    return said


def misfits(view: Transcript, client: int, values: Tensor) -> str | None:
    """The last defense on record for a client, where an upload cannot have come through it; those before it need not
    have left a mark.

    Args:
        view: the transcript.
        client: whose upload.
        values: [n, J], as it travelled.
    """
    entry = _last(view, client)
    made = None if entry is None else _known(entry, view)
    if entry is None or made is None:
        return None
    form = convert(values, made.kind, made.space)
    return printable(entry.name, 100) if made.fits(form) is False else None


def marks(view: Transcript) -> list[str]:
    """For each defense on record whether uploads show it: that is looked at for the last one of a client."""
    said = []
    for entry in view.manifest.defenses:
        made = _known(entry, view)
        visible = made is not None and type(made).fits is not Defense.fits
        last = any(_last(view, client) is entry for client in range(view.clients))
        how = (
            "uploads show no trace of it"
            if not visible
            else "uploads are held against it"
            if last
            else "others act after it, so uploads need not show it"
        )
        said.append(f"{printable(entry.name, 100)} ({_who(entry, brief=True)}): {how}")
    return said


def _last(view: Transcript, client: int) -> Defended | None:
    mine = [e for e in view.manifest.defenses if e.clients == "all" or client in e.clients]
    return mine[-1] if mine else None


def _known(entry: Defended, view: Transcript) -> Defense | None:
    """The defense that a transcript names; None where there is none such here, or no such setting."""
    try:
        return make_defense(entry, _kind(view.upload_kind), System())
    except UserError:
        return None


def _who(entry: Defended, brief: bool = False) -> str:
    if entry.clients == "all":
        return "all clients" if brief else "All clients change their outputs"
    listed = ", ".join(map(str, entry.clients))
    one = len(entry.clients) == 1
    who = f"client{'' if one else 's'} {listed}"
    return who if brief else f"{who.capitalize()} change{'s its' if one else ' their'} outputs"
