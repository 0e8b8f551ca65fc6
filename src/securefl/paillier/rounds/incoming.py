"""Whether a message may come at all: of this session and round, from whom it should."""

from __future__ import annotations

from collections.abc import Sequence

from securefl.errors import RemoteProtocolError
from securefl.paillier.rounds.states import STEP_OF
from securefl.types import KEY_HOLDER, SERVER, RoundContext
from securefl.wire.envelope import HOLDER_INDEX, SERVER_INDEX, Envelope, check_seal


def check_round(context: RoundContext, envelope: Envelope, name: str) -> None:
    """Check that a message is of this session and round.

    Raises:
        RemoteProtocolError: it is of another; names the sender.
    """
    if (envelope.session, envelope.round) != (context.session, context.round):
        raise RemoteProtocolError(
            f"{name} sent a message of session {envelope.session.hex()[:8]} round {envelope.round}, this is "
            f"session {context.session.hex()[:8]} round {context.round}",
            phase=STEP_OF.get(envelope.kind, ""),
            suspects=(name,),
            remedy="ignore it",
        )


def check_server_message(context: RoundContext, envelope: Envelope, *, binding: bytes) -> None:
    """Check that a message is the server's, of this round, and whole.

    Raises:
        RemoteProtocolError: of another round, or with a party's index.
        MalformedMessageError: damaged.
    """
    check_round(context, envelope, SERVER)
    if envelope.sender != SERVER_INDEX:
        raise RemoteProtocolError(
            "a message that only the server sends bears a party's index",
            phase=STEP_OF.get(envelope.kind, ""),
            suspects=(SERVER,),
            remedy="ignore it",
        )
    check_seal(envelope, binding=binding, verify_key=None, suspect=SERVER)


def name_of(index: int, names: Sequence[str]) -> str:
    """The name of a sender, for errors.

    Raises:
        RemoteProtocolError: nobody's index.
    """
    if index == HOLDER_INDEX:
        return KEY_HOLDER
    if index >= len(names):
        raise RemoteProtocolError(
            f"sender {index} is not on the roster of {len(names)} parties",
            remedy="ignore it; the transport let a stranger in",
        )
    return names[index]
