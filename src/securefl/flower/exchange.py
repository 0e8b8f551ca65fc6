"""One round's phases over Flower's grid: what the server session says goes out, what comes back goes in."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from securefl.errors import RoundAbortedError, SecureFLError
from securefl.flower.records import RECORD, answered, question
from securefl.session.serving import ServerSession
from securefl.types import KEY_HOLDER, Step

Mail = list[tuple[str, bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A node that answered with an error, or not as it should.

    Args:
        node: its id in Flower.
        party: its party, where that is known.
        reason: what it said, or what was wrong with what it said.
    """

    node: int
    party: str
    reason: str

    def __str__(self) -> str:
        return f"{self.party or f'node {self.node}'}: {self.reason}"


class Exchange:
    """One round.

    Args:
        server: the session.
        grid: Flower's.
        nodes: node ids by party; filled as parties introduce themselves, and kept between rounds.
        reachable: the nodes that may be asked.
        group: names the round in Flower.
        timeout: seconds that a phase other than training waits.

    Attributes:
        failures: who answered with an error.
        seconds: by step.
        count: exchanges so far, training included.
    """

    def __init__(
        self,
        server: ServerSession,
        grid: Grid,
        *,
        nodes: dict[str, int],
        reachable: Sequence[int],
        group: str,
        timeout: float,
    ) -> None:
        self.failures: list[Failure] = []
        self.seconds: dict[str, float] = {}
        self.count = 0
        self._server = server
        self._grid = grid
        self._nodes = nodes
        self._reachable = set(reachable)
        self._group = group
        self._timeout = timeout
        self._held: Mail = []
        self._started = 0.0

    def until_training(self, outbox: Mail) -> dict[int, list[bytes]]:
        """Run the phases before vectors are due; returns the questions that travel with the model, by node.

        Raises:
            RoundAbortedError: too few nodes were left.
        """
        while self._server.step is not Step.MASKED_INPUT:
            outbox = self._ask(outbox)
        self._started = time.perf_counter()
        self.count += 1
        return self._addressed(outbox)

    def finish(self, replies: Iterable[Message]) -> None:
        """Take the answers to training, then run the phases until the sum is open.

        Raises:
            RoundAbortedError: too few nodes were left.
        """
        step = self._server.step
        self.seconds[str(step)] = time.perf_counter() - self._started
        outbox = self._take(step, replies)
        while not self._server.done:
            outbox = self._ask(outbox)

    def _ask(self, outbox: Mail) -> Mail:
        """One exchange: these messages out, the answers in, the step closed."""
        step, started = self._server.step, time.perf_counter()
        messages = [
            Message(
                content=RecordDict({RECORD: question(data)}),
                dst_node_id=node,
                message_type="train",
                group_id=self._group,
            )
            for node, data in self._addressed(outbox).items()
        ]
        replies = list(self._grid.send_and_receive(messages, timeout=self._timeout)) if messages else []
        self.count += bool(messages)
        following = self._take(step, replies)
        self.seconds[str(step)] = self.seconds.get(str(step), 0.0) + time.perf_counter() - started
        return following

    def _take(self, step: Step | None, replies: Iterable[Message]) -> Mail:
        outbox: Mail = []
        for reply in replies:
            node = reply.metadata.src_node_id
            known = next((party for party, at in self._nodes.items() if at == node), "")
            if reply.has_error():
                self.failures.append(Failure(node, known, reply.error.reason or "an error without a reason"))
                continue
            try:
                party, messages = answered(reply)
                self._introduce(party, node)
                for data in messages:
                    outbox += self._server.receive(data, party=party)
            except RoundAbortedError:
                raise
            except SecureFLError as refusal:
                self.failures.append(Failure(node, known, str(refusal)))
        if not self._server.done and self._server.step is step and not outbox:
            outbox = self._server.close_phase(step)
        return outbox

    def _introduce(self, party: str, node: int) -> None:
        """Note which node a party is; a node that came back after a restart may have another id."""
        for other, at in list(self._nodes.items()):
            if at == node and other != party:
                del self._nodes[other]
        self._nodes[party] = node

    def _addressed(self, outbox: Mail) -> dict[int, list[bytes]]:
        """Messages by node. Invitations, which say the same to all, go to nodes that nobody knows yet, too."""
        mail: dict[int, list[bytes]] = {}
        to_all: list[bytes] = []
        outbox = [*self._held_for(outbox), *outbox]
        strangers = self._reachable - set(self._nodes.values())
        for party, data in outbox:
            if party == KEY_HOLDER and self._server.step is Step.MASKED_INPUT:
                self._held.append((party, data))  # it answers at the end, and hears everything then
            elif party in self._nodes:
                mail.setdefault(self._nodes[party], []).append(data)
            elif data not in to_all:
                to_all.append(data)
        for node in strangers:
            if to_all:
                mail[node] = list(to_all)
        return {node: data for node, data in mail.items() if node in self._reachable}

    def _held_for(self, outbox: Mail) -> Mail:
        """What the key holder was to hear before, once it is asked."""
        if self._server.step is Step.MASKED_INPUT or not any(party == KEY_HOLDER for party, _ in outbox):
            return []
        held, self._held = self._held, []
        return held
