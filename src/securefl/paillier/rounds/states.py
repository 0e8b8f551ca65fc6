"""Who may do what, and when, in a round of encrypted aggregation; what does not stand here is refused."""

from __future__ import annotations

import enum
from typing import Final

from securefl.types import KeyModel, Step
from securefl.wire.messages import Kind


class ClientState(enum.StrEnum):
    """Where a party stands in its round."""

    START = "start"
    READY = "ready"
    ENCRYPTED = "encrypted"
    DONE = "done"
    ABORTED = "aborted"


class ServerState(enum.StrEnum):
    """What the server is collecting; as the step is called in which it does."""

    START = "start"
    MASKED_INPUT = "masked_input"
    UNMASK = "unmask"
    DONE = "done"
    ABORTED = "aborted"


STEPS: Final = (Step.MASKED_INPUT, Step.UNMASK)
"""The steps of a round."""

STEP_OF: Final = {
    Kind.ENCRYPT: Step.MASKED_INPUT,
    Kind.ENCRYPTED_INPUT: Step.MASKED_INPUT,
    Kind.DECRYPT: Step.UNMASK,
    Kind.DECRYPTED: Step.UNMASK,
    Kind.PARTIAL_DECRYPTION: Step.UNMASK,
}
"""The step that a message belongs to."""

CLIENT: Final = {
    (ClientState.START, Kind.ENCRYPT): ClientState.READY,
    (ClientState.READY, Kind.ENCRYPTED_INPUT): ClientState.ENCRYPTED,
}
"""(state, message) -> next state. ENCRYPTED_INPUT is sent, ENCRYPT received."""


def collected(state: ServerState, holder: KeyModel) -> Kind | None:
    """The one kind of message that the server takes in a state; None where it takes none."""
    if state is ServerState.MASKED_INPUT:
        return Kind.ENCRYPTED_INPUT
    if state is ServerState.UNMASK:
        return Kind.PARTIAL_DECRYPTION if holder is KeyModel.THRESHOLD else Kind.DECRYPTED
    return None
