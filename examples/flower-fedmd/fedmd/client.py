"""A client: digest the consensus, revisit its own images, answer with logits on the public set."""

from __future__ import annotations

from collections import OrderedDict

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedmd import task

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round. The model stays here: it is kept in the context's state, and never sent."""
    client = int(context.node_config["partition-id"])
    clients = int(context.node_config["num-partitions"])
    images, labels = task.private(client, clients)
    public, public_labels = task.public()
    network = task.model(seed=1 + client)
    if "model" in context.state:
        network.load_state_dict(context.state["model"].to_torch_state_dict())
    else:
        task.learn(network, public, public_labels, epochs=10)  # transfer learning
        task.learn(network, images, labels, epochs=5)
    consensus = message.content["arrays"].to_torch_state_dict().get("consensus")
    if consensus is not None:
        task.learn(network, public, consensus, epochs=2)  # digest
        task.learn(network, images, labels, epochs=2)  # revisit
    context.state["model"] = ArrayRecord(network.state_dict())
    answer = RecordDict(
        {
            "arrays": ArrayRecord(OrderedDict(logits=Array(task.logits(network, public).numpy()))),
            "who": ConfigRecord({"client": client}),
        }
    )
    return Message(answer, reply_to=message)
