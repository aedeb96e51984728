"""The defenses that a capture names: that they have such settings, and that somebody has them."""

from __future__ import annotations

from logitleak import registry
from logitleak.capture.description import Description
from logitleak.capture.findings import Findings, listed
from logitleak.text import printable


def check_defenses(description: Description, findings: Findings) -> None:
    """Find what is wrong, or odd, with the defenses."""
    clients = set(description.client_names)
    for place, defense in enumerate(description.defenses):
        where = f"defenses.{place}"
        if defense.name in registry.names("defense"):
            with findings.at(where):
                known = registry.load("defense", defense.name)
                registry.settings(f"defense {defense.name}", known.Settings, defense.settings)
        else:
            findings.warn(
                where,
                f"{printable(defense.name, 100)} is not known here, so nothing is made of it but its name.",
            )
        named = set() if defense.clients == "all" else set(map(str, defense.clients))
        if strangers := sorted(named - clients):
            findings.warn(where, f"{listed(strangers)}: no client is called like that; left out.")
