"""A hospital: the app of any Flower project, and one mod more."""

from __future__ import annotations

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from hospital.task import trained
from securefl.flower import secure_mod

app = ClientApp(mods=[secure_mod])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train on this hospital's own digits."""
    number, count = int(context.node_config["partition-id"]), int(context.node_config["num-partitions"])
    server_round = int(message.content["config"]["server-round"])
    arrays, examples, loss = trained(message.content["arrays"], number, count, server_round)
    metrics = MetricRecord({"num-examples": examples, "loss": loss})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
