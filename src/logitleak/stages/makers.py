"""Which version of the tool made what a run holds: results of another are not passed off as this one's."""

from __future__ import annotations

from typing import Any

from logitleak import __version__
from logitleak.config import Config
from logitleak.config.recorded import RunConfig
from logitleak.stages.folder import RunFolder

UNKNOWN = "an earlier version"
"""Runs did not always say who made them."""


def makers(run: RunFolder, status: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """The ``made_by`` of ``run.json``: whoever began a thing has made it, and what is not begun will be made by this
    version. A federation that was recorded is nobody's.

    Args:
        run: the run folder.
        status: what ``run.json`` says of what was computed; empty where nothing was.
        config: with all attacks of the run.
    """
    kept = status.get("made_by", {})
    begun = [name for name in config.attacks if status and run.has_results(name)]
    simulated = isinstance(config, Config) and not status.get("deployed")
    federation = kept.get("federation", UNKNOWN) if status else __version__
    return {
        "federation": federation if simulated else None,
        "attacks": {
            name: kept.get("attacks", {}).get(name, UNKNOWN) if name in begun else __version__
            for name in config.attacks
        },
    }


def half_made(run: RunFolder, status: dict[str, Any], config: RunConfig) -> str | None:
    """What another version has begun and not finished, as the start of a sentence; None if nothing. Going on would make
    a thing of two halves that no version makes."""
    made = makers(run, status, config)
    if not status.get("federated") and made["federation"] not in (None, __version__):
        return f"a federation that {_name(made['federation'])} has begun, and this is {__version__};"
    for name, maker in made["attacks"].items():
        if maker != __version__ and name not in run.attacks():
            return f'an attack "{name}" that {_name(maker)} has begun, and this is {__version__};'
    return None


def made_elsewhere(run: RunFolder, status: dict[str, Any], config: RunConfig) -> str | None:
    """What another version has made of a run, as the end of a sentence; None if nothing. It is kept, and not computed
    anew without being asked."""
    made = makers(run, status, config)
    parts = {"the federation": made["federation"], **made["attacks"]}
    others = [
        f"{part} by {_name(maker)}" for part, maker in parts.items() if maker not in (None, __version__)
    ]
    return ", ".join(others) or None


def _name(maker: str) -> str:
    return maker if maker == UNKNOWN else f"version {maker}"
