"""One round's phases over Flower's grid: what the server session says goes out, what comes back goes in."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from securefl.errors import RoundAbortedError, SecureFLError
from securefl.flower.records import RECORD, answered, question
from securefl.session.serving import ServerSession
from securefl.types import KEY_HOLDER, Step
from securefl.wire.envelope import parse
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, Kind

Mail = list[tuple[str, bytes]]
_REASON_CHARACTERS: Final = 1000
"""Of what a node says went wrong: it goes into the server's log."""


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
        self._reachable = set(reachable)
        for party, node in list(nodes.items()):
            if node not in self._reachable:  # a node that came back may have another id
                del nodes[party]
        self.failures: list[Failure] = []
        self.seconds: dict[str, float] = {}
        self.count = 0
        self._server = server
        self._grid = grid
        self._nodes = nodes
        self._claims: dict[int, str] = {}
        self._group = group
        self._timeout = timeout
        self._held: Mail = []  # what the key holder hears at the end, all at once
        self._started = 0.0

    def until_training(self, outbox: Mail) -> dict[int, list[bytes]]:
        """Run the phases before vectors are due; returns the questions that travel with the model, by node.

        Raises:
            RoundAbortedError: too few nodes were left.
        """
        if any(party == KEY_HOLDER for party, _ in outbox):
            self._held = [(party, data) for party, data in outbox if party == KEY_HOLDER]
            outbox = [(party, data) for party, data in outbox if party != KEY_HOLDER]
            self._greet(outbox)
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

    def _greet(self, outbox: Mail) -> None:
        """Find the key holder, and parties not met yet, before anybody trains: under a key the first question comes with the model.

        Raises:
            RoundAbortedError: nobody holds the key, or several say so.
        """
        parties = {party for party, _ in outbox}
        strangers = self._strangers
        if strangers and not {KEY_HOLDER, *parties} <= self._nodes.keys():
            for reply in self._send(dict.fromkeys(strangers, self._invitation(outbox))):
                if (answer := self._answered(reply)) is None:
                    continue
                name, node = answer[0], reply.metadata.src_node_id
                if name != KEY_HOLDER and name not in parties:
                    self._fail(node, f"it says that it is {name!r}, who is not on the roster")
                else:
                    self._claims[node] = name
        holders = sorted(node for node, name in self._claims.items() if name == KEY_HOLDER)
        if KEY_HOLDER not in self._nodes and len(holders) == 1:
            self._nodes[KEY_HOLDER] = holders[0]
        if KEY_HOLDER not in self._nodes:
            # Nothing signs for a key holder: were both asked, a stranger's answer could be taken for the sum.
            raise RoundAbortedError(
                f"nodes {', '.join(map(str, holders))} say that they hold the key, only one may"
                if holders
                else "no node answered as the key holder, and without one nobody opens the sum",
                phase=Step.MASKED_INPUT,
                suspects=(KEY_HOLDER,),
                remedy="have one node with securefl-key-holder in its config; see what it refused",
            )

    def _ask(self, outbox: Mail) -> Mail:
        """One exchange: these messages out, the answers in, the step closed."""
        step, started = self._server.step, time.perf_counter()
        mail = self._addressed(outbox)
        if step is Step.ADVERTISE and outbox:
            mail |= dict.fromkeys(self._strangers, self._invitation(outbox))
        following = self._take(step, self._send(mail))
        self.seconds[str(step)] = self.seconds.get(str(step), 0.0) + time.perf_counter() - started
        return following

    def _send(self, mail: Mapping[int, list[bytes]]) -> list[Message]:
        if not mail:
            return []
        self.count += 1
        messages = [
            Message(
                content=RecordDict({RECORD: question(data)}),
                dst_node_id=node,
                message_type="train",
                group_id=self._group,
            )
            for node, data in mail.items()
        ]
        return list(self._grid.send_and_receive(messages, timeout=self._timeout))

    def _take(self, step: Step | None, replies: Iterable[Message]) -> Mail:
        outbox: Mail = []
        known = set(self._nodes.values())
        # Who was a party before is heard first: where nothing is signed, a stranger in its name comes too late.
        for reply in sorted(replies, key=lambda reply: reply.metadata.src_node_id not in known):
            node = reply.metadata.src_node_id
            if (answer := self._answered(reply)) is None:
                continue
            try:
                for data in answer[1]:
                    outbox += self._server.receive(data, party=answer[0])
                    self._introduce(answer[0], node)
            except RoundAbortedError:
                raise
            except SecureFLError as refusal:
                self._fail(node, str(refusal))
        if not self._server.done and self._server.step is step and not outbox:
            outbox = self._server.close_phase(step)
        return outbox

    def _answered(self, reply: Message) -> tuple[str, list[bytes]] | None:
        """The name and the messages of a reply; None where it is a failure, which is noted."""
        node = reply.metadata.src_node_id
        if reply.has_error():
            self._fail(node, reply.error.reason or "an error without a reason")
            return None
        try:
            return answered(reply)
        except SecureFLError as refusal:
            self._fail(node, str(refusal))
            return None

    def _fail(self, node: int, reason: str) -> None:
        known = next((party for party, at in self._nodes.items() if at == node), "")
        self.failures.append(Failure(node, known, " ".join(reason.split())[:_REASON_CHARACTERS]))

    def _introduce(self, party: str, node: int) -> None:
        """Note which node a party is, once the server took a message of it: a name alone takes nobody's place."""
        for other, at in list(self._nodes.items()):
            if at == node and other != party:
                del self._nodes[other]
        self._nodes[party] = node

    @property
    def _strangers(self) -> list[int]:
        return sorted(self._reachable - set(self._nodes.values()))

    def _invitation(self, outbox: Mail) -> list[bytes]:
        """The invitation in an outbox, which says the same to all."""
        parties = self._server.plan.parameters.parties
        kinds = SECAGG_KINDS | PAILLIER_KINDS
        return [data for _, data in outbox if parse(data, parties=parties, kinds=kinds).kind is Kind.INVITE][:1]

    def _addressed(self, outbox: Mail) -> dict[int, list[bytes]]:
        """Messages by node; of a party that nobody has met, the nodes that say they are it."""
        mail: dict[int, list[bytes]] = {}
        if any(party == KEY_HOLDER for party, _ in outbox):
            outbox, self._held = [*self._held, *outbox], []
        for party, data in outbox:
            claimed = [node for node, name in self._claims.items() if name == party]
            for node in [self._nodes[party]] if party in self._nodes else claimed:
                mail.setdefault(node, []).append(data)
        return mail
