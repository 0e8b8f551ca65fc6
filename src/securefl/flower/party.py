"""A party's session across Flower's exchanges, each of which may run in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from flwr.app import ConfigRecord, Context

from securefl.errors import ConfigError, LocalProtocolError, SecureFLError
from securefl.flower.node import Node
from securefl.flower.records import RECORD
from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.policy import ClientPolicy
from securefl.session.client import SecAggClient
from securefl.session.invitation import plan_in
from securefl.types import Tree
from securefl.wire.envelope import parse
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, Kind

_SNAPSHOT: Final = "snapshot"
_PLAN: Final = "plan"
_OVER: Final = frozenset({"done", "aborted", "encrypted"})
_log = logging.getLogger("flwr")


class Session(Protocol):
    """A party's session, of either protocol."""

    @property
    def plan(self) -> Plan | None:
        """The plan that was accepted."""

    def submit(
        self, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None, model: Tree | None = None
    ) -> None:
        """Hand in an update."""

    def receive(self, data: bytes) -> list[bytes]:
        """Take one message."""


class Party:
    """What a node does with the server's messages of one exchange; its session rests in the node's state in between.

    Args:
        node: who it is.
        context: of the exchange.
    """

    def __init__(self, node: Node, context: Context) -> None:
        self.node = node
        self._state = context.state.config_records
        self._client: SecAggClient | None = None
        self._paillier: Session | None = None

    def answer(self, messages: list[bytes], train: Callable[[Session], None]) -> list[bytes]:
        """The answers to the server's messages, in order.

        Args:
            messages: what came.
            train: trains, and submits the update to the session that it is given; called when the vector is due.

        Raises:
            SecureFLError: a message is refused, or the party's policy forbids the plan; nothing more is answered.
        """
        answers: list[bytes] = []
        try:
            for data in messages:
                client = self._session_for(data)
                try:
                    answers += client.receive(data)
                except LocalProtocolError as due:
                    if "due now" not in due.reason:
                        raise
                    self._trained(client, train)
                    answers += client.receive(data)
        except SecureFLError:
            self._keep()
            raise
        self._keep()
        return answers

    def _trained(self, client: Session, train: Callable[[Session], None]) -> None:
        try:
            train(client)
        except SecureFLError:
            raise
        except Exception as error:
            # Its text may quote data: it stays in this node's log.
            _log.exception("secure aggregation: training raised")
            raise ConfigError(f"training raised {type(error).__name__}", remedy="see this node's log") from error

    def _session_for(self, data: bytes) -> Session:
        roster = self.node.roster
        envelope = parse(data, parties=len(roster), kinds=SECAGG_KINDS | PAILLIER_KINDS)
        if envelope.kind is Kind.INVITE:
            plan = plan_in(envelope, roster)
            if isinstance(plan.protocol, Paillier):
                self._paillier = self._paillier_client(plan)
                return self._paillier
            self._paillier = None
            return self._secagg(plan)
        if envelope.kind in PAILLIER_KINDS:
            if self._paillier is None:
                raise LocalProtocolError(
                    "a message of encrypted aggregation came without its invitation", remedy="start a new round"
                )
            return self._paillier
        return self._secagg(None)

    def _secagg(self, plan: Plan | None) -> SecAggClient:
        """The session that was kept, or a new one: a node that has lost it joins the next round with fresh keys."""
        if self._client is not None:
            return self._client
        kept = self._state.get(RECORD)
        snapshot, agreed = (kept.get(_SNAPSHOT), kept.get(_PLAN)) if kept is not None else (None, None)
        node = self.node
        if isinstance(snapshot, bytes) and isinstance(agreed, bytes):
            try:
                self._client = self._restored(snapshot, agreed)
                return self._client
            except SecureFLError:
                if plan is None:
                    raise
                # What cannot be resumed any more must not keep this party from a new round, with fresh keys.
                self._state.pop(RECORD, None)
        if plan is None:
            raise LocalProtocolError(
                "this node has no session: it was restarted within a round",
                remedy="nothing: it is invited to the next one",
            )
        policy = self._policy(plan)
        self._client = SecAggClient(
            node.party,
            roster=node.roster,
            policy=policy,
            identity=node.identity,
            used=node.used,
            ledger=node.open_ledger(policy),
        )
        return self._client

    def _restored(self, snapshot: bytes, agreed: bytes) -> SecAggClient:
        node, policy = self.node, self._policy(Plan.from_bytes(agreed))
        return SecAggClient.restore(
            snapshot,
            node.lock,
            roster=node.roster,
            policy=policy,
            used=node.used,
            identity=node.identity,
            ledger=node.open_ledger(policy),
        )

    def _paillier_client(self, plan: Plan) -> Session:
        from securefl.session.paillier_client import PaillierClient

        if str(getattr(plan.protocol, "holder", "")) != "separate":
            raise ConfigError(
                "on Flower a Paillier key is held by a node of its own: a party keeps no decryption between exchanges",
                remedy='plan with Paillier(key), whose holder is "separate"',
            )
        node, policy = self.node, self._policy(plan)
        return PaillierClient(
            node.party,
            roster=node.roster,
            policy=policy,
            identity=node.identity,
            used=node.used,
            ledger=node.open_ledger(policy),
        )

    def _policy(self, plan: Plan) -> ClientPolicy:
        return ClientPolicy.matching(plan) if self.node.policy is None else self.node.policy

    def _keep(self) -> None:
        """Keep the session, sealed, or forget it where nothing of it is needed any more."""
        client = self._client
        if client is None:
            return
        if client.plan is None or (str(client.state) in _OVER and not client.has_keys_ahead):
            client.close()
            self._state.pop(RECORD, None)
            return
        self._state[RECORD] = ConfigRecord({_SNAPSHOT: client.save(self.node.lock), _PLAN: client.plan.to_bytes()})
