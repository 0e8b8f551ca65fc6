"""What a party insists on in a Paillier key: which, held by whom, and how ciphertexts under it are randomised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from securefl.errors import PolicyRefusedError
from securefl.plan.paillier import Paillier

if TYPE_CHECKING:
    from securefl.policy.policy import ClientPolicy


def check_key(policy: ClientPolicy, protocol: Paillier, refuse: Callable[[str, str], PolicyRefusedError]) -> None:
    """Decide on a plan's key.

    Args:
        policy: the party's.
        protocol: the plan's.
        refuse: makes the error, of the floor and what is wrong.

    Raises:
        PolicyRefusedError: the first floor that the plan misses.
    """
    if _plain(protocol.fingerprint) not in map(_plain, policy.paillier_keys):
        accepted = ", ".join(policy.paillier_keys) or "none"
        raise refuse(
            "paillier_keys",
            f"the plan is under the Paillier key {protocol.fingerprint}, this party accepts {accepted}",
        )
    if protocol.holder not in policy.key_models:
        raise refuse(
            "key_models",
            f"the plan's key is held {protocol.holder}, this party accepts {', '.join(policy.key_models)}",
        )
    if protocol.randomness not in policy.randomness:
        raise refuse(
            "randomness",
            f"the plan's randomness is {protocol.randomness}, this party accepts {', '.join(policy.randomness)}",
        )


def floors_of(protocol: object) -> dict[str, Any]:
    """What a policy must accept of a plan under this protocol, by the policy's fields; nothing where there is no key."""
    if not isinstance(protocol, Paillier):
        return {}
    return {
        "paillier_keys": (protocol.fingerprint,),
        "key_models": (protocol.holder,),
        "randomness": (str(protocol.randomness),),
    }


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(" ", "").lower()
