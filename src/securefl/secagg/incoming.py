"""Whether a message may come at all: of this session and round, from whom it should, when it should."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from securefl.errors import RemoteProtocolError
from securefl.secagg.states import SERVER_COLLECTS, STEP_OF, ServerState
from securefl.types import SERVER, RoundContext
from securefl.wire.envelope import SERVER_INDEX, Envelope


def check_server_header(context: RoundContext, envelope: Envelope) -> None:
    """Check, as a party does, that a message is the server's and of this round.

    Raises:
        RemoteProtocolError: of another session or round, or with a party's index.
    """
    step = STEP_OF.get(envelope.kind, "")
    if (envelope.session, envelope.round) != (context.session, context.round):
        raise RemoteProtocolError(
            f"a message of session {envelope.session.hex()[:8]} round {envelope.round} came in "
            f"session {context.session.hex()[:8]} round {context.round}",
            phase=step,
            suspects=(SERVER,),
            remedy="ignore it",
        )
    if envelope.sender != SERVER_INDEX:
        raise RemoteProtocolError(
            "a message that only the server sends bears a party's index",
            phase=step,
            suspects=(SERVER,),
            remedy="ignore it",
        )


def check_party_header(
    context: RoundContext,
    envelope: Envelope,
    *,
    state: ServerState,
    waiting: AbstractSet[int],
    answered: AbstractSet[int],
    names: Sequence[str],
) -> int:
    """Check, as the server does, that a message is one that is due; returns its sender's index.

    Raises:
        RemoteProtocolError: of a stranger, another session or round, out of order, repeated, or too late.
    """
    step = STEP_OF.get(envelope.kind, "")
    if envelope.sender >= context.parties:
        raise RemoteProtocolError(
            f"sender {envelope.sender} is not on the roster of {context.parties} parties",
            phase=step,
            remedy="ignore it; the transport let a stranger in",
        )
    name = names[envelope.sender]
    if (envelope.session, envelope.round) != (context.session, context.round):
        raise RemoteProtocolError(
            f"{name} sent a message of session {envelope.session.hex()[:8]} round {envelope.round}, this is "
            f"session {context.session.hex()[:8]} round {context.round}",
            phase=step,
            suspects=(name,),
            remedy="ignore it",
        )
    if envelope.kind is not SERVER_COLLECTS.get(state):
        raise RemoteProtocolError(
            f"{name} sent {envelope.kind.name.lower()} in state {state}: it is late, early or not a party's to send",
            phase=step,
            suspects=(name,),
            remedy="ignore it; a late message is never used",
        )
    if envelope.sender not in waiting:
        reason = "again" if envelope.sender in answered else "after it was left out"
        raise RemoteProtocolError(
            f"{name} sent {envelope.kind.name.lower()} {reason}",
            phase=step,
            suspects=(name,),
            remedy="ignore it; the first message counts",
        )
    return envelope.sender
