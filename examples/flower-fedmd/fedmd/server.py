"""The server: a strategy that averages logits, and two lines by which Logitleak records it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from fedmd import task
from logitleak import CaptureWriter
from logitleak.capture.flower import record

app = ServerApp()


class FedMD(Strategy):
    """Clients send logits on the public set; everybody learns their mean, the server too."""

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self.public, labels = task.public()
        self.own = task.model(seed=0)
        task.learn(self.own, self.public, labels, epochs=10)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        while len(list(grid.get_node_ids())) < self.clients:
            time.sleep(1)
        content = RecordDict({"arrays": arrays, "config": config})
        return [Message(content, node, MessageType.TRAIN) for node in grid.get_node_ids()]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        answers = [
            reply.content["arrays"].to_torch_state_dict()["logits"]
            for reply in replies
            if not reply.has_error()
        ]
        if not answers:
            return None, None
        consensus = torch.stack(answers).mean(0)
        task.learn(self.own, self.public, consensus, epochs=2)
        return ArrayRecord(OrderedDict(consensus=consensus)), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return None

    def summary(self) -> None:
        return None


@app.main()
def main(grid: Grid, context: Context) -> None:
    """All rounds, recorded."""
    settings = context.run_config
    strategy = FedMD(int(settings["clients"]))
    images, labels = task.public()
    with CaptureWriter(
        Path(str(settings["recorded"])), task.CLASSES, images, labels=labels, title="FedMD over Flower", synthetic=True,
        noun="class",
    ) as writer:  # fmt: skip
        record(
            strategy,
            writer,
            client=lambda reply: int(reply.content["who"]["client"]),
            server=lambda: task.logits(strategy.own, images),
        )
        strategy.start(grid, ArrayRecord(), num_rounds=int(settings["rounds"]))
