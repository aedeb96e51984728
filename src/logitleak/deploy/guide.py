"""The README of a Flower app: every command with its own paths."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from logitleak.deploy.config import DeployConfig
from logitleak.deploy.folders import client_folder

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}
"""What keeps Flower from calling home and from installing anything; ``FLWR_HOME`` comes with it."""

_GUIDE = """\
# A federation over Flower

{scheme} with {clients} clients and {rounds} rounds, recorded by Logitleak. Every command wants this environment:

```sh
{environment}
```

`data/client-K` is client K's alone, `data/server` is the server's, and `data/sealed` is the truth: nobody in the
federation gets it.

## On this machine, simulated

```sh
flwr run {app} local --stream --federation-config "num-supernodes={clients} client-resources-num-cpus=1"
```

`flwr run` leaves a SuperLink behind on port 39091, in a process called `flower-superlink`; stop it when you are done.

## As processes, with TLS and node keys

```sh
logitleak deploy keys {keys} --clients {clients} --host {host}     # test certificates and keys
flower-superlink --host {host} --port {port} --enable-supernode-auth \\
    --ssl-ca-certfile {keys}/ca.crt --ssl-certfile {keys}/server.crt --ssl-keyfile {keys}/server.key
```

In another terminal, make each node known, then start it (each on its own machine, with its own data and key):

```sh
{register}
{nodes}
flwr run {app} deployment --stream
```

{sums}## Afterwards

```sh
logitleak attack {run} --attack ridge
```

To score attacks, whoever holds the truth copies it in: `cp -r {sealed} {run}/sealed`, then `logitleak report {run}`.

## Canaries

{canaries}
"""

_PLANTED = """\
{count} made-up people are planted among the targets. Coins of this machine decided for each whether a client uses its
private images or nobody does; only `data/sealed` says which. Everybody else takes part. Keep it from everybody in the
federation until the last round, then copy it in as above: the report compares the canaries that were in with those that
were out. After that these canaries are known; divide the data again for another federation."""

_NOT_PLANTED = """\
Images that look like their targets may have been guessed. `--canaries 20`, given to `logitleak deploy init` or `deploy
split`, plants made-up people of whom sealed coins withhold some; where the data were divided so, the report compares
those that were in with those that were out."""


_SUMS = """\
## Sums

{aggregation}: the server gets the mean of the uploads and no single one; {sizes}. Clients agree on keys before the
first round, so all should be connected then; their keys are in the memory of their nodes and nowhere else. A client
that is started again has lost its keys, and is in no sum any more.

"""


def guide(
    config: DeployConfig, out: Path, host: str, port: int, canaries: int = 0, sizes: str | None = None
) -> str:
    """The README of the app in a folder.

    Args:
        config: the app's.
        out: the folder.
        host, port: where the SuperLink will listen.
        canaries: how many are planted in the data; 0 where there are none, or where that is not known here.
        sizes: where uploads are summed, how much each client sends, in a sentence without its end.
    """
    clients, keys, data = config.federation.clients, quote(str(out / "keys")), config.client_data
    environment = ENVIRONMENT | {"FLWR_HOME": str(out / "flower")}
    numbers = range(clients)
    return _GUIDE.format(
        scheme=config.federation.scheme,
        clients=clients,
        rounds=config.federation.rounds,
        environment="\n".join(f"export {key}={quote(value)}" for key, value in environment.items()),
        app=quote(str(out / "app")),
        keys=keys,
        host=host,
        port=port,
        register="\n".join(f"flwr supernode register {keys}/client-{k}.pub deployment" for k in numbers),
        nodes="\n".join(
            f"flower-supernode --superlink {host}:{port} --root-certificates {keys}/ca.crt "
            f"--auth-supernode-private-key {keys}/client-{k} --port {port + 1 + k} "
            f"--node-config {quote(node_config(k, client_folder(data, k)))} &"
            for k in numbers
        ),
        run=quote(str(config.out)),
        sealed=quote(str(data / "sealed")),
        sums=_SUMS.format(aggregation=config.federation.aggregation.kind, sizes=sizes) if sizes else "",
        canaries=_PLANTED.format(count=canaries) if canaries else _NOT_PLANTED,
    )


def node_config(client: int, folder: Path) -> str:
    """What a SuperNode is told about itself: which client it is, and where its data are."""
    return f'partition-id={client} data="{folder}"'
