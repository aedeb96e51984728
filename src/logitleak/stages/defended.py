"""The defenses of a federation, as its transcript has them: what they leave to be seen, and whether uploads fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from logitleak.defenses.base import Defense
from logitleak.defenses.draws import System
from logitleak.defenses.spaces import convert
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.errors import UserError
from logitleak.stages.shields import form_of, make_defense, who
from logitleak.text import printable
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Defended


@dataclass(frozen=True)
class Known:
    """A defense on record, and the plug-in that it names: None where there is none such here, or no such setting."""

    entry: Defended
    made: Defense | None

    @property
    def name(self) -> str:
        """As a terminal can show it."""
        return printable(self.entry.name, 100)


def on_record(view: Transcript) -> list[Known]:
    """The defenses that a transcript names, in their order."""
    return [Known(entry, _made(entry, view)) for entry in view.manifest.defenses]


def last_of_each(view: Transcript) -> dict[int, Known]:
    """The one that acts last on the uploads of each client that has any: its mark is on what leaves."""
    found = {}
    for known in on_record(view):
        if isinstance(known.made, TrainingDefense):
            continue
        everybody = known.entry.clients == "all"
        for client in range(view.clients) if everybody else known.entry.clients:
            found[int(client)] = known
    return found


_LEAST = " At least: uploads of rounds that were not recorded are not counted."
"""What is said of a promise that adds rounds up, where a recording may have left some out."""


def described(
    view: Transcript, images: Mapping[int, Sequence[int]] | None = None, recorded: bool = False
) -> list[str]:
    """What the defenses on record leave for the server to see, and what they promise: a sentence or two for each.

    Args:
        view: the transcript.
        images: by client how many private images it has, in every world; None where nobody who is asked knows.
        recorded: whether the federation ran elsewhere, so that it may have had more rounds than these.
    """
    said = []
    for known in on_record(view):
        told = who(known.entry.clients)
        one = told.startswith("client ")
        first = f"{told.capitalize()} change{'s its' if one else ' their'} outputs first"
        if isinstance(known.made, TrainingDefense):
            first = f"{told.capitalize()} learn{'s its' if one else ' their'} private images in another way"
            known.made.schedule = _schedule(known.entry, view, images or {})
        if known.made is None:
            said.append(f"{first}, by a defense that is not known here: {known.name}. Guarantee: none.")
            continue
        rows = len(view.knowledge.public)
        guarantee = known.made.guarantee(rows, view.asked)
        adds_up = guarantee != known.made.guarantee(rows, view.asked + 1)
        least = _LEAST if recorded and adds_up else ""
        said.append(f"{first} ({known.name}): {known.made.sees()} Guarantee: {guarantee}.{least}")
    return said


def promised(view: Transcript) -> dict[str, str]:
    """What each defense on record promises, by its name; without those that promise nothing."""
    rows = len(view.knowledge.public)
    said = {known.name: known.made.guarantee(rows, view.asked) for known in on_record(view) if known.made}
    return {name: guarantee for name, guarantee in said.items() if not guarantee.startswith("none")}


def _schedule(entry: Defended, view: Transcript, images: Mapping[int, Sequence[int]]) -> Schedule | None:
    if entry.training is None:
        return None
    clients = range(view.clients) if entry.clients == "all" else entry.clients
    counts = tuple(count for client in clients for count in images.get(client, ()))
    return Schedule(entry.training.epochs, entry.training.batch, counts)


def fits(known: Known, values: Tensor) -> bool:
    """Whether an upload [n, J], as it travelled, may have come through a defense last, as far as that can be told."""
    made = known.made
    return made is None or made.fits(convert(values, made.kind, made.space)) is not False


def marks(view: Transcript) -> list[str]:
    """For each defense on record whether uploads are held against it."""
    said, last = [], {id(known.entry) for known in last_of_each(view).values()}
    for known in on_record(view):
        if view.summed:
            how = "only the mean of the uploads is on record, so none is held against it"
        elif known.made is None or type(known.made).fits is Defense.fits:
            how = "uploads show no trace of it"
        elif id(known.entry) in last:
            how = "uploads are held against it"
        else:
            how = "others act after it, so uploads need not show it"
        said.append(f"{known.name} ({who(known.entry.clients)}): {how}")
    return said


def _made(entry: Defended, view: Transcript) -> Defense | None:
    try:
        return make_defense(entry, form_of(view.upload_kind), System())
    except UserError:
        return None
