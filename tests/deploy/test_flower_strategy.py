"""A Flower strategy of somebody else's is recorded, and does not notice."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flower_processes import Processes, wait_until

from logitleak import CaptureWriter
from logitleak.cli.command import main
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript
from needs import require

flwr = require("flwr")

ROOT = Path(__file__).parents[2]
N, J = 12, 4


def outputs(seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 3, (N, J)).astype(np.float32)


def reply(node: int, arrays: dict[str, Any] | None) -> Any:
    """What a strategy gets of a message of Flower's, which cannot be made outside of a run; None for an error."""
    from flwr.app import Array, ArrayRecord, RecordDict

    record = ArrayRecord(OrderedDict((name, Array(value)) for name, value in (arrays or {}).items()))
    return SimpleNamespace(
        metadata=SimpleNamespace(src_node_id=node),
        content=RecordDict({"answer": record}),
        has_error=lambda: arrays is None,
    )


def replies(round: int) -> list[Any]:
    """Two clients' answers, one of a client that failed, one without outputs, and one of a wrong shape."""
    return [
        reply(10, {"logits": outputs(round), "rows": np.arange(N)}),
        reply(11, {"logits": outputs(20 + round)[:2], "rows": np.array([3, 1])}),
        reply(13, None),
        reply(14, {"weights": outputs(1)}),
        reply(15, {"logits": outputs(1)[:, :2], "rows": np.arange(N)}),
        reply(16, {"logits": outputs(1)}),
    ]


@pytest.mark.flower
def test_replies_are_recorded_and_handed_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from flwr.serverapp.strategy import Strategy

    from logitleak.capture.flower import record

    class Plain(Strategy):
        seen = 0

        def configure_train(self, *_: Any) -> Any: ...
        def configure_evaluate(self, *_: Any) -> Any: ...
        def aggregate_evaluate(self, *_: Any) -> Any: ...
        def summary(self) -> None: ...
        def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> Any:
            self.seen += len(list(replies))
            return "arrays", "metrics"

    strategy, other = Plain(), Plain()
    with CaptureWriter(tmp_path / "capture", J, np.zeros((N, 16, 16), np.uint8)) as writer:
        watched = record(strategy, writer, rows="rows", server=lambda: outputs(99))
        assert watched is strategy
        with caplog.at_level(logging.WARNING):
            for round in (1, 2):
                found = strategy.aggregate_train(round, iter(replies(round)))
                assert found == ("arrays", "metrics")
    assert strategy.seen == 12
    other.aggregate_train(3, [])  # nothing of the class was changed
    assert 'client 14 is not recorded: There is no array "logits" in it, but weights' in caplog.text
    assert "client 15 is not recorded" in caplog.text
    assert 'client 16 is not recorded: There is no array "rows" in it' in caplog.text
    main(["import", str(tmp_path / "capture"), "--out", str(tmp_path / "run")])
    view = Transcript(tmp_path / "run")
    assert (view.clients, view.rounds) == (2, 2)
    np.testing.assert_array_equal(view.client_logits(0, 2)[1].numpy(), outputs(2))
    rows, values = view.client_logits(1, 1)
    np.testing.assert_array_equal(values[rows.argsort()].numpy(), outputs(21)[[1, 0]])
    np.testing.assert_array_equal(view.server_logits(1).numpy(), outputs(99))


@pytest.mark.flower
def test_the_example_app(superlink: Processes, tmp_path: Path) -> None:
    """FedMD as a strategy of its own (examples/flower-fedmd): recorded, imported, and audited."""
    begun = superlink.call(
        "flwr", "run", str(ROOT / "examples" / "flower-fedmd"), "test",
        "--run-config", f'recorded="{tmp_path / "capture"}" rounds=2',
        "--federation-config", "num-supernodes=4 client-resources-num-cpus=1",
    )  # fmt: skip
    assert begun.returncode == 0, begun.stdout
    server = tmp_path / "capture" / "logits" / "round-2" / "server.npz"
    description = tmp_path / "capture" / "capture.yaml"
    wait_until(
        lambda: server.exists() and "rounds: 2" in description.read_text(), 180, "the federation is finished"
    )
    findings = verify(tmp_path / "capture").findings
    assert findings.errors == 0, findings.kept
    main(["import", str(tmp_path / "capture"), "--out", str(tmp_path / "run")])
    view = Transcript(tmp_path / "run")
    assert (view.clients, view.rounds) == (4, 2)
    # client k was trained on classes j with j mod 4 = k, and in round 1 its outputs say so
    believed = np.stack([view.client_logits(k, 1)[1].softmax(1).mean(0).numpy() for k in range(4)])
    assert all(int(believed[:, j].argmax()) == j % 4 for j in range(10))
