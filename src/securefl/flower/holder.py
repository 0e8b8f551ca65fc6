"""A node that holds the key of a Paillier plan: it opens one sum a round, in one exchange, and is no party of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.crypto.random import OS
from securefl.errors import ConfigError
from securefl.flower.node import Node
from securefl.policy import ClientPolicy
from securefl.session.invitation import plan_in
from securefl.types import Step
from securefl.wire.envelope import parse
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, Kind

if TYPE_CHECKING:
    from securefl.paillier import PrivateKey


class Holder:
    """What a key holder's node does with the server's messages of one exchange.

    An invitation alone asks whether it is there, and whether its policy allows the plan. When a sum is to be opened everything comes at
    once, from the invitation on, so nothing rests in the node's state in between; what was opened is in the used-file.

    Args:
        node: whose config has a key.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def answer(self, messages: list[bytes]) -> list[bytes]:
        """The answers to the server's messages, in order.

        Raises:
            SecureFLError: no plan under a key, not this key, the policy forbids it, or the round's sum was opened before.
        """
        from securefl.session.key_holder import PaillierKeyHolder

        if not messages:
            return []
        node = self._node
        invitation = parse(messages[0], parties=len(node.roster), kinds=SECAGG_KINDS | PAILLIER_KINDS)
        if invitation.kind is not Kind.INVITE:
            raise ConfigError(
                f"{invitation.kind.name.lower()} came without an invitation to a node that holds a key",
                remedy="nothing: it is invited to the next round",
            )
        plan = plan_in(invitation, node.roster)
        policy = node.policy or ClientPolicy.matching(plan)
        # A holder that lives for one exchange has joined no round; the used-file knows of all. It releases nothing, so spends nothing.
        policy.check(plan, node.roster, rounds_before=node.used.rounds(), spent=lambda _delta: 0.0)
        holder = PaillierKeyHolder(self._private_key(), roster=node.roster, policy=policy, used=node.used)
        answers = [answer for data in messages for answer in holder.receive(data)]
        if answers:
            node.used.spend(invitation.session, invitation.round, Step.ADVERTISE, OS.token(32))
        return answers

    def _private_key(self) -> PrivateKey:
        from securefl.paillier import PrivateKey

        if self._node.key is None:
            raise ConfigError("this node holds no key", remedy="set securefl-key-holder in its config")
        return PrivateKey.from_bytes(*self._node.key)
