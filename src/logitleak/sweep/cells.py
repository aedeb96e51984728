"""The cells of a sweep: every combination of its axes, each a configuration with one federation and one attack."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from logitleak import __version__
from logitleak.config import Config, parse
from logitleak.config.model import BESIDE
from logitleak.config.overrides import set_value
from logitleak.errors import UserError, did_you_mean
from logitleak.stages.check import check
from logitleak.sweep.config import Bundle, Sweep, axis_name


@dataclass(frozen=True)
class Axis:
    """One axis: its name, and for every label the settings that it stands for."""

    name: str
    choices: Sequence[tuple[Any, dict[str, Any]]]

    @property
    def attacks(self) -> set[str]:
        """The attacks that it makes variants of; empty where it changes the federation."""
        keys = [key for _, settings in self.choices for key in settings]
        if not all(key.startswith("attacks.") for key in keys):
            return set()
        return {key.split(".")[1] for key in keys}


@dataclass(frozen=True)
class Cell:
    """One attack on one federation.

    Attributes:
        axes: where it lies: the label of every axis that concerns it.
        attack: the name of its attack.
        config: its configuration, with this attack alone; the attack is called `ATTACK`.
        federation: the content hash of the federation and of the version of the tool, shared by cells. What another
            version computed is not mixed with what this one computes.
        id: the content hash of federation and attack.
    """

    axes: dict[str, Any]
    attack: str
    config: Config
    federation: str
    id: str


ATTACK = "attack"


def expand(sweep: Sweep) -> list[Cell]:
    """Every cell of a sweep, federations in the order of the grid.

    Raises:
        UserError: a configuration of the grid is not valid, or its data are missing; nothing runs before all fit.
    """
    cells = combine(sweep)
    _check_federations(cells)
    return cells


def combine(sweep: Sweep) -> list[Cell]:
    """The same without a look at the data.

    Raises:
        UserError: the axes do not fit the base, or a configuration has unknown keys or values out of range.
    """
    axes = [_axis(name, given) for name, given in sweep.grid.items()]
    _check_axes(axes)
    _check_shows(sweep, axes)
    shared = [axis for axis in axes if not axis.attacks]
    base = dict(sweep.base) if isinstance(sweep.base, dict) else {}
    cells = []
    known: dict[str, None] = {}  # by name, in the order of the grid: a bundle of settings may bring its own
    for labels, values in _combinations(base, shared):
        parsed = parse(values)  # attacks by name, and every name of the config is known
        known |= dict.fromkeys(parsed.attacks)
        for attack in parsed.attacks if sweep.attacks is None else sweep.attacks:
            if attack not in parsed.attacks:
                continue
            own = [axis for axis in axes if attack in axis.attacks]
            _check_names([*shared, *own])
            for own_labels, varied in _combinations(values, own, attack):
                cells.append(_cell({**labels, **own_labels}, attack, parse(varied)))
    _check_attacks(sweep, axes, list(known))
    if not cells:
        raise UserError("The sweep has no cell: no attack is configured; give base.attacks some.")
    return cells


def _axis(name: str, given: list[Any] | Bundle) -> Axis:
    if isinstance(given, dict):
        return Axis(name, [(label, dict(settings or {})) for label, settings in given.items()])
    return Axis(axis_name(name), [(_label(value), {name: value}) for value in given])


def _label(value: Any) -> Any:
    """Plain values label themselves; a list or a mapping is written out."""
    return value if isinstance(value, (str, int, float, bool)) or value is None else json.dumps(value)


def _combinations(
    base: dict[str, Any], axes: Sequence[Axis], attack: str | None = None
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Labels and values of every combination of axes; of one attack's settings only, where one is named."""
    for combination in itertools.product(*(axis.choices for axis in axes)):
        values = copy.deepcopy(base)
        for _, settings in combination:
            for key, value in settings.items():
                if attack is None or key.split(".")[1] == attack:
                    set_value(values, key, copy.deepcopy(value))
        yield {axis.name: label for axis, (label, _) in zip(axes, combination, strict=True)}, values


def _cell(axes: dict[str, Any], attack: str, config: Config) -> Cell:
    # no attack of a cell is primary, and its attack has another name
    alone = config.model_copy(update={"attacks": {ATTACK: config.attacks[attack]}, "primary": None})
    federation = _hash(__version__, alone.federation_hash())
    identity = _hash(federation, alone.attack_hash(ATTACK))
    return Cell({**axes, "attack": attack}, attack, alone, federation, identity)


def _hash(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _check_axes(axes: Sequence[Axis]) -> None:
    """Every axis must change something that a cell's number can depend on."""
    for axis in axes:
        keys = {key.split(".")[0] for _, settings in axis.choices for key in settings}
        if keys and keys <= BESIDE:
            raise UserError(
                f'The axis "{axis.name}" changes nothing of what is attacked, so its cells would be the same; set it '
                "in the base."
            )


def _check_shows(sweep: Sweep, axes: Sequence[Axis]) -> None:
    """What is to be shown must lie along axes of the grid."""
    known = ["attack", *(axis.name for axis in axes)]
    for show in sweep.show:
        size = [] if show.size is None else [show.size]
        for name in [*show.rows, *show.columns, *show.panels, *size, *show.only]:
            if name not in known:
                raise UserError(
                    f'"{show.title}" is to be shown along an axis "{name}", and the grid has none.'
                    f"{did_you_mean(name, known)}"
                )


def _check_names(axes: Sequence[Axis]) -> None:
    """Every axis of a cell must have a name of its own, or labels would overwrite each other."""
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f'Two axes of the grid are called "{name}"; write one as a named bundle of settings.'
            )


def _check_attacks(sweep: Sweep, axes: Sequence[Axis], known: Sequence[str]) -> None:
    """Every attack that is wanted, or varied by an axis, must be one of some federation's."""
    for name in sweep.attacks or ():
        if name not in known:
            raise UserError(
                f'The sweep wants the attack "{name}", and neither base.attacks nor the grid has one of this name.'
                f"{did_you_mean(name, known)}"
            )
    for axis in axes:
        for name in sorted(axis.attacks - set(known)):
            raise UserError(
                f'The axis "{axis.name}" varies the attack "{name}", and neither base.attacks nor the grid has one of '
                "this name."
            )


def _check_federations(cells: Sequence[Cell]) -> None:
    """All that can be wrong with names, settings, data and schemes is found before anything runs."""
    by_federation: dict[str, list[Cell]] = {}
    for cell in cells:
        by_federation.setdefault(cell.federation, []).append(cell)
    for group in by_federation.values():
        attacks = {_name(cell, group): cell.config.attacks[ATTACK] for cell in group}
        try:
            check(group[0].config.model_copy(update={"attacks": attacks}))
        except UserError as error:
            where = ", ".join(f"{axis} {label}" for axis, label in _shared(group)) or "every cell"
            raise UserError(f"{where}: {error}") from None


def _shared(group: Sequence[Cell]) -> list[tuple[str, Any]]:
    """What all cells of a federation have in common."""
    return [
        (axis, label)
        for axis, label in group[0].axes.items()
        if axis != "attack" and all(cell.axes.get(axis) == label for cell in group)
    ]


def _name(cell: Cell, group: Sequence[Cell]) -> str:
    """A cell among those of its federation, in words."""
    own = [f"{axis} {label}" for axis, label in cell.axes.items() if (axis, label) not in _shared(group)]
    return ", ".join([cell.attack, *(text for text in own if text != f"attack {cell.attack}")])
