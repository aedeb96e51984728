"""SuperLink and SuperNodes as processes on this machine, with TLS and node keys; one of them is killed."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from flower_processes import Processes, free_port, listening, wait_until

from logitleak.cli.command import main
from logitleak.deploy.guide import node_config
from logitleak.wire.transcript import Transcript
from needs import require

Tiny = Callable[..., dict[str, Any]]

KILLED = 3


@pytest.mark.flower
@pytest.mark.parametrize("aggregation", ["plain", "secure-sum"])
def test_a_supernode_is_killed_in_round_1(aggregation: str, four_clients: Tiny, tmp_path: Path) -> None:
    require("flwr")
    dep, port = tmp_path / "dep", free_port()
    values = four_clients("dsfl")
    values["federation"]["aggregation"] = aggregation
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    main(["deploy", "init", str(dep), "--config", str(tmp_path / "tiny.yaml"), "--port", "9092"])
    connections = dep / "flower" / "config.toml"
    connections.write_text(connections.read_text().replace("127.0.0.1:9092", f"127.0.0.1:{port}"))
    assert tomllib.loads(connections.read_text())["superlink"]["deployment"]
    keys = dep / "keys"
    main(["deploy", "keys", str(keys), "--clients", "4"])

    with Processes(tmp_path, dep / "flower") as processes:
        processes.start(
            "superlink", "flower-superlink", "--host", "127.0.0.1", "--port", str(port),
            "--enable-supernode-auth", "--ssl-ca-certfile", f"{keys}/ca.crt",
            "--ssl-certfile", f"{keys}/server.crt", "--ssl-keyfile", f"{keys}/server.key",
        )  # fmt: skip
        wait_until(lambda: listening(port), 60, "the SuperLink listens")
        nodes = []
        for k in range(4):
            registered = processes.call(
                "flwr", "supernode", "register", f"{keys}/client-{k}.pub", "deployment"
            )
            assert registered.returncode == 0, registered.stdout
            nodes.append(
                processes.start(
                    f"node-{k}",
                    "flower-supernode",
                    "--superlink",
                    f"127.0.0.1:{port}",
                    "--root-certificates",
                    f"{keys}/ca.crt",
                    "--auth-supernode-private-key",
                    f"{keys}/client-{k}",
                    "--port",
                    str(free_port()),
                    "--node-config",
                    node_config(k, dep / "data" / f"client-{k}"),
                )
            )
        stranger = processes.start(
            "stranger", "flower-supernode", "--superlink", f"127.0.0.1:{port}",
            "--root-certificates", f"{keys}/ca.crt", "--port", str(free_port()), "--max-retries", "1",
            "--node-config", node_config(KILLED, dep / "data" / f"client-{KILLED}"),
        )  # fmt: skip
        begun = processes.call(
            "flwr", "run", str(dep / "app"), "deployment",
            "--run-config", f"answer_timeout={45.0 if aggregation == 'plain' else 120.0} minimum_clients=2",
        )  # fmt: skip
        assert begun.returncode == 0, begun.stdout

        wait_until(lambda: "train.upload" in processes.log(f"node-{KILLED}"), 300, "round 1 asks for uploads")
        nodes[KILLED].send_signal(signal.SIGKILL)
        status = dep / "run" / "run.json"
        wait_until(
            lambda: json.loads(status.read_text()).get("ended", "not yet") is None,
            240 if aggregation == "plain" else 480,  # a sum takes a majority: nobody who is left may be late
            "the federation is finished",
        )
        assert stranger.wait(10) != 0  # it has no key, and was not let in

    view = Transcript(dep / "run")
    assert view.rounds == 2
    for round in (1, 2):
        missing = view.absent(round)["upload"]
        assert list(missing) == [KILLED]
        assert missing[KILLED].startswith(
            (
                "did not answer within",
                "lost its connection",
                "is not connected",
                "failed: Error: Node Unavailable",
            )
        )
        assert len(view.client_logits(0, round)[0]) == len(view.knowledge.public)
        if aggregation == "plain":
            assert len(view.client_logits(KILLED, round)[0]) == 0
        else:
            heard = {client for client, size in view.bytes_received(round).items() if size}
            assert heard == set(range(4)) - {KILLED}
    main(["attack", str(dep / "run"), "--attack", "ridge", "--quiet"])
    metrics = json.loads((dep / "run" / "metrics.json").read_text())
    assert {row["client"] for row in metrics["federation"]["absent"]} == {KILLED}
    assert (dep / "run" / "attacks" / "ridge" / "final.safetensors").exists()
