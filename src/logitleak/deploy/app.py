"""Writes a ready Flower app for one federation: what ``logitleak deploy init`` leaves in a folder."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from logitleak.config import Config
from logitleak.deploy.config import DeployConfig, flat, of_run
from logitleak.deploy.folders import check_facts, divide, read_facts, refuse_unused
from logitleak.deploy.guide import guide
from logitleak.deploy.sums.make import sums_of
from logitleak.errors import UserError
from logitleak.files.atomic import restore
from logitleak.files.storage import TensorFile, write_text
from logitleak.stages.banks import scheme_of

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "federation"
version = "1.0.0"
description = "A federation over Flower that Logitleak records"
license = "Apache-2.0"
dependencies = ["flwr[simulation]>=1.40,<1.43"]

[tool.hatch.build.targets.wheel]
packages = ["federation"]

[tool.flwr.app]
publisher = "logitleak"

[tool.flwr.app.components]
serverapp = "federation.server:app"
clientapp = "federation.client:app"

# Any of these can be changed for one run: flwr run --run-config "rounds=3"
[tool.flwr.app.config]
{config}
"""

_CONNECTIONS = """\
[superlink]
default = "local"

[superlink.local]
address = ":local:"

[superlink.deployment]
address = "{host}:{port}"
root-certificates = {certificate}
"""


def write_app(config: Config, out: Path, data: Path | None, host: str, port: int, canaries: int = 0) -> None:
    """Write the app, its connections, a guide, and, unless there are some already, everybody's data.

    Args:
        config: what a simulation of the federation would run.
        out: the folder to fill.
        data: a folder that `folders.divide` filled; by default ``data`` in ``out``, which is filled then.
        host, port: where the SuperLink of a deployment will listen.
        canaries: how many to plant while the data are divided; see `canaries.plant`.

    Raises:
        UserError: the folder holds something, the data do not fit the configuration, or they are divided already and
            canaries are asked for.
    """
    restore(out.absolute() / "data")  # what a killed process left half-divided is no reason to refuse
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; choose another folder, or delete it.")
    if data is not None and canaries:
        raise UserError(f"{data} is divided already; give --canaries to `logitleak deploy split` instead.")
    out = out.absolute()
    home = data.absolute() if data is not None else out / "data"
    app = of_run(config, home, out / "run")
    table = flat(app)
    if data is None:
        divide(config, home, canaries)
    else:
        refuse_unused(config)
        check_facts(home / "server", read_facts(home / "server"), config.federation)
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    write_text(out / "app" / "pyproject.toml", _PYPROJECT.format(config="\n".join(lines)))
    write_text(out / "app" / "federation" / "__init__.py", '"""The two halves of the federation."""\n')
    for side in ("client", "server"):
        line = f'from logitleak.deploy.flower import {side}_app as app\n\n__all__ = ["app"]\n'
        write_text(out / "app" / "federation" / f"{side}.py", f'"""The {side}\'s half."""\n\n{line}')
    certificate = _toml(str(out / "keys" / "ca.crt"))
    connections = _CONNECTIONS.format(host=host, port=port, certificate=certificate)
    write_text(out / "flower" / "config.toml", connections)
    write_text(out / "README.md", guide(app, out, host, port, canaries, _sizes(app)))


def _sizes(config: DeployConfig) -> str | None:
    """How much each client will send, where uploads are summed."""
    scheme, folder = scheme_of(config.federation), config.server_data
    facts, images = read_facts(folder), TensorFile(folder / "public.safetensors").shape("images")
    form = partial(scheme.form, public=images[0], num_classes=facts.num_classes)
    sums = sums_of(config.federation, scheme, form)
    return None if sums is None else sums.said_beforehand(images[0] * facts.num_classes)


def _toml(value: str | int | float | bool) -> str:
    """A plain value as TOML; its strings and JSON's are the same."""
    return json.dumps(value, ensure_ascii=False)
