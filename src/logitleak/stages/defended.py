"""The defenses of a federation, as its transcript has them: what they leave to be seen, and whether uploads fit."""

from __future__ import annotations

from torch import Tensor

from logitleak.defenses.base import Defense
from logitleak.defenses.draws import System
from logitleak.defenses.spaces import convert
from logitleak.errors import UserError
from logitleak.stages.shields import form_of, make_defense, who
from logitleak.text import printable
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Defended


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
        said.append(f"{printable(entry.name, 100)} ({who(entry.clients)}): {how}")
    return said


def _last(view: Transcript, client: int) -> Defended | None:
    mine = [e for e in view.manifest.defenses if e.clients == "all" or client in e.clients]
    return mine[-1] if mine else None


def _known(entry: Defended, view: Transcript) -> Defense | None:
    """The defense that a transcript names; None where there is none such here, or no such setting."""
    try:
        return make_defense(entry, form_of(view.upload_kind), System())
    except UserError:
        return None


def _who(entry: Defended) -> str:
    said = who(entry.clients)
    one = said.startswith("client ")
    return f"{said.capitalize()} change{'s its' if one else ' their'} outputs"
