"""Flower's simulation records what a simulation in one process does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from flower_processes import Processes, wait_until

import logitleak
from logitleak.cli.command import main
from logitleak.wire.transcript import Transcript
from needs import needs

Tiny = Callable[..., dict[str, Any]]

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""Logits are float32 and of the order 1; Ray's workers may sum in another order than this process."""


@pytest.mark.flower
@pytest.mark.parametrize(
    ("scheme", "aggregation"),
    [
        ("fedmd", "plain"),
        ("dsfl", "plain"),
        ("fedgems", "plain"),
        ("fedmd", "secure-sum"),
        pytest.param("dsfl", "ckks", marks=needs("tenseal")),
    ],
)  # fmt: skip
def test_equals_the_simulation_in_one_process(
    scheme: str, aggregation: str, superlink: Processes, four_clients: Tiny, tmp_path: Path
) -> None:
    values = four_clients(scheme)
    values["federation"]["aggregation"] = aggregation
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    main(["deploy", "init", str(tmp_path / "dep"), "--config", str(tmp_path / "tiny.yaml")])
    begun = superlink.call(
        "flwr", "run", str(tmp_path / "dep" / "app"), "test",
        "--federation-config", "num-supernodes=4 client-resources-num-cpus=1",
    )  # fmt: skip
    assert begun.returncode == 0, begun.stdout
    status = tmp_path / "dep" / "run" / "run.json"
    wait_until(
        lambda: status.exists() and json.loads(status.read_text()).get("ended", "not yet") is None,
        180,
        "the federation is finished",
    )
    logitleak.run(values, tmp_path / "simulated")
    found, expected = Transcript(tmp_path / "dep" / "run"), Transcript(tmp_path / "simulated")
    assert found.manifest == expected.manifest
    for round in (1, 2):
        assert found.absent(round) == {}
        torch.testing.assert_close(found.server_logits(round), expected.server_logits(round), **TOLERANCE)
        for k in range(found.clients):
            rows, values_found = found.client_logits(k, round)
            rows_expected, values_expected = expected.client_logits(k, round)
            assert torch.equal(rows, rows_expected)
            torch.testing.assert_close(values_found, values_expected, **TOLERANCE)
    scores = []
    for path in (tmp_path / "dep" / "run", tmp_path / "simulated"):
        main(["audit", str(path), "--fast", "--quiet"])
        kept = np.load(path / "audit" / "scores.npz")
        scores.append({name: kept[name] for name in kept if name.startswith("identity/")})
    assert set(scores[0]) == set(scores[1])
    for name, value in scores[0].items():  # in units of their spread
        np.testing.assert_allclose(value, scores[1][name], rtol=1e-2, atol=1e-2)
    rebuilt = [logitleak.attack(view, "ridge") for view in (found, expected)]
    torch.testing.assert_close(rebuilt[0].images, rebuilt[1].images, rtol=0, atol=1e-3)
    assert torch.equal(rebuilt[0].chosen, rebuilt[1].chosen)
