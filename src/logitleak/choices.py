"""What a few settings may be, for the configuration and for the command line's help, which imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Tuning = Literal["none", "public", "mock-targets"]
"""How the settings of an attack that are not given are chosen."""

View = Literal["clients", "sum"]
"""What an attack sees of the clients' uploads: each of them, or their mean alone."""

Reading = Literal["undone", "as-sent"]
"""How an attack reads uploads: with the defenses of clients undone as far as they can be, or as they came."""

Device = Literal["auto", "cpu", "cuda"]
"""Where to compute; "auto" is CUDA where there is one."""
