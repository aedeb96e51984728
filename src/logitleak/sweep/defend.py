"""Every defense at several strengths on one federation: which settings are tried, as a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logitleak import registry
from logitleak.config import Config
from logitleak.errors import UserError
from logitleak.stages.banks import scheme_of
from logitleak.stages.check import check
from logitleak.stages.shields import check_defenses
from logitleak.sweep.config import Bundle, Show, Sweep

NONE = "none"
"""The federation without any defense."""

CONFIGURED = "as configured"
"""The federation with the defenses that its configuration names."""

SUM = "secure-sum"
"""An aggregator, which is everybody's: tried where the server needs no more than a mean."""

AXIS = "defense"

_HELD_OUT = 0.25
"""Of each person's images, where the configuration keeps none back: without them nobody knows what a defense costs."""

_ATTACKS = ("gap", "pli")
"""The attacks that are tried: the one whose success is what the private images changed, and the paper's."""


def plan(config: Config, only: Sequence[str] = (), seeds: Sequence[int] = (), fast: bool = False) -> Sweep:
    """The sweep that tries defenses on a federation, in twin worlds where its configuration has no game.

    Args:
        config: the federation's. Of its attacks those that are `gap` or `pli` are tried with their settings, or else
            `gap` with settings that are tuned on public data. Its own defenses are one more setting that is tried.
        only: names of defenses, or "secure-sum"; all by default. "as configured" stands for the configuration's own,
            which are tried in any case: alone it says that nothing else is.
        seeds: the seeds of federations; the configuration's by default.
        fast: one strength of each defense, no `pli`, and audits that train nothing.

    Raises:
        UserError: an unknown defense, a scheme that can have none, or missing data.
    """
    for name in only:
        if name not in (SUM, CONFIGURED):
            registry.check("defense", name)
    if len(set(only)) < len(only):
        raise UserError("A defense is named twice; name each once.")
    base = config.model_dump(mode="json")
    own = base.pop("defenses", [])
    if CONFIGURED in only and not own:
        raise UserError(
            f'The configuration has no defenses to try "{CONFIGURED}"; give it some (--set defenses=...).'
        )
    base["candidates"], base["baselines"], base["primary"] = 0, False, None
    if config.game.design == "none":
        base["game"] = {"design": "twins"}
    sizes = check(config.model_copy(update={"attacks": {}})).sizes
    if int(config.data.held_out * sizes.private / max(1, sizes.targets)) == 0:
        base["data"]["held_out"] = _HELD_OUT
    base["attacks"] = _attacks(config, fast)
    settings: Bundle = {NONE: {"defenses": [], "baselines": True}}
    if own:
        settings[CONFIGURED] = {"defenses": own}
    for name in only or [*registry.names("defense"), SUM]:
        if name == CONFIGURED:
            continue
        if name == SUM:
            if only or (scheme_of(config.federation).averages and config.federation.clients > 1):
                settings[SUM] = {"defenses": [], "federation.aggregation": SUM}
            continue
        for strength in strengths(name, fast):
            entry = {"name": name, "settings": dict(strength)}
            if only or _possible(config, entry):
                settings[label(name, strength)] = {"defenses": [entry]}
    return Sweep(
        title=config.data.source,
        base=base,
        grid={AXIS: settings, "seed": list(dict.fromkeys(seeds)) or [config.seed]},
        show=[
            Show(kind="table", title="Leak of images", value="leak", rows=[AXIS], columns=["attack"]),
            Show(kind="table", title="Who is at which client", value="identity", rows=[AXIS]),
            Show(kind="table", title="Accuracy", value="utility", rows=[AXIS]),
        ],
        audit="fast" if fast else "full",
    )


def strengths(name: str, fast: bool) -> list[Mapping[str, Any]]:
    """The settings of a defense that are tried, from weak to strong; the middle one where it is to be fast."""
    every = list(registry.load("defense", name).strengths)
    return [every[len(every) // 2]] if fast else every


def label(name: str, settings: Mapping[str, Any]) -> str:
    """What a setting is called, such as "gaussian, sigma 10"."""
    return ", ".join([name, *(f"{key} {_short(value)}" for key, value in settings.items())])


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _attacks(config: Config, fast: bool) -> dict[str, Any]:
    wanted = _ATTACKS[:1] if fast else _ATTACKS
    found = {name: entry for name, entry in config.attacks.items() if entry.attack in wanted}
    said = {name: entry.model_dump(mode="json") for name, entry in found.items()}
    if not any(entry.attack == _ATTACKS[0] for entry in found.values()):
        said = {_ATTACKS[0]: {"attack": _ATTACKS[0], "tune": "public"}} | said
    return said


def _possible(config: Config, entry: dict[str, Any]) -> bool:
    """Whether this federation can have a defense that nobody asked for by name."""
    defended = config.model_copy(update={"defenses": []}).model_dump(mode="json") | {"defenses": [entry]}
    try:
        parsed = Config.model_validate(defended)
        check_defenses(parsed.defenses, scheme_of(config.federation), config.federation.clients)
    except UserError:
        return False
    return True
