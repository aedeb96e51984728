"""Which defenses of one client bear each other: none may void what another promises."""

from __future__ import annotations

from collections.abc import Sequence

from logitleak.defenses.base import Defense
from logitleak.defenses.training import TrainingDefense
from logitleak.errors import UserError


def check_combined(mine: Sequence[tuple[str, Defense]]) -> None:
    """Raise a `UserError` unless a client can have these defenses together.

    Args:
        mine: their names and themselves, in their order.
    """
    training = [(name, made) for name, made in mine if isinstance(made, TrainingDefense)]
    for place, (name, one) in enumerate(training):
        others = [other for other, _ in training[:place] + training[place + 1 :]]
        if one.alone and others:
            raise UserError(
                f"The defense {name} bears no other training defense beside it, since it could not say what steps "
                f"promise then; leave {others[0]} out at its clients, or {name}."
            )
        if one.first and place > 0:
            raise UserError(
                f"Behind {others[0]} the defense {name} does not choose alone which images are learnt from; put {name} "
                "first."
            )
    for name, made in mine:
        promising = [other for other, each in training if each.guarantee(1, 1) != "none"]
        if made.looks_inside and promising:  # whatever the order: training comes before any upload
            raise UserError(
                f"The defense {name} looks at private data, and voids what {promising[0]} promises of them; leave "
                "one of the two out."
            )
        if training and made.company is not None and made.company.teachers:
            raise UserError(
                f"Behind the defense {name} only what its teachers say leaves, and {training[0][0]} changes how the "
                "client's own model learns, not them; leave one of the two out."
            )
    _check_order(mine)


def _check_order(mine: Sequence[tuple[str, Defense]]) -> None:
    """Of defenses of uploads none that looks at private data may act behind one that promises something, and none that
    puts an understudy's outputs in place of a client's own behind one that has changed those."""
    before: str | None = None
    changed: str | None = None
    for name, made in mine:
        if isinstance(made, TrainingDefense):
            continue
        if made.looks_inside and before is not None:
            raise UserError(
                f"The defense {name} looks at private data, and behind {before} it voids what that "
                f"promises; put {name} first."
            )
        replaces = made.company is not None and not made.company.teachers
        if replaces and changed is not None:
            raise UserError(
                f"The defense {name} puts outputs of an understudy beside those that {changed} has changed, which "
                f"tells them apart; put {name} first."
            )
        if made.guarantee(1, 1) != "none":
            before = name
        if not replaces:
            changed = name
