"""How long the attacks of a configuration take here: pieces of their work are timed, and counted.

Counted are all rounds, clients and worlds, the control on the server's model, and what is tried where settings are
tuned. What is not, is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from logitleak import registry
from logitleak.attacks.base import Attack, create
from logitleak.config import AttackConfig, Config
from logitleak.machine.forecast import Scale
from logitleak.stages.cast import SHARE, played
from logitleak.stages.check import Checked
from logitleak.stages.folder import choose_device
from logitleak.stages.footprint import scale_of, seen_by
from logitleak.stages.pace import Pace, duration, foretell, seconds_of
from logitleak.stages.tune import CLIENTS, open_steps, tuning_of
from logitleak.stages.worlds import has_control

PATIENCE, HURRIED = 2.0, 0.5
"""The seconds for all attacks, after which no piece is done again: fewer where somebody waits for a run to begin."""

PIECES = 3
"""Pieces that most attacks have."""


@dataclass(frozen=True)
class AttackTime:
    """What an attack takes here.

    Attributes:
        seconds: in all worlds, with the choice of its settings; None where the attack cannot tell.
        without: what takes time besides and is not counted, in words.
    """

    seconds: float | None
    without: Sequence[str] = ()

    @property
    def said(self) -> str:
        """The same in words."""
        if self.seconds is None:
            return "is not forecast: it does not say what it does (Attack.work)"
        without = f", without {' and '.join(self.without)}" if self.without else ""
        return f"about {duration(self.seconds)}{without}"


def foretell_attacks(
    config: Config, found: Checked, pace: Pace, hurry: bool = False
) -> dict[str, AttackTime]:
    """About how many seconds each attack takes here.

    The federation that settings are chosen on is played once for all attacks, and counted for the first that needs it.

    Args:
        config: the run's.
        found: what `check` found of it.
        pace: how fast models of the federation train here.
        hurry: time each piece once or so.

    Returns:
        By the attack's name in the run.
    """
    scale, told = scale_of(config, found.sizes), dict[str, AttackTime]()
    played_for = [name for name, entry in config.attacks.items() if _plays(found, entry, scale)]
    patience = (HURRIED if hurry else PATIENCE) / PIECES / max(1, len(config.attacks))
    for name, entry in config.attacks.items():
        lab = _lab(config, found, pace) if name in played_for[:1] else 0.0
        told[name] = _foretell(config, found, entry, scale, lab, patience)
    return told


def in_all(told: Mapping[str, AttackTime]) -> str:
    """What all attacks take, as the end of a sentence; empty where there is nothing to say."""
    known = [one.seconds for one in told.values() if one.seconds is not None]
    unknown = [name for name, one in told.items() if one.seconds is None]
    without = [*dict.fromkeys(what for one in told.values() for what in one.without), *unknown]
    if not known:
        return ""
    besides = f" without {', '.join(without)}" if without else ""
    return f", its attacks about {duration(sum(known))}{besides}"


def _foretell(
    config: Config, found: Checked, entry: AttackConfig, scale: Scale, lab: float, patience: float
) -> AttackTime:
    scale = seen_by(entry, scale, found.hiding)
    known: dict[str, float] = {}

    def cost(settings: Mapping[str, Any], scale: Scale, last: bool = False) -> float | None:
        made = _made(config, entry, settings)
        rounds = [scale.rounds] if last and made.looks_back else list(range(1, scale.rounds + 1))
        if not made.looks_back:  # it learns from what a round brings, which is nothing of who is not drawn
            scale = replace(scale, clients=min(scale.clients, config.federation.drawn))
        pieces = made.work(scale, rounds)
        if pieces is None:
            return None
        for piece in pieces:
            if piece.name not in known:
                known[piece.name] = seconds_of(piece, patience)
        return sum(known[piece.name] * piece.times for piece in pieces)

    given = dict(entry.settings)
    tried = list(_candidates(entry, scale)) if _tunes(found, entry) else []
    replays = [cost(settings, scale) for settings in tried or [given]]
    counted = [seconds for seconds in replays if seconds is not None]
    if len(counted) < len(replays):
        return AttackTime(None)
    total = config.game.simulations * max(counted)
    total += _control(
        config, found, _made(config, entry, given), lambda: cost(given, replace(scale, clients=1))
    )
    if tried:
        views, small = _mock_scale(config, found, entry, scale)
        total += sum(views * (cost(settings, small, last=True) or 0) for settings in tried)
    return AttackTime(total + lab, _left_out(_made(config, entry, given), entry, tried))


def _made(config: Config, entry: AttackConfig, settings: Mapping[str, Any]) -> Attack:
    return create(
        entry.attack,
        settings,
        prior=entry.prior,
        prior_settings=entry.prior_settings,
        device=choose_device(config.device),
    )


def _candidates(entry: AttackConfig, scale: Scale) -> Iterator[dict[str, Any]]:
    """All settings that tuning tries, each step with the first choice of those before it."""
    base = dict(entry.settings)
    for step in open_steps(entry, scale.clients, scale.rounds):
        for values in itertools.product(*step.values()):
            yield base | dict(zip(step, values, strict=True))
        base |= {name: values[0] for name, values in step.items()}


def _tunes(found: Checked, entry: AttackConfig) -> bool:
    """Whether settings are chosen; only people with labels can play others."""
    return tuning_of(entry) != "none" and found.scheme.labelled


def _plays(found: Checked, entry: AttackConfig, scale: Scale) -> bool:
    """Whether a federation is played to choose its settings on."""
    public = _tunes(found, entry) and tuning_of(entry) == "public"
    return public and bool(open_steps(entry, seen_by(entry, scale, found.hiding).clients, scale.rounds))


def _mock(config: Config, found: Checked) -> tuple[Config, Checked]:
    """The federation of public people, about: who exactly plays is drawn later."""
    size = found.sizes
    most = min(size.targets, (size.people - size.targets) // SHARE)
    mock = played(config, max(2, most), config.seed).model_copy(update={"baselines": False})
    private = min(size.public // 2, size.private * most // max(1, size.targets))
    smaller = replace(size, targets=most, public=size.public - private, private=private)
    return mock, replace(found, sizes=smaller)


def _lab(config: Config, found: Checked, pace: Pace) -> float:
    """What playing it takes."""
    mock, smaller = _mock(config, found)
    return foretell(mock, smaller, pace)


def _mock_scale(config: Config, found: Checked, entry: AttackConfig, scale: Scale) -> tuple[int, Scale]:
    """How many views a candidate is tried on, and how large these are."""
    mock, smaller = _mock(config, found)
    targets = smaller.sizes.targets
    if tuning_of(entry) == "mock-targets":  # of the real transcript
        return 1, replace(scale, clients=min(scale.clients, CLIENTS), targets=targets)
    made = scale_of(mock, smaller.sizes)
    return mock.game.simulations, seen_by(entry, made, found.hiding)


def _control(config: Config, found: Checked, made: Attack, cost: Callable[[], float | None]) -> float:
    """The attack on the server's own model, of a single world where private images cannot have reached that."""
    alone = config.game.simulations == 1 and found.scheme.own_model_is_null
    return cost() or 0.0 if alone and has_control(made) else 0.0


def _left_out(made: Attack, entry: AttackConfig, tried: Sequence[Mapping[str, Any]]) -> list[str]:
    """What takes time besides."""
    told = list(made.besides)
    if made.uses_prior and registry.load("prior", entry.prior).learns:
        told.append(f"what the prior {entry.prior} learns")
    if "shadows" in made.needs or any(settings.get("reference") == "shadow" for settings in tried):
        told.append("clients of the server's own")
    return told
