"""R3, ConsistencyCheck (active server): every survivor signs U3, the set whose vectors will be summed.

A server that shows different sets to different parties could collect shares of both secrets of one party. It cannot: a party opens
nothing without t signatures of the very set that it signed, and 2t > n + c leaves no room for two such sets.
"""

from __future__ import annotations

from collections.abc import Iterable

from securefl.crypto.digest import digest, u32
from securefl.crypto.signing import SigningKey
from securefl.errors import RemoteProtocolError
from securefl.secagg.key_list import KeyList
from securefl.types import SERVER, Graph, Step


def survivors_data(ctx: bytes, survivors: Iterable[int]) -> bytes:
    """What is signed: ("survivors", ctx, H(sorted U3)), 32 bytes."""
    members = digest("u3", b"".join(u32(party) for party in sorted(survivors)))
    return digest("survivors", ctx, members)


def accept_survivors(
    keys: KeyList, party: int, neighbours: frozenset[int], survivors: frozenset[int], *, phase: Step
) -> None:
    """Check a survivor set as a party does: the rules of R3, which a semi-honest round applies at R4.

    Args:
        keys: the accepted key list. On the k-regular graph U3 holds parties that are not on this party's part of it; of those only the
            number can be checked.
        party: this party.
        neighbours: A_u.
        survivors: U3.
        phase: the step, for the error.

    Raises:
        RemoteProtocolError: U3 is not within A_u and this party, leaves this party out, is larger than the key list, smaller than
            max(t, min_survivors), or lacks more parties than seeds of noise were dealt for.
    """
    context = keys.context
    floor = max(context.threshold, context.min_survivors)
    seen = survivors if context.graph is Graph.COMPLETE else survivors & keys.entries.keys()
    if not seen <= neighbours | {party}:
        reason, remedy = "the survivor set holds parties that dealt this one no shares", "leave this server"
    elif party not in survivors:
        reason, remedy = "this party sent its vector and is missing from the survivor set", "start a new round"
    elif len(survivors) > keys.attending:
        reason, remedy = (
            f"a survivor set of {len(survivors)} is larger than the key list of {keys.attending}",
            "leave this server",
        )
    elif len(survivors) < floor:
        reason, remedy = (
            f"a survivor set of {len(survivors)} is below the floor of {floor}",
            "start a new round when more parties are there; a smaller sum would reveal too much",
        )
    elif len(survivors) < context.noise_floor:
        reason, remedy = (
            f"{context.parties - len(survivors)} parties are missing from the survivor set, there is noise for {context.noise_labels}",
            "start a new round when more parties are there",
        )
    else:
        return
    raise RemoteProtocolError(reason, phase=phase, suspects=(SERVER,), remedy=remedy)


def sign_survivors(ctx: bytes, survivors: frozenset[int], identity: SigningKey) -> bytes:
    """This party's signature of U3, 64 bytes; made once a round, which the state table sees to."""
    return identity.sign(survivors_data(ctx, survivors))
