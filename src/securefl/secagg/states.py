"""Who may do what, and when: everything that decides the order of messages stands in these tables.

An event is a message kind: one that is received, or (marked by the state it leaves) one that is sent. What is not in the table is
refused, so a replayed, early or late message has no way in.
"""

from __future__ import annotations

import enum
from typing import Final

from securefl.errors import LocalProtocolError, RemoteProtocolError
from securefl.types import ServerModel, Step
from securefl.wire.messages import Kind


class ClientState(enum.StrEnum):
    """Where a party stands in its round."""

    START = "start"
    ADVERTISED = "advertised"
    SHARED = "shared"
    READY = "ready"
    MASKED = "masked"
    SIGNED = "signed"
    DONE = "done"
    ABORTED = "aborted"


class ServerState(enum.StrEnum):
    """What the server is collecting."""

    START = "start"
    ADVERTISE = "advertise"
    SHARE_KEYS = "share_keys"
    MASKED_INPUT = "masked_input"
    CONSISTENCY = "consistency"
    UNMASK = "unmask"
    DONE = "done"
    ABORTED = "aborted"


_CLIENT_UNTIL_MASKED: Final = {
    (ClientState.START, Kind.ADVERTISE): ClientState.ADVERTISED,
    (ClientState.ADVERTISED, Kind.ROSTER): ClientState.SHARED,
    (ClientState.SHARED, Kind.CIPHERTEXTS): ClientState.READY,
    (ClientState.READY, Kind.MASKED_INPUT): ClientState.MASKED,
}

CLIENT: Final = {
    ServerModel.SEMI_HONEST: {
        **_CLIENT_UNTIL_MASKED,
        (ClientState.MASKED, Kind.UNMASK): ClientState.DONE,
    },
    ServerModel.ACTIVE: {
        **_CLIENT_UNTIL_MASKED,
        (ClientState.MASKED, Kind.SURVIVORS): ClientState.SIGNED,
        (ClientState.SIGNED, Kind.UNMASK): ClientState.DONE,
    },
}
"""(state, message) -> next state. ADVERTISE and MASKED_INPUT are sent, the others received and answered at once."""

SERVER_COLLECTS: Final = {
    ServerState.ADVERTISE: Kind.ADVERTISE,
    ServerState.SHARE_KEYS: Kind.SHARES,
    ServerState.MASKED_INPUT: Kind.MASKED_INPUT,
    ServerState.CONSISTENCY: Kind.CONSISTENCY,
    ServerState.UNMASK: Kind.UNMASK_SHARES,
}
"""The one kind of message that the server takes in each state."""

SERVER: Final = {
    ServerModel.SEMI_HONEST: {
        ServerState.START: ServerState.ADVERTISE,
        ServerState.ADVERTISE: ServerState.SHARE_KEYS,
        ServerState.SHARE_KEYS: ServerState.MASKED_INPUT,
        ServerState.MASKED_INPUT: ServerState.UNMASK,
        ServerState.UNMASK: ServerState.DONE,
    },
    ServerModel.ACTIVE: {
        ServerState.START: ServerState.ADVERTISE,
        ServerState.ADVERTISE: ServerState.SHARE_KEYS,
        ServerState.SHARE_KEYS: ServerState.MASKED_INPUT,
        ServerState.MASKED_INPUT: ServerState.CONSISTENCY,
        ServerState.CONSISTENCY: ServerState.UNMASK,
        ServerState.UNMASK: ServerState.DONE,
    },
}
"""What closing a phase leads to."""

FROM_PARTIES: Final = frozenset(SERVER_COLLECTS.values())
"""The kinds that only parties send."""

STEP_OF: Final = {
    Kind.ADVERTISE: Step.ADVERTISE,
    Kind.ROSTER: Step.SHARE_KEYS,
    Kind.SHARES: Step.SHARE_KEYS,
    Kind.CIPHERTEXTS: Step.MASKED_INPUT,
    Kind.MASKED_INPUT: Step.MASKED_INPUT,
    Kind.SURVIVORS: Step.CONSISTENCY,
    Kind.CONSISTENCY: Step.CONSISTENCY,
    Kind.UNMASK: Step.UNMASK,
    Kind.UNMASK_SHARES: Step.UNMASK,
}
"""The step that a message belongs to."""


def client_sends(server: ServerModel, state: ClientState, kind: Kind) -> ClientState:
    """The state that a party is in after it sent `kind` of its own accord (ADVERTISE, MASKED_INPUT).

    Raises:
        LocalProtocolError: the caller asked for a message that may not be sent now.
    """
    following = CLIENT[server].get((state, kind))
    if following is None:
        raise LocalProtocolError(
            f"{kind.name.lower()} was asked for in state {state}; a secret is used once",
            phase=STEP_OF[kind],
            remedy="start a new round: it has new keys",
        )
    return following


def client_receives(server: ServerModel, state: ClientState, kind: Kind) -> ClientState:
    """The state that a party is in after it received `kind`.

    Raises:
        RemoteProtocolError: the message may not come now, or is not the server's to send.
    """
    following = CLIENT[server].get((state, kind))
    if following is None or kind in FROM_PARTIES:
        raise RemoteProtocolError(
            f"{kind.name.lower()} may not come in state {state}: it is out of order, a repetition or not the server's to send",
            phase=STEP_OF.get(kind, ""),
            suspects=("server",),
            remedy="ignore it; this party answers each message once",
        )
    return following
