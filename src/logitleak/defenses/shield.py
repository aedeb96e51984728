"""All defenses of one client, in their order, around its answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from logitleak.defenses.base import Defense
from logitleak.defenses.inside import Inside
from logitleak.defenses.spaces import Kind, convert
from logitleak.files.finite import all_finite
from logitleak.types import Payload


class Shield:
    """Stands between a client and whatever carries its answers.

    Args:
        uploads: (action, tensor) that carries outputs, as the scheme says.
        kind: what the scheme sends.
        defenses: the first acts on what the model said, the last on what leaves. What some of them look at hears every
            message.
    """

    def __init__(self, uploads: tuple[str, str], kind: Kind, defenses: Sequence[Defense]) -> None:
        self._action, self._tensor = uploads
        self._kind: Kind = kind
        self.defenses = list(defenses)
        insides = {id(one.inside): one.inside for one in defenses if one.inside is not None}
        self._insides: list[Inside] = list(insides.values())

    def guard(self, action: str, round: int, message: Payload, answer: Payload) -> Payload:
        """The answer that leaves: a valid one of the scheme, as the one that is given is.

        Outputs that are not all finite leave as NaN alone, without any defense, so that whoever holds them against the
        form of an answer refuses them: a defense would make a valid upload of a model that diverged, and the rows that
        are still finite are not to leave undefended.

        Args:
            action: what the server asked for.
            round: from 1; 0 before the first.
            message: what the server sent, with ``rows`` where it asks for some public rows only.
            answer: what the client would say.
        """
        for inside in self._insides:
            inside.follow(action, round, message)
        if action != self._action or not self.defenses:
            return answer
        said = answer.tensors[self._tensor]
        rows = message.tensors.get("rows", torch.arange(len(said)))
        values, form = said, self._kind
        for defense in self.defenses:
            if not all_finite(values):
                break
            values, form = convert(values, form, defense.space), defense.space
            values = defense.on_upload(values, rows, round)
        finite = all_finite(values)
        sent = (
            convert(values, form, self._kind).to(said.dtype) if finite else torch.full_like(said, torch.nan)
        )
        return Payload({**answer.tensors, self._tensor: sent}, answer.scalars)
