"""All defenses of one client undone, from the last to the first: what a server that knows of them reads in an upload.

It is the way back through `logitleak.defenses.shield`, as far as each defense brings one. What a defense of which
nothing can be undone has changed stays changed, and those before it are undone all the same: their inverse is then a
guess, and the best that there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from logitleak.defenses.base import Defense
from logitleak.defenses.spaces import Kind, convert


def undone(values: Tensor, kind: Kind, defenses: Sequence[Defense]) -> tuple[Tensor, Tensor]:
    """What an upload is taken for, and which of its rows say anything.

    Args:
        values: float [n, J] as they left, in the form that the scheme sends.
        kind: that form.
        defenses: of this client, in the order in which they acted.

    Returns:
        float64 [n, J] in the same form, and bool [n].
    """
    found, form = values.double(), kind
    heard = torch.ones(len(values), dtype=torch.bool)
    for defense in reversed(defenses):
        if not defense.undoable or len(values) == 0:
            continue
        found, form = convert(found, form, defense.space), defense.space
        heard &= ~defense.silent(found)
        found = defense.undo(found)
    return convert(found, form, kind), heard


def undone_by_means(kind: Kind, defenses: Sequence[Defense]) -> list[Defense]:
    """Those of some defenses, in their order, that can be undone where the mean of uploads is seen and no single one.

    The way back goes on for as long as the mean of what is undone is what is undone of the mean: through what acts on
    what the scheme sends, and is linear. All clients must have the same defenses.
    """
    found: list[Defense] = []
    for defense in reversed(defenses):
        if defense.space != kind or not defense.linear:
            break
        found.insert(0, defense)
    return found
