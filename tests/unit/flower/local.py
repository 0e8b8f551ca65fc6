"""Flower's grid in this process: messages go to a ClientApp with a context for each node, as a SuperNode would give it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity


class LocalGrid(Grid):
    """As Flower's, but that a node may be made to fall silent.

    Args:
        app: the ClientApp of all nodes.
        configs: by node id, each node's config.
        silent: of node id and number of the exchange: whether the node is not heard of in it.
    """

    def __init__(
        self,
        app: ClientApp,
        configs: dict[int, dict],
        silent: Callable[[int, int], bool] = lambda _node, _number: False,
    ) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1  # as Flower's own processes do
        self.app = app
        self.silent = silent
        self.contexts = {
            node: Context(run_id=1, node_id=node, node_config=config, state=RecordDict(), run_config={})
            for node, config in configs.items()
        }
        self.exchanges = 0
        self.seen: list[tuple[Message, Message]] = []

    def restart(self, node: int) -> None:
        """Forget what the node's SuperNode held in memory."""
        old = self.contexts[node]
        self.contexts[node] = Context(1, node, old.node_config, RecordDict(), {})

    def set_run(self, run_id: int) -> None:
        pass

    @property
    def run(self):
        return None

    def create_message(self, *args, **kwargs):
        raise AssertionError("not used")

    def get_node_ids(self) -> Iterable[int]:
        return list(self.contexts)

    def get_nodes(self):
        return []

    def push_messages(self, messages):
        raise AssertionError("not used")

    def pull_messages(self, message_ids):
        raise AssertionError("not used")

    def send_and_receive(self, messages, *, timeout=None):
        messages = list(messages)
        if not messages:
            return []
        self.exchanges += 1
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            if self.silent(node, self.exchanges):
                continue
            try:
                # The mods of a real node never touch the server's copy.
                reply = self.app(copy.deepcopy(message), self.contexts[node])
            except Exception as error:  # noqa: BLE001 - as the SuperNode does
                reply = Message(Error(code=2, reason=repr(error)), reply_to=message)
            self.seen.append((message, reply))
            replies.append(reply)
        return replies
