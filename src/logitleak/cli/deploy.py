"""The commands ``logitleak deploy init``, ``deploy split``, ``deploy keys`` and ``deploy open``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from logitleak.cli.results import BRIEF
from logitleak.cli.run import Overrides
from logitleak.errors import UserError


def deploy_init(
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    config: Annotated[Path | None, BRIEF] = None,
    overrides: Overrides = (),
    data: Annotated[Path | None, BRIEF] = None,
    canaries: int = 0,
    host: str = "127.0.0.1",
    port: int = 9092,
) -> None:
    """Write a ready Flower app for a federation, everybody's data, and a README with every command.

    Args:
        out: The folder to fill.
        config: A YAML file; without one, the defaults.
        overrides: Changes to the config.
        data: A folder that `deploy split` filled; by default the data are divided into OUT/data.
        canaries: How many made-up people to plant, 4 to 200. Secret coins withhold some of them, so that the report can
            compare in with out. 0 for none.
        host: Where the SuperLink of a deployment will listen.
        port: Its port; SuperNodes that run beside it take the next ones.
    """
    from logitleak import config as configs
    from logitleak.deploy.app import write_app

    if not 1 <= port <= 60000:
        raise UserError(f"The port must be in 1..60000, not {port}.")
    write_app(configs.load(config, overrides), out, data, host, port, canaries)
    print(out / "README.md")


def deploy_split(
    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")],
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    overrides: Overrides = (),
    canaries: int = 0,
) -> None:
    """Divide the data: a folder for the server (public alone), one for each client, and one with the truth.

    Args:
        config: A YAML file.
        out: The folder to fill.
        overrides: Changes to the config.
        canaries: How many made-up people to plant, 4 to 200. Secret coins withhold some of them, so that the report can
            compare in with out. 0 for none.
    """
    from logitleak import config as configs
    from logitleak.deploy.folders import divide

    divide(configs.load(config, overrides), out, canaries)
    print(out)


def deploy_keys(
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    clients: int = 4,
    host: tuple[str, ...] = ("127.0.0.1", "localhost"),
) -> None:
    """Make test certificates for a SuperLink and a key pair for each SuperNode; they are valid for 30 days.

    Args:
        out: The folder to fill.
        clients: How many SuperNodes.
        host: Names and addresses of the SuperLink.
    """
    from logitleak.deploy.keys import make_keys

    if clients < 1:
        raise UserError("A federation needs at least one client; give --clients 1 or more.")
    make_keys(out, clients, list(host))
    print(out)


def deploy_open(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    means: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MEANS")],
    /,
) -> None:
    """Bring the means that a client decrypted into the run of a server that has none, which is then what that client
    saw.

    Args:
        run: The run folder.
        means: What a client wrote: means/FEDERATION in its own folder.
    """
    from logitleak.deploy.sums.means import bring_in

    print(bring_in(run, means))
