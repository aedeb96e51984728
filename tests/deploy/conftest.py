"""Small federations for tests of deployment: four clients, images of 16x16, two rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flower_processes import Processes, free_port, listening, wait_until

from needs import require
from quick_schemes import quick

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def eight_people(tmp_path_factory: pytest.TempPathFactory, people: Callable[..., Path]) -> Path:
    """Eight people with six images each; do not change them."""
    return people(tmp_path_factory.mktemp("deploy") / "eight-people", identities=8, images=6)


@pytest.fixture(scope="session")
def four_clients(tiny_config: Tiny, eight_people: Path) -> Tiny:
    """A factory of configurations of a scheme with four clients; nothing attacks."""

    def make(scheme: str) -> dict[str, Any]:
        values = tiny_config(eight_people, targets=4)
        settings = values["federation"]["settings"] if scheme == "fedmd" else quick(scheme)
        values["federation"] |= {"scheme": scheme, "settings": settings, "clients": 4}
        if scheme == "fedgems":
            values["federation"]["settings"] = {"learn": 1, "distill": 1}
        return values | {"attacks": {}}

    return make


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """A SuperLink for simulations, under the connection name "test"."""
    require("flwr")
    folder, port = tmp_path_factory.mktemp("superlink"), free_port()
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "test"\n\n[superlink.test]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    with Processes(folder, home) as processes:
        processes.start(
            "superlink", "flower-superlink", "--simulation", "--insecure",
            "--host", "127.0.0.1", "--port", str(port),
        )  # fmt: skip
        wait_until(lambda: listening(port), 60, "the SuperLink listens")
        yield processes
