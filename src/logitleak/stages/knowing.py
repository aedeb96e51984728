"""The attacker adapts: it knows the defenses that clients were told to use, and undoes what can be undone.

Which ones these are is in ``wire/manifest.json``, for everybody. Nothing is known here that is sealed, and of a
federation without defenses every view stays what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from logitleak.attacks.undone import UndoneView
from logitleak.attacks.views import SumView, ViewOf
from logitleak.choices import Reading
from logitleak.config import AttackConfig
from logitleak.defenses.base import Defense
from logitleak.defenses.undoing import undone_by_means
from logitleak.stages.defended import Known, on_record
from logitleak.stages.shields import form_of
from logitleak.types import MODEL_KINDS, ServerView
from logitleak.wire.transcript import Transcript


def as_attacked(view: ServerView, entry: AttackConfig) -> ServerView:
    """What an attack of a run gets to see of a federation: single clients or their sum, with their defenses undone or
    as they were sent.

    Raises:
        UserError: the sum is asked for, and clients send models.
    """
    return as_read(SumView(view) if entry.view == "sum" else view, entry.uploads)


def as_read(view: ServerView, uploads: Reading = "undone") -> ServerView:
    """A view whose uploads are read so.

    Args:
        view: of a transcript: all of it, a sum, or fewer rounds. Its clients are those of the transcript, or one that
            is the mean of some.
        uploads: "undone", by who knows of the defenses; or "as-sent", by who does not.
    """
    chains = undoable(view) if uploads == "undone" else []
    return UndoneView(view, form_of(view.upload_kind), chains) if chains else view


def undoable(view: ServerView) -> list[list[Defense]]:
    """For each client of a view its defenses, in their order; empty where nothing of any can be undone.

    A server that sees a mean undoes what is the same for all clients whose mean it is, and commutes with the mean.
    """
    transcript, members = _source(view)
    if transcript is None or view.upload_kind in MODEL_KINDS:
        return []
    return _chains(view, on_record(transcript), members)


def _chains(view: ServerView, known: Sequence[Known], members: Sequence[int] | None) -> list[list[Defense]]:
    """See `undoable`.

    Args:
        view: whose uploads are outputs.
        known: the defenses on record.
        members: see `_source`.
    """
    if members is None:
        chains = [_made(known, client) for client in range(view.clients)]
    else:
        each = [_made(known, client) for client in members]
        alike = all(one == each[0] for one in each)
        chains = [undone_by_means(form_of(view.upload_kind), each[0]) if alike else []]
    return chains if any(one.undoable for chain in chains for one in chain) else []


def described(view: Transcript) -> list[str]:
    """What attacks make of the uploads of a federation, for its threat model: a sentence or two; none where clients use
    no defense."""
    known = on_record(view)
    if not known:
        return []
    chains = [] if view.upload_kind in MODEL_KINDS else _chains(view, known, _source(view)[1])
    acting = {id(one) for chain in chains for one in chain if one.undoable}
    said = [f"{one.name}: {one.made.undoing}" for one in known if one.made and id(one.made) in acting]
    first = "Which defenses clients were told to use, with their settings and in their order."
    if not said:
        return [f"{first} Attacks know of no way to undo them, and read uploads as they are."]
    return [f"{first} Attacks undo what can be undone. {' '.join(dict.fromkeys(said))}"]


def _made(known: Sequence[Known], client: int) -> list[Defense]:
    """The defenses of one client that are known here."""
    return [
        one.made
        for one in known
        if one.made is not None and (one.entry.clients == "all" or client in one.entry.clients)
    ]


def _source(view: ServerView) -> tuple[Transcript | None, Sequence[int] | None]:
    """The transcript that a view stands on, None where there is none; and the clients whose mean is seen, None where
    each is."""
    members: Sequence[int] | None = None
    while isinstance(view, ViewOf):
        if isinstance(view, SumView):
            members = view.members
        view = view.inner
    if not isinstance(view, Transcript):
        return None, members
    return view, range(view.parties) if view.summed else members
